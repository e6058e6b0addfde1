//! Several at once, and several resumers.

use std::time::{Duration, Instant};

use sandbox::{Misbehaviour, Route, Service, When};
use shared::setup::NodeSource;
use testing::{Result, World};

use super::{NAME, begin_many, one_store_and_one_node_each, report, resume, resume_for, wire};

/// Of which the last twenty seconds are kept back.
const SECONDS: u64 = 20;

#[tokio::test]
async fn two_at_once_share_the_work_and_take_each_setup_once() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 40).await?;
    let (first, second) = (wire(&world).await?, wire(&world).await?);

    let (first, second) = tokio::join!(resume(&first), resume(&second));

    let (first, second) = (first?, second?);
    assert_eq!(first.finished + second.finished, 40, "{first:?} {second:?}");
    assert!(first.resumed > 0 && second.resumed > 0, "{first:?} {second:?}");
    assert_eq!(world.db.count("SELECT sum(runs) FROM lightning_setups").await?, 40);
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn setups_run_side_by_side_and_never_more_than_there_are_connections() -> Result<()> {
    let world = World::start().await?;
    let create = "/voltage/node/create";
    let route = Route::service(Service::Voltage).path(create);
    world.sandbox.faults().add(route, When::Always, Misbehaviour::Hang)?;
    for (pool, concurrency, expected) in [("8", "8", 8), ("2", "8", 2), ("8", "3", 3)] {
        begin_many_of(&world, pool, concurrency).await?;
        let changed = [("DATABASE_POOL_SIZE", pool), ("RESUME_CONCURRENCY", concurrency)];
        let deps = world.wire_with(NAME, &changed, resume_lightning_setups::Deps::wire).await?;
        let before = world.sandbox.calls_to(Service::Voltage, create);
        let called = || world.sandbox.calls_to(Service::Voltage, create) - before;
        tokio::select! {
            done = resume(&deps) => panic!("nobody answers, and it ended: {done:?}"),
            () = async {
                while called() < expected {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            } => {}
        }
        assert_eq!(called(), expected, "{concurrency} at a time, {pool} connections");
    }
    Ok(())
}

async fn begin_many_of(world: &World, pool: &str, concurrency: &str) -> Result<()> {
    for at in 0..10 {
        super::begin(world, &format!("{pool}-{concurrency}-{at}"), NodeSource::Voltage).await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_takes_nothing_up_when_its_time_is_nearly_over_and_the_next_one_goes_on() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 24).await?;
    let route = Route::service(Service::Voltage).path("/voltage/node/create");
    let faults = world.sandbox.faults();
    faults.add(route, When::Always, Misbehaviour::stall(Duration::from_millis(700)))?;
    let deps = wire(&world).await?;

    let started = Instant::now();
    let first = resume_for(&deps, Duration::from_secs(SECONDS + 1)).await?;
    let took = started.elapsed();

    assert!(took < Duration::from_secs(SECONDS), "it took {took:?}");
    assert!(first.resumed > 0 && first.resumed < 24, "{first:?}");
    assert_eq!(resume_for(&deps, Duration::from_secs(SECONDS)).await?, report(0, 0, 0));
    faults.clear();
    let second = resume(&deps).await?;
    assert_eq!(first.finished + second.finished, 24, "{first:?} {second:?}");
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn setups_that_only_wait_for_their_node_do_not_keep_the_others() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let setups = begin_many(&world, 6).await?;
    // Each is looked at some forty times before it is there.
    world.sandbox.voltage().set_delay(sandbox::lnd::Delay { polls: 40, milliseconds: 0 });
    let changed = [("RESUME_CONCURRENCY", "1")];
    let deps = world.wire_with(NAME, &changed, resume_lightning_setups::Deps::wire).await?;
    assert_eq!(resume(&deps).await?, report(6, 0, 0));
    one_store_and_one_node_each(&world, &setups).await
}
