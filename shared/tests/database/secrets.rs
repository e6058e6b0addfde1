//! Secrets Manager away from a function that has been running.

use std::time::{Duration, Instant};

use sandbox::{Misbehaviour, Route, Service, When};
use shared::audit::{AuditDocument, AuditKey};
use shared::secrets::SecretHandle;
use testing::{Result, World};
use time::Duration as Span;

const KEPT_FOR: Span = Span::seconds(300);

async fn wire(world: &World) -> Result<SecretHandle<AuditKey>> {
    world.wire("seal_audit_heads", |config| config.secret::<AuditDocument, AuditKey>("AUDIT_SECRET")).await
}

fn stall(world: &World) -> Result<()> {
    let stall = Misbehaviour::stall(Duration::from_secs(20));
    world.sandbox.faults().add(Route::service(Service::SecretsManager), When::Always, stall)
}

#[tokio::test]
async fn a_kept_copy_serves_past_its_time_and_nobody_waits_long_for_a_newer_one() -> Result<()> {
    // given a function that has a copy, whose time is up while Secrets Manager does not answer
    let world = World::start().await?;
    let secret = wire(&world).await?;
    stall(&world)?;
    world.advance(KEPT_FOR + Span::seconds(1));

    // when it is asked for again and again
    let started = Instant::now();
    for _ in 0..50 {
        secret.get().await?;
    }

    // then the copy comes, and only the first request waited, and not for long
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn secrets_manager_is_asked_again_once_it_may_be_back() -> Result<()> {
    // given a copy used past its time because Secrets Manager was away
    let world = World::start().await?;
    let secret = wire(&world).await?;
    world.sandbox.faults().down(Service::SecretsManager);
    world.advance(KEPT_FOR + Span::seconds(1));
    secret.get().await?;
    let reads = world.sandbox.secrets().reads("satchel/audit");

    // when it is back, and half a minute has passed
    world.sandbox.faults().up(Service::SecretsManager);
    secret.get().await?;
    assert_eq!(world.sandbox.secrets().reads("satchel/audit"), reads, "asked too soon");
    world.advance(Span::seconds(31));
    secret.get().await?;

    // then it was asked
    assert_eq!(world.sandbox.secrets().reads("satchel/audit"), reads + 1);
    Ok(())
}
