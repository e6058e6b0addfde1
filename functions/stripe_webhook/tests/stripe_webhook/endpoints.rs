//! Two addresses, each with events and secrets of its own.

use futures_util::future::join_all;
use serde_json::{Value, json};
use stripe_webhook::Deps;
use testing::{Call, Result, World};

use super::{
    ACCOUNT, CONNECT, NAME, PLATFORM, each_is_paid_once, fate, kept_body, nothing_was_recorded, paid,
    payments, received, refused, rows, signed, wire, with,
};

/// Of our own account, and of one connected to it; with the address each belongs to, and the other one.
fn both(name: &str) -> [(&'static str, Value, [&'static str; 2]); 2] {
    [
        ("", paid(name), [PLATFORM, CONNECT]),
        (ACCOUNT, with(paid(name), "/account", json!(ACCOUNT)), [CONNECT, PLATFORM]),
    ]
}

#[tokio::test]
async fn an_event_counts_once_though_both_endpoints_are_told() -> Result<()> {
    for case in 0..2 {
        let world = World::start().await?;
        let names = ["right_first", "wrong_first", "again_and_again"].map(str::to_owned);
        payments(&world, both("1")[case].0, &names).await?;
        let deps = wire(&world).await?;
        for (name, order) in names.iter().zip([vec![0, 1], vec![1, 0], vec![1, 1, 0, 0, 1]]) {
            let (_, event, routes) = &both(name)[case];
            for place in order {
                received(&deps, &signed(&world, routes[place], event.to_string())).await?;
            }
            assert_eq!(fate(&world, &format!("evt_{name}")).await?, ("done".to_owned(), None), "{name}");
            assert_eq!(kept_body(&world, &format!("evt_{name}")).await?, event.to_string().as_bytes());
        }
        each_is_paid_once(&world, 3).await?;
    }
    Ok(())
}

#[tokio::test]
async fn at_the_wrong_endpoint_alone_it_is_only_kept() -> Result<()> {
    for (account, event, [_, wrong]) in both("1") {
        let world = World::start().await?;
        payments(&world, account, &["1".to_owned()]).await?;
        let deps = wire(&world).await?;
        for _ in 0..2 {
            received(&deps, &signed(&world, wrong, event.to_string())).await?;
        }
        let expected = ("ignored".to_owned(), Some("WRONG_ENDPOINT".to_owned()));
        assert_eq!(fate(&world, "evt_1").await?, expected);
        assert_eq!((rows(&world, "ledger").await?, rows(&world, "payment_objects").await?), (0, 0));
    }
    Ok(())
}

#[tokio::test]
async fn at_both_endpoints_at_once_it_counts_once() -> Result<()> {
    for (account, _, [right, wrong]) in both("1") {
        let world = World::start().await?;
        let names: Vec<String> = (0..10).map(|nth| nth.to_string()).collect();
        payments(&world, account, &names).await?;
        let deps = world.wire_with(NAME, &[("DATABASE_POOL_SIZE", "20")], Deps::wire).await?;
        let tell = |nth: usize| -> Call {
            let event = paid(&names[nth % names.len()]);
            let event = if account.is_empty() { event } else { with(event, "/account", json!(account)) };
            signed(
                &world,
                if (nth / names.len()).is_multiple_of(2) { wrong } else { right },
                event.to_string(),
            )
        };
        let calls: Vec<Call> = (0..200).map(tell).collect();
        for outcome in join_all(calls.iter().map(|call| received(&deps, call))).await {
            outcome?;
        }
        each_is_paid_once(&world, 10).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_waits_for_an_answer_waits_also_when_it_came_by_the_wrong_endpoint_first() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let capability = json!({ "id": "transfers", "object": "capability" });
    let event = with(super::event("1", "capability.updated", &capability), "/account", json!(ACCOUNT));
    for route in [PLATFORM, CONNECT] {
        received(&deps, &signed(&world, route, event.to_string())).await?;
    }
    let waiting = "webhook_events WHERE state = 'received' AND due_at = '2026-01-09 12:00Z' AND attempts = 0
         AND last_error_code IS NULL AND finished_at IS NULL";
    assert_eq!((rows(&world, waiting).await?, rows(&world, "webhook_events").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn neither_endpoint_takes_the_others_secret() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    for (_, event, [right, wrong]) in both("1") {
        let elsewhere = signed(&world, wrong, event.to_string());
        let header = elsewhere.request().header("stripe-signature").unwrap_or_default();
        refused(&deps, &super::with_header(right, event.to_string(), header), right).await?;
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn without_secrets_for_connected_accounts_nothing_is_taken_from_them() -> Result<()> {
    for connect in [json!([]), json!(null)] {
        let world = World::start().await?;
        let document = json!({ "platform": [sandbox::STRIPE_PLATFORM_SECRET], "connect": connect });
        world.sandbox.secrets().put("satchel/stripe-webhooks", &document.to_string());
        let deps = wire(&world).await?;
        let [(_, ours, _), (_, theirs, _)] = both("1");
        refused(&deps, &signed(&world, CONNECT, theirs.to_string()), "no secret").await?;
        let header = super::header("", world.now().unix_timestamp(), theirs.to_string().as_bytes());
        refused(&deps, &super::with_header(CONNECT, theirs.to_string(), &header), "the empty secret").await?;
        nothing_was_recorded(&world).await?;
        received(&deps, &signed(&world, PLATFORM, ours.to_string())).await?;
    }
    Ok(())
}
