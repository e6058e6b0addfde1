//! Every minute — take up the Lightning setups that are due, and drive each as far as it goes.

mod killed;
mod plan;
mod runtime;
mod side_by_side;
mod trouble;

use std::time::{Duration, Instant};

use resume_lightning_setups::{Deps, Report, run};
use sandbox::Service;
use shared::random::Random;
use shared::runtime::Invocation;
use shared::setup::settle::Settled;
use shared::setup::{Intent, NodeSource, Setup, State, row};
use testing::world::LIGHTNING_ADDRESS_DOMAIN;
use testing::{Result, World};
use tokio_postgres::types::Type;
use uuid::Uuid;

const NAME: &str = "resume_lightning_setups";
/// More than any run here takes, and what is kept back of it.
const A_RUN: Duration = Duration::from_secs(80);
const NOTHING: Settled = Settled { setups: 0, stores_deleted: 0, nodes_deleted: 0 };

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn resume(deps: &Deps) -> Result<Report> {
    resume_for(deps, A_RUN).await
}

/// As if the platform gave it this long.
async fn resume_for(deps: &Deps, time: Duration) -> Result<Report> {
    let invocation = Invocation { id: String::from("an-invocation"), ends_at: Instant::now() + time };
    run(deps, &invocation).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

fn report(finished: usize, failed: usize, waiting: usize) -> Report {
    let resumed = finished + failed + waiting;
    Report { resumed, finished, failed, waiting, unlocked: Some(0), settled: Some(NOTHING) }
}

/// An account that has asked for a setup, and no more.
async fn begin(world: &World, name: &str, source: NodeSource) -> Result<Uuid> {
    let (random, now) = (Random::system(), world.now());
    let (user_id, id) = (random.id(now), random.id(now));
    let admin = world.db.admin().await?;
    let insert = "INSERT INTO users (id, created_at, updated_at) VALUES ($1, $2, $2)";
    admin.execute_typed(insert, &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)]).await?;
    let intent = Intent::parse((name, None, Some(source.name())), LIGHTNING_ADDRESS_DOMAIN);
    let intent = intent.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
    row::begin(&admin, (id, user_id), &intent, now).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(id)
}

/// `setup-0`, `setup-1`, … with nodes to be made for them.
async fn begin_many(world: &World, number: usize) -> Result<Vec<Uuid>> {
    let mut setups = Vec::new();
    for at in 0..number {
        setups.push(begin(world, &format!("setup-{at}"), NodeSource::Voltage).await?);
    }
    Ok(setups)
}

async fn setup(world: &World, id: Uuid) -> Result<Setup> {
    let found = row::find(&world.db.admin().await?, id).await?;
    found.ok_or_else(|| anyhow::anyhow!("there is no setup {id}"))
}

async fn run_sql(world: &World, sql: &str) -> Result<()> {
    Ok(world.db.admin().await?.batch_execute(sql).await?)
}

/// Each setup has a store and a node of its own, and there are no others: by the providers' own count.
async fn one_store_and_one_node_each(world: &World, setups: &[Uuid]) -> Result<()> {
    let (stores, nodes) = (world.sandbox.btcpay().stores(), world.sandbox.voltage().nodes());
    assert_eq!((stores.len(), nodes.len()), (setups.len(), setups.len()));
    for id in setups {
        let setup = setup(world, *id).await?;
        assert_eq!(setup.state, State::Finished, "{setup:?}");
        let store = stores.iter().find(|store| Some(&store.id) == setup.btcpay_store_id.as_ref());
        let store = store.ok_or_else(|| anyhow::anyhow!("its store is not there: {setup:?}"))?;
        assert!(store.payment_method.as_ref().is_some_and(|method| method.enabled), "{store:?}");
        assert_eq!(store.webhooks.len(), 1, "{store:?}");
        assert!(nodes.iter().any(|node| Some(&node.node_id) == setup.voltage_node_id.as_ref()), "{setup:?}");
    }
    for (service, kind) in [(Service::Btcpay, "store"), (Service::Voltage, "node")] {
        let objects = world.sandbox.objects();
        let counted = objects.iter().find(|objects| objects.service == service && objects.kind == kind);
        let counted = counted.ok_or_else(|| anyhow::anyhow!("no {kind} was counted: {objects:?}"))?;
        assert_eq!(counted.created - counted.deleted, setups.len() as u64, "{counted:?}");
    }
    assert_eq!(
        world.db.count("SELECT count(*) FROM lightning_addresses").await?,
        i64::try_from(setups.len())?
    );
    Ok(())
}

