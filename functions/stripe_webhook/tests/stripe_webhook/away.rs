//! What it stands on goes away, and Stripe is asked to deliver again.

use anyhow::Context;
use stripe_webhook::Deps;
use testing::{Outcome, Result, World};

use super::{
    NAME, PLATFORM, each_is_paid_once, nothing_was_recorded, paid, payments, received, send, signed, wire,
};

const DATABASE: &str = "satchel/database/webhooks";

fn asks_for_another(answer: &Outcome) -> Result<()> {
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    Ok(())
}

#[tokio::test]
async fn after_the_database_was_away_nothing_is_missing() -> Result<()> {
    let world = World::start().await?;
    let names: Vec<String> = (0..5).map(|nth| nth.to_string()).collect();
    payments(&world, "", &names).await?;
    let document = world.sandbox.secrets().get(DATABASE).context("no such secret")?;
    world.take_database_away("webhooks")?;
    let deps = wire(&world).await?;
    for name in &names {
        asks_for_another(&send(&deps, &signed(&world, PLATFORM, paid(name).to_string())).await?)?;
    }
    nothing_was_recorded(&world).await?;
    // Delivered again, some of it twice, to the same process and to another.
    world.sandbox.secrets().put(DATABASE, &document);
    world.advance(time::Duration::minutes(6));
    for deps in [deps, wire(&world).await?] {
        for name in &names {
            received(&deps, &signed(&world, PLATFORM, paid(name).to_string())).await?;
        }
    }
    each_is_paid_once(&world, 5).await
}

#[tokio::test]
async fn a_connection_that_breaks_while_it_is_held_costs_no_event() -> Result<()> {
    let world = World::start().await?;
    let names: Vec<String> = (0..6).map(|nth| nth.to_string()).collect();
    payments(&world, "", &names).await?;
    let deps = wire(&world).await?;
    // Waits until they are gone, and not only told to go.
    let cut = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
               WHERE datname = current_database() AND usename = 'satchel_webhooks'";
    for name in &names {
        let call = signed(&world, PLATFORM, paid(name).to_string());
        let answer = send(&deps, &call).await?;
        if answer.status != 200 {
            asks_for_another(&answer)?;
            received(&deps, &call).await?;
        }
        world.db.admin().await?.batch_execute(cut).await?;
    }
    each_is_paid_once(&world, 6).await
}

#[tokio::test]
async fn what_the_database_will_not_have_follow_is_kept_to_be_tried_again() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let deps = wire(&world).await?;
    let admin = world.db.admin().await?;
    admin.batch_execute("REVOKE INSERT ON ledger FROM satchel_webhooks").await?;
    let call = signed(&world, PLATFORM, paid("1").to_string());
    received(&deps, &call).await?;
    received(&deps, &call).await?;
    let waiting =
        "webhook_events WHERE state = 'received' AND last_error_code = 'NOT_APPLIED' AND attempts = 1
         AND due_at > received_at";
    assert_eq!((super::rows(&world, waiting).await?, super::rows(&world, "webhook_events").await?), (1, 1));
    for table in ["payment_objects", "ledger", "outbox", "payments WHERE state <> 'created'"] {
        assert_eq!(super::rows(&world, table).await?, 0, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_received() -> Result<()> {
    let world = World::start().await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON webhook_events FROM satchel_webhooks").await?;
    let answer = send(&wire(&world).await?, &signed(&world, PLATFORM, paid("1").to_string())).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn without_the_sealing_key_nothing_is_written_down_in_clear() -> Result<()> {
    let world = World::start().await?;
    world.sandbox.faults().down(sandbox::Service::SecretsManager);
    let mut config = world.config(world.environment(NAME)?);
    let deps = Deps::wire(&mut config);
    let call = signed(&world, PLATFORM, paid("1").to_string());
    asks_for_another(&send(&deps, &call).await?)?;
    nothing_was_recorded(&world).await?;
    world.sandbox.faults().up(sandbox::Service::SecretsManager);
    received(&deps, &call).await
}
