//! Setups that need longer than a request may take.

use std::time::Instant;

use sandbox::lnd::Delay;
use sandbox::{Misbehaviour, Route, Service, When};
use setup_lightning::Deps;
use testing::{Result, World};
use time::Duration;

use super::{DID, NAME, User, calls, one_of_each, rows, satoshi, send, step, wire};

/// One look at the node is all a request takes.
const SLOWLY: &[(&str, &str)] = &[("SETUP_POLL_MILLISECONDS", "60000")];

/// A world whose nodes are not ready at the first look.
async fn slow_world() -> Result<World> {
    let world = World::start().await?;
    world.sandbox.voltage().set_delay(Delay { polls: 2, milliseconds: 0 });
    Ok(world)
}

#[tokio::test]
async fn a_node_that_needs_longer_is_a_202_that_says_where_and_when_to_ask() -> Result<()> {
    let world = slow_world().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, SLOWLY, Deps::wire).await?;
    let answer = send(&deps, &user.setup(&satoshi())).await?;

    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (202, "in_progress"), "{answer:?}");
    assert_eq!(answer.header("location"), Some("/v1/lightning/setup"));
    assert_eq!(answer.header("retry-after"), Some("10"));
    assert_eq!(
        (&answer.body["hasVoltageNode"], &answer.body["hasBTCPayStore"]),
        (&true.into(), &false.into())
    );
    assert_eq!(answer.body["canRetry"], false);
    let waits = step(&answer, "await_node")?;
    assert_eq!((&waits["state"], &waits["lastErrorCode"]), (&"running".into(), &"NODE_STARTING".into()));
    assert_eq!(step(&answer, "create_store")?["state"], "pending");

    let called = calls(&world);
    let status = send(&deps, &user.status()).await?;
    assert_eq!((status.status.as_u16(), &status.body), (200, &answer.body));
    assert_eq!((status.header("retry-after"), status.header("location")), (Some("10"), None));
    for call in [user.setup(&satoshi()), user.retry()] {
        let early = send(&deps, &call).await?;
        assert_eq!((early.status.as_u16(), &early.body), (202, &answer.body), "it is not due yet");
    }
    assert_eq!(calls(&world), called);

    world.advance(Duration::seconds(58));
    assert_eq!(send(&deps, &user.status()).await?.header("retry-after"), Some("2"));
    world.advance(Duration::seconds(2));
    let done = send(&wire(&world).await?, &user.setup(&satoshi())).await?;
    assert_eq!((done.status.as_u16(), done.text("/status")?), (200, "fully_configured"), "{done:?}");
    assert_eq!(step(&done, "await_node")?["lastErrorCode"], serde_json::Value::Null);
    one_of_each(&world).await
}

#[tokio::test]
async fn a_retry_of_one_that_waits_runs_it_when_it_is_due() -> Result<()> {
    let world = slow_world().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, SLOWLY, Deps::wire).await?;
    assert_eq!(send(&deps, &user.setup(&satoshi())).await?.status, 202);
    world.advance(Duration::seconds(60));
    let off = world.wire_with(NAME, &[("SETUP_ENABLED", "false")], Deps::wire).await?;
    let done = send(&off, &user.retry()).await?;
    assert_eq!((done.status.as_u16(), done.text("/status")?), (200, "fully_configured"), "what runs goes on");
    assert_eq!(rows(&world, "audit_logs WHERE action = 'setup.retried'").await?, 0);
    one_of_each(&world).await
}

#[tokio::test]
async fn a_setup_in_somebody_elses_hands_is_told_of_and_left_alone() -> Result<()> {
    let world = slow_world().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, SLOWLY, Deps::wire).await?;
    assert_eq!(send(&deps, &user.setup(&satoshi())).await?.status, 202);
    world.advance(Duration::seconds(60));
    let mut resumer = world.db.admin().await?;
    let claim = resumer.transaction().await?;
    claim.batch_execute("SELECT 1 FROM lightning_setups FOR UPDATE").await?;
    let called = calls(&world);
    let answer = send(&deps, &user.setup(&satoshi())).await?;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (202, Some("1")), "{answer:?}");
    assert_eq!(calls(&world), called);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_hangs_holds_no_caller_longer_than_the_gateway_waits() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let patient = [("SETUP_RUN_SECONDS", "1"), ("UPSTREAM_TIMEOUT_MILLISECONDS", "30000")];
    let deps = world.wire_with(NAME, &patient, Deps::wire).await?;
    let stores = Route::service(Service::Btcpay).method("POST").path("/btcpay/api/v1/stores");
    world.sandbox.faults().add(stores, When::Times(1), Misbehaviour::StallAfter { millis: 29_000 })?;
    let begun = Instant::now();
    let answer = send(&deps, &user.setup(&satoshi())).await?;
    assert!(begun.elapsed() < std::time::Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (202, "in_progress"), "{answer:?}");
    assert_eq!(step(&answer, "create_store")?["state"], "running");

    // As after a crash, its lease has to run out; the store that was made is found.
    world.advance(Duration::seconds(90));
    let done = send(&deps, &user.setup(&satoshi())).await?;
    assert_eq!(done.text("/status")?, "fully_configured", "{done:?}");
    assert_eq!(step(&done, "create_store")?["attempts"], 2);
    one_of_each(&world).await
}
