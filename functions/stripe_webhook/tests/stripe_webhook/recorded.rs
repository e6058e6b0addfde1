//! Every type we subscribe to, as Stripe writes it, in the API version we ask for and in old ones.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context;
use serde_json::Value;
use shared::stripe::EVENT_TYPES;
use testing::{Result, World};

use super::{ACCOUNT, CONNECT, PLATFORM, fate, kept_body, payments, received, rows, signed, wire};

struct Recorded {
    file: String,
    body: Vec<u8>,
    id: String,
    kind: String,
    route: &'static str,
}

fn recorded() -> Result<Vec<Recorded>> {
    let folder = testing::world::root().join("shared/tests/stripe_events");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let body = fs::read(&path)?;
        let event: Value = serde_json::from_slice(&body)?;
        let of_account = ["account", "context", "user_id"].iter().any(|name| event[name].is_string());
        let text = |name: &str| event[name].as_str().map(str::to_owned).context("no text");
        all.push(Recorded {
            file: path.display().to_string(),
            id: text("id")?,
            kind: text("type")?,
            route: if of_account { CONNECT } else { PLATFORM },
            body,
        });
    }
    all.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(all)
}

/// What has to be asked about waits; from everything else follows what follows at once.
fn expected(kind: &str) -> &'static str {
    match kind {
        "v2.core.account_link.returned" => "done",
        "capability.updated" | "person.updated" | "account.external_account.updated" => "received",
        kind if kind.starts_with("v2.") => "received",
        _ => "done",
    }
}

#[tokio::test]
async fn every_recorded_event_is_taken_and_kept_sealed_as_the_very_bytes() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let all = recorded()?;
    let told: BTreeSet<&str> = all.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(
        told,
        EVENT_TYPES.iter().copied().collect(),
        "a type has no recorded event, or is not subscribed to"
    );
    assert!(all.iter().filter(|one| one.file.ends_with(".old.json")).count() >= 10, "too few old shapes");

    for one in &all {
        received(&deps, &signed(&world, one.route, one.body.as_slice())).await.context(one.file.clone())?;
        assert_eq!(fate(&world, &one.id).await?, (expected(&one.kind).to_owned(), None), "{}", one.file);
        assert!(kept_body(&world, &one.id).await? == one.body, "{} was kept as something else", one.file);
    }
    assert_eq!(rows(&world, "webhook_events").await?, i64::try_from(all.len())?);
    // Of these words one at least is in every body, and none is to be found in what was kept.
    for word in ["\"object\"", "livemode", "pending_webhooks", "client_secret", "idempotency_key"] {
        let in_clear = format!(
            "webhook_events WHERE body IS NOT NULL OR position(convert_to('{word}', 'UTF8') IN body_sealed) > 0
             OR (to_jsonb(webhook_events) - 'livemode')::text LIKE '%{word}%'"
        );
        assert_eq!(rows(&world, &in_clear).await?, 0, "{word}");
    }
    Ok(())
}

#[tokio::test]
async fn told_once_more_in_the_other_direction_they_change_nothing() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    // The payment that the recorded events speak of.
    let ours = "UPDATE payments SET id = '019ba2a0-b600-7000-8000-000000000001'";
    world.db.admin().await?.batch_execute(ours).await?;
    let deps = wire(&world).await?;
    let all = recorded()?;
    for one in &all {
        received(&deps, &signed(&world, one.route, one.body.as_slice())).await?;
    }
    let first = books(&world).await?;
    for one in all.iter().rev() {
        received(&deps, &signed(&world, one.route, one.body.as_slice())).await?;
    }
    assert_eq!(books(&world).await?, first);
    assert!(first.iter().all(|table| !table.is_empty()), "{first:?}");
    let described = format!("connected_accounts WHERE account = '{ACCOUNT}'");
    assert_eq!(rows(&world, &described).await?, 1);
    Ok(())
}

/// Every row of every table that events are to fill.
async fn books(world: &World) -> Result<Vec<Vec<String>>> {
    let admin = world.db.admin().await?;
    let mut books = Vec::new();
    let tables = [
        "webhook_events",
        "payments",
        "payment_objects",
        "subscriptions",
        "payouts",
        "connected_accounts",
        "ledger",
        "outbox",
    ];
    for table in tables {
        let sql = format!("SELECT to_jsonb(one)::text FROM {table} one ORDER BY 1");
        books.push(admin.query_typed(&sql, &[]).await?.iter().map(|row| row.get(0)).collect());
    }
    Ok(books)
}
