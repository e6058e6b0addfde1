//! Runs that cannot end as they began.

use std::time::Duration;

use sandbox::{Misbehaviour, Route, Service, When};
use testing::{Outcome, Result, World, deployment};
use time::Duration as Span;

use super::{DID, User, one_of_each, rows, satoshi, send, step, wire};

/// Long enough to do something meanwhile.
const STALL: Duration = Duration::from_millis(800);
const MEANWHILE: Duration = Duration::from_millis(400);

/// Asks for a setup whose store takes its time, and does something else while it does.
async fn meanwhile(world: &World, user: &User, act: impl AsyncFnOnce() -> Result<()>) -> Result<Outcome> {
    let deps = wire(world).await?;
    let stores = Route::service(Service::Btcpay).method("POST").path("/btcpay/api/v1/stores");
    world.sandbox.faults().add(stores, When::Times(1), Misbehaviour::stall(STALL))?;
    let call = user.setup(&satoshi());
    let (answer, acted) = tokio::join!(send(&deps, &call), async {
        tokio::time::sleep(MEANWHILE).await;
        act().await
    });
    acted?;
    answer
}

#[tokio::test]
async fn a_run_whose_lease_went_to_somebody_else_writes_nothing_and_tells_how_it_stands() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let answer = meanwhile(&world, &user, async || {
        let taken = "UPDATE lightning_setups SET lease_token = lease_token + 1";
        Ok(world.db.admin().await?.batch_execute(taken).await?)
    })
    .await?;
    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (202, "in_progress"), "{answer:?}");
    assert_eq!(
        (&step(&answer, "create_store")?["state"], &answer.body["hasBTCPayStore"]),
        (&"running".into(), &false.into())
    );

    world.advance(Span::seconds(90));
    let done = send(&wire(&world).await?, &user.setup(&satoshi())).await?;
    assert_eq!(done.text("/status")?, "fully_configured", "{done:?}");
    one_of_each(&world).await
}

#[tokio::test]
async fn a_database_that_goes_in_the_middle_is_a_503_and_nothing_is_made_twice() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let elsewhere = deployment::sibling(&world.db.admin_database_url()?, "postgres", None)?;
    let admin = deployment::connect(&elsewhere).await?;
    let name = &world.db.name;
    let answer = meanwhile(&world, &user, async || {
        admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
        let end = format!(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        Ok(admin.batch_execute(&end).await?)
    })
    .await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));

    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await?;
    let deps = wire(&world).await?;
    let early = send(&deps, &user.setup(&satoshi())).await?;
    assert_eq!((early.status.as_u16(), early.text("/status")?), (202, "in_progress"), "its lease runs on");
    world.advance(Span::seconds(90));
    let done = send(&deps, &user.setup(&satoshi())).await?;
    assert_eq!(done.text("/status")?, "fully_configured", "{done:?}");
    one_of_each(&world).await
}

#[tokio::test]
async fn what_may_not_be_written_is_our_mistake_and_stays_as_it_was() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let answer = meanwhile(&world, &user, async || {
        let revoked = "REVOKE UPDATE ON lightning_setups FROM satchel_api";
        Ok(world.db.admin().await?.batch_execute(revoked).await?)
    })
    .await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    assert_eq!(
        rows(&world, "lightning_setups WHERE state = 'running' AND btcpay_store_id IS NULL").await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_token_that_ran_out_during_its_own_run_is_told_the_outcome() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let answer = meanwhile(&world, &user, async || {
        world.advance(Span::hours(1));
        Ok(())
    })
    .await?;
    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (200, "fully_configured"), "{answer:?}");
    let after = send(&wire(&world).await?, &user.status()).await?;
    assert_eq!(after.refusal()?, (401, "TOKEN_EXPIRED"));
    Ok(())
}

#[tokio::test]
async fn a_session_revoked_during_a_run_is_told_nothing() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let answer = meanwhile(&world, &user, async || {
        let revoked = "UPDATE sessions SET revoked_at = '2026-01-09 12:00Z'";
        Ok(world.db.admin().await?.batch_execute(revoked).await?)
    })
    .await?;
    assert_eq!(answer.refusal()?, (401, "UNAUTHENTICATED"));
    one_of_each(&world).await
}