#[tokio::test]
async fn what_is_due_is_driven_to_the_end() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 12).await?;

    assert_eq!(resume(&wire(&world).await?).await?, report(12, 0, 0));

    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn what_is_not_due_or_not_running_is_left_alone() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 4).await?;
    for (id, set) in setups.iter().zip([
        "due_at = due_at + interval '1 minute'",
        "state = 'failed'",
        "state = 'undone'",
        "state = 'finished', btcpay_store_id = 's', btcpay_webhook_id = 'w', voltage_node_id = 'n', finished_at = due_at",
    ]) {
        run_sql(&world, &format!("UPDATE lightning_setups SET {set} WHERE id = '{id}'")).await?;
    }

    assert_eq!(resume(&wire(&world).await?).await?, report(0, 0, 0));

    assert!(world.sandbox.btcpay().stores().is_empty() && world.sandbox.voltage().nodes().is_empty());
    assert_eq!(world.db.count("SELECT sum(runs) FROM lightning_setups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn run_twice_it_finds_nothing_the_second_time() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 3).await?;
    let deps = wire(&world).await?;

    assert_eq!(resume(&deps).await?, report(3, 0, 0));
    assert_eq!(resume(&deps).await?, report(0, 0, 0));

    assert_eq!(world.db.count("SELECT max(runs)::bigint FROM lightning_setups").await?, 1);
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn missed_for_a_day_it_catches_up() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 20).await?;
    // Whoever ran some of them died on the way.
    run_sql(&world, "UPDATE lightning_setups SET due_at = due_at + interval '90 seconds', lease_token = 7")
        .await?;
    world.advance(time::Duration::days(1));
    let deps = wire(&world).await?;

    assert_eq!(resume(&deps).await?, report(20, 0, 0));
    one_store_and_one_node_each(&world, &setups).await?;

    world.advance(time::Duration::days(1));
    let settled = Settled { setups: 20, ..NOTHING };
    assert_eq!(resume(&deps).await?, Report { settled: Some(settled), ..report(0, 0, 0) });
    assert_eq!(resume(&deps).await?, report(0, 0, 0));
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn what_was_made_twice_is_deleted_once_its_setup_is_settled() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 2).await?;
    let deps = wire(&world).await?;
    resume(&deps).await?;
    // The request arrives once more, long after its answer.
    let btcpay = world.sandbox.btcpay();
    let first = btcpay.stores().into_iter().next().ok_or_else(|| anyhow::anyhow!("no store"))?;
    let extra = btcpay.add_store(&first.name, first.website.as_deref())?;
    let bystander = btcpay.add_store("a shop of somebody's", Some("https://shop.example"))?;
    assert_eq!(resume(&deps).await?, report(0, 0, 0), "it is too early to say that it is an extra");

    world.advance(time::Duration::minutes(2));

    let settled = Settled { setups: 2, stores_deleted: 1, nodes_deleted: 0 };
    assert_eq!(resume(&deps).await?, Report { settled: Some(settled), ..report(0, 0, 0) });
    assert!(btcpay.store(&extra).is_none() && btcpay.store(&bystander).is_some());
    for id in setups {
        let store = setup(&world, id).await?.btcpay_store_id.unwrap_or_default();
        assert!(btcpay.store(&store).is_some(), "the one in use was deleted");
    }
    Ok(())
}

#[tokio::test]
async fn a_seed_that_is_in_its_owner_s_hands_is_forgotten() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 3).await?;
    let deps = wire(&world).await?;
    resume(&deps).await?;
    for (id, ago) in setups.iter().zip(["59 seconds", "61 seconds"]) {
        let now = world.now();
        let sql = format!(
            "UPDATE lightning_setup_secrets SET seed_handed_over_at = '{now}'::timestamptz - interval '{ago}'
             WHERE setup_id = '{id}'"
        );
        run_sql(&world, &sql).await?;
    }
    resume(&deps).await?;
    let kept = "SELECT count(*) FROM lightning_setup_secrets WHERE seed_sealed IS NOT NULL AND setup_id ";
    assert_eq!(world.db.count(&format!("{kept} <> '{}'", setups[1])).await?, 2);
    assert_eq!(world.db.count(&format!("{kept} = '{}'", setups[1])).await?, 0);
    Ok(())
}
