//! Every day — list what our accounts at the providers hold and no setup owns.

mod planted;
mod runtime;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use planted::{Account, Thing, plant};
use sandbox::Service;
use shared::runtime::Invocation;
use shared::setup::orphans::{Kind, Report};
use sweep_orphans::{Deps, run};
use testing::{Result, World};

const NAME: &str = "sweep_orphans";

async fn sweep(deps: &Deps) -> Result<Report> {
    let ends_at = Instant::now() + Duration::from_mins(1);
    let invocation = Invocation { id: String::from("an-invocation"), ends_at };
    run(deps, &invocation).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

fn found(report: &Report) -> BTreeSet<Thing> {
    report.orphans.iter().map(|orphan| (orphan.kind, orphan.id.clone())).collect()
}

/// What the providers deleted, by their own count.
fn deleted(world: &World) -> u64 {
    let of_providers =
        |objects: &&sandbox::Objects| matches!(objects.service, Service::Btcpay | Service::Voltage);
    world.sandbox.objects().iter().filter(of_providers).map(|objects| objects.deleted).sum()
}

#[tokio::test]
async fn of_a_hundred_orphans_beside_a_hundred_look_alikes_it_finds_the_orphans_and_deletes_nothing()
-> Result<()> {
    let world = World::start().await?;
    let account = Account::new(&world).await?;
    let (orphans, look_alikes) = plant(&account).await?;
    assert!(orphans.len() == 100 && look_alikes >= 100, "{} orphans, {look_alikes} others", orphans.len());
    let deps = world.wire(NAME, Deps::wire).await?;
    let before = deleted(&world);

    let report = sweep(&deps).await?;

    let found = found(&report);
    let missed: Vec<_> = orphans.difference(&found).collect();
    let wrong: Vec<_> = found.difference(&orphans).collect();
    println!(
        "{} of {} orphans found beside {look_alikes} others, {} false",
        found.len() - wrong.len(),
        orphans.len(),
        wrong.len()
    );
    assert!(missed.is_empty() && wrong.is_empty(), "missed {missed:?}, wrong {wrong:?}");
    assert_eq!(report.orphans.len(), 100, "one is named twice");
    assert_eq!(deleted(&world), before, "something was deleted");
    Ok(())
}

#[tokio::test]
async fn a_report_is_kept_and_audited_and_an_empty_one_is_not() -> Result<()> {
    let world = World::start().await?;
    let account = Account::new(&world).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    assert!(sweep(&deps).await?.orphans.is_empty());
    assert_eq!(world.db.count("SELECT count(*) FROM orphan_reports").await?, 0);

    let store = account.store_of_nobody()?;
    let report = sweep(&deps).await?;

    assert_eq!(found(&report), BTreeSet::from([(Kind::BtcpayStore, store)]));
    let kept =
        format!("SELECT jsonb_array_length(items)::bigint FROM orphan_reports WHERE id = '{}'", report.id);
    assert_eq!(world.db.count(&kept).await?, 1);
    let audited = format!(
        "SELECT count(*) FROM audit_logs WHERE action = 'orphans.found' AND resource_id = '{}'
         AND request_id = 'an-invocation'",
        report.id
    );
    assert_eq!(world.db.count(&audited).await?, 1);
    Ok(())
}

#[tokio::test]
async fn run_twice_or_two_at_once_it_says_the_same_each_time() -> Result<()> {
    let world = World::start().await?;
    let account = Account::new(&world).await?;
    let stores = [account.store_of_nobody()?, account.store_of_nobody()?];
    let expected: BTreeSet<Thing> = stores.into_iter().map(|id| (Kind::BtcpayStore, id)).collect();
    let deps = world.wire(NAME, Deps::wire).await?;
    let other = world.wire(NAME, Deps::wire).await?;

    let first = sweep(&deps).await?;
    world.advance(time::Duration::days(3));
    let (second, third) = tokio::join!(sweep(&deps), sweep(&other));

    for report in [first, second?, third?] {
        assert_eq!(found(&report), expected);
    }
    assert_eq!(deleted(&world), 0);
    assert_eq!(world.db.count("SELECT count(DISTINCT items) FROM orphan_reports").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_a_setup_comes_to_own_is_an_orphan_no_more() -> Result<()> {
    let world = World::start().await?;
    let account = Account::new(&world).await?;
    let setup = account.running("bob").await?;
    let store = account.store(&account.marker(setup, 1).await?)?;
    let deps = world.wire(NAME, Deps::wire).await?;
    assert!(sweep(&deps).await?.orphans.is_empty(), "an unfinished setup may yet find it");
    account.set(setup, "state = 'undone'").await?;
    assert_eq!(found(&sweep(&deps).await?), BTreeSet::from([(Kind::BtcpayStore, store.clone())]));
    account.set(setup, &format!("state = 'running', btcpay_store_id = '{store}'")).await?;
    assert!(sweep(&deps).await?.orphans.is_empty(), "it is the one in use");
    Ok(())
}

#[tokio::test]
async fn only_a_node_that_has_a_wallet_may_hold_funds() -> Result<()> {
    let world = World::start().await?;
    let account = Account::new(&world).await?;
    let bare = account.node_of_nobody().await?;
    let with_wallet = account.node_of_nobody().await?;
    account.give_wallet(&with_wallet).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let report = sweep(&deps).await?;
    let has_wallet =
        |id: &str| report.orphans.iter().find(|orphan| orphan.id == id).map(|orphan| orphan.has_wallet);
    assert_eq!((has_wallet(&bare), has_wallet(&with_wallet)), (Some(false), Some(true)));
    Ok(())
}

#[tokio::test]
async fn half_a_look_is_no_report() -> Result<()> {
    let world = World::start().await?;
    let account = Account::new(&world).await?;
    account.store_of_nobody()?;
    let deps = world.wire(NAME, Deps::wire).await?;
    world.sandbox.faults().away(Service::Voltage);
    let error = sweep(&deps).await.map(|report| report.orphans);
    assert!(error.as_ref().is_err_and(|error| error.to_string().contains("VOLTAGE_")), "{error:?}");
    assert_eq!(world.db.count("SELECT count(*) FROM orphan_reports").await?, 0);

    world.sandbox.faults().back(Service::Voltage);
    world.advance(time::Duration::minutes(1));
    assert_eq!(sweep(&deps).await?.orphans.len(), 1);
    Ok(())
}
