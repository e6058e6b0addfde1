//! `POST /v1/lightning/setup/retry`

use sandbox::{Misbehaviour, Route, Service, When};
use testing::{Result, World};
use time::Duration;

use super::{DID, User, calls, one_of_each, rows, satoshi, send, step, wire};

/// BTCPay refuses this user's next store for good.
fn refuse_next_store(world: &World) -> Result<()> {
    let stores = Route::service(Service::Btcpay).method("POST").path("/btcpay/api/v1/stores");
    let body = r#"[{"path":"Name","message":"canary: not this name"}]"#.into();
    world.sandbox.faults().add(stores, When::Times(1), Misbehaviour::FailBefore { status: 422, body })
}

#[tokio::test]
async fn without_a_setup_there_is_nothing_to_retry() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let answer = send(&wire(&world).await?, &user.retry()).await?;
    assert_eq!(answer.refusal()?, (404, "NOT_FOUND"));
    assert_eq!((rows(&world, "audit_logs").await?, calls(&world)), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_failed_setup_goes_on_where_it_stopped() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    refuse_next_store(&world)?;
    let failed = send(&deps, &user.setup(&satoshi())).await?;
    assert_eq!((failed.status.as_u16(), failed.text("/status")?), (200, "failed"), "{failed:?}");
    assert_eq!(step(&failed, "create_store")?["lastErrorCode"], "BTCPAY_REJECTED");
    assert_eq!(failed.header("retry-after"), None);
    assert!(!failed.reply.body.contains("canary"), "{failed:?}");

    world.advance(Duration::minutes(1));
    let nodes = world.sandbox.calls_to(Service::Voltage, "/voltage/node/create");
    let done = send(&deps, &user.retry()).await?;
    assert_eq!((done.status.as_u16(), done.text("/status")?), (200, "fully_configured"), "{done:?}");
    assert_eq!(step(&done, "create_store")?["attempts"], 2);
    assert_eq!(world.sandbox.calls_to(Service::Voltage, "/voltage/node/create"), nodes);
    let audited =
        "audit_logs WHERE action = 'setup.retried' AND details::text = '{\"step\":\"create_store\"}'";
    assert_eq!(rows(&world, audited).await?, 1);
    one_of_each(&world).await?;

    let called = calls(&world);
    let again = send(&deps, &user.retry()).await?;
    assert_eq!((again.status, &again.body), (done.status, &done.body), "a finished one is only told of");
    assert_eq!((calls(&world), rows(&world, audited).await?), (called, 1));
    Ok(())
}

#[tokio::test]
async fn a_retry_that_cannot_be_audited_changes_nothing() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    refuse_next_store(&world)?;
    send(&deps, &user.setup(&satoshi())).await?;
    let called = calls(&world);
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_api").await?;
    assert_eq!(send(&deps, &user.retry()).await?.refusal()?, (500, "INTERNAL"));
    assert_eq!((rows(&world, "lightning_setups WHERE state = 'failed'").await?, calls(&world)), (1, called));
    Ok(())
}
