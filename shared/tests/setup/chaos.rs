//! Anything at all becomes of one call in five, drawn from a seed: `SATCHEL_SEED` repeats a run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use sandbox::{Chaos, Misbehaviour, Service};
use testing::Result;

use crate::check;
use crate::scene::{Scene, SceneOptions, User, beside, first_seed, full, joined};

const PROVIDERS: [Service; 3] = [Service::Btcpay, Service::Voltage, Service::Lnd];
/// Of all calls, one with trouble.
const FRACTION: f64 = 0.2;
/// A retry is one run more.
const RETRIES: u32 = 5;
/// So many are settled at a time: every retry here takes a quarter of an hour, and who finished a day ago is given up.
const FINISHED: usize = 25;
/// Looks through both accounts until every setup is settled: each has its calls in trouble, too.
const LOOKS: u32 = 30;

/// Setups one after the other in a world of their own: the calls come in the same order each time.
#[derive(Clone, Copy)]
struct Plan {
    worlds: u64,
    setups: usize,
    fraction: f64,
    /// How long a provider may take, and how long one that is slow does.
    timeout: Duration,
    slow: Duration,
}

/// As in a deployment: a call is given up after ten seconds, and what is slow answers after 29.
const REAL: Plan = Plan {
    worlds: 8,
    setups: 50,
    fraction: FRACTION,
    timeout: Duration::from_secs(10),
    slow: Duration::from_secs(29),
};
/// The same, sixteen times as fast.
const FAST: Plan = Plan {
    worlds: 12,
    setups: 25,
    fraction: FRACTION,
    timeout: Duration::from_millis(600),
    slow: Duration::from_millis(1_740),
};
/// More worlds rather than larger ones: a list holds everything that an account has.
const FULL: Plan = Plan { worlds: 80, setups: 125, ..FAST };
const UNDISTURBED: Plan = Plan { worlds: 4, fraction: 0.0, timeout: Duration::from_secs(10), ..FAST };
/// Worlds at a time: most of the time they wait.
const AT_ONCE: usize = 16;

#[derive(Default)]
struct Tally {
    setups: u64,
    /// How many took so many retries.
    retries: BTreeMap<u32, u64>,
    struck: BTreeMap<&'static str, u64>,
    extras: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.setups += other.setups;
        self.extras += other.extras;
        for (retries, setups) in other.retries {
            *self.retries.entry(retries).or_default() += setups;
        }
        for (kind, calls) in other.struck {
            *self.struck.entry(kind).or_default() += calls;
        }
    }

    fn at_first_try(&self) -> u64 {
        self.retries.get(&0).copied().unwrap_or_default()
    }
}

fn chaos(plan: Plan, seed: u64) -> Chaos {
    let mut chaos = Chaos::everything(seed, plan.fraction, plan.slow);
    for kind in &mut chaos.kinds {
        if let Misbehaviour::RateLimited { retry_after } = kind {
            *retry_after = u32::from(plan.timeout == REAL.timeout);
        }
    }
    chaos
}

/// Whatever store or node the database ever named for a setup, however short a moment.
async fn watch(scene: &Scene) -> Result<()> {
    let sql = "CREATE TABLE named (setup_id uuid, generation integer, store text, node text);
        CREATE FUNCTION note_named() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
        BEGIN
            INSERT INTO named VALUES (NEW.id, NEW.generation, NEW.btcpay_store_id, NEW.voltage_node_id);
            RETURN NULL;
        END $$;
        CREATE TRIGGER note_named AFTER INSERT OR UPDATE ON lightning_setups
            FOR EACH ROW EXECUTE FUNCTION note_named()";
    Ok(scene.admin.batch_execute(sql).await?)
}

/// One store for good, one node until it is given up for the next, and each of them one user's only.
async fn never_were_two_in_use(scene: &Scene) -> Result<()> {
    for (what, by, of) in [
        ("stores of a setup", "setup_id", "store"),
        ("nodes of a setup", "(setup_id, generation)", "node"),
        ("setups of a store", "store", "setup_id"),
        ("setups of a node", "node", "setup_id"),
    ] {
        let most = format!(
            "SELECT COALESCE(max(n), 0) FROM (SELECT count(DISTINCT {of}) AS n FROM named
             WHERE {} IS NOT NULL GROUP BY {by}) AS counted",
            if of == "setup_id" { by } else { of }
        );
        let most = scene.number(&most).await?;
        ensure!(most == 1, "{most} {what}");
    }
    Ok(())
}

/// Until every finished setup has been looked through, in the same trouble.
async fn settles(scene: &Scene) -> Result<()> {
    let unsettled = "SELECT count(*) FROM lightning_setups WHERE settled_at IS NULL";
    for _ in 0..LOOKS {
        if let Err(error) = scene.settle().await {
            println!("settled later: {error:#}");
        }
        if scene.number(unsettled).await? == 0 {
            return Ok(());
        }
    }
    anyhow::bail!("not settled after {LOOKS} looks")
}

async fn world(seed: u64, plan: Plan) -> Result<Tally> {
    let options = SceneOptions { seed, timeout: plan.timeout, pool: 2, ..SceneOptions::default() };
    let scene = Scene::start_with(options).await?;
    watch(&scene).await?;
    let faults = scene.world.sandbox.faults();
    for service in PROVIDERS {
        faults.set_chaos(service, chaos(plan, seed))?;
    }
    let (mut tally, mut users) = (Tally::default(), Vec::new());
    for number in 1..=plan.setups {
        let user = scene.user(&format!("user-{number}")).await?;
        scene.first_run(&user).await?;
        *tally.retries.entry(scene.finish(&user, RETRIES).await?).or_default() += 1;
        users.push(user);
        if number.is_multiple_of(FINISHED) || number == plan.setups {
            // What was given up and is on its way arrives before anybody looks.
            tokio::time::sleep(plan.slow).await;
            settles(&scene).await?;
        }
    }
    for service in PROVIDERS {
        for (kind, calls) in faults.chaos_struck(service) {
            *tally.struck.entry(kind).or_default() += calls;
        }
    }
    faults.clear();
    tally.setups = u64::try_from(users.len())?;
    tally.extras = all_is_well(&scene, &users).await?;
    Ok(tally)
}

/// Returns how many stores and nodes were made and deleted again.
async fn all_is_well(scene: &Scene, users: &[User]) -> Result<u64> {
    for user in users {
        check::whole(scene, user).await?;
    }
    never_were_two_in_use(scene).await?;
    check::nothing_left_over(scene, i64::try_from(users.len())?).await?;
    let mut extras = 0;
    for (service, kind) in
        [(Service::Btcpay, "store"), (Service::Voltage, "node"), (Service::Btcpay, "webhook")]
    {
        let made = scene.made(service, kind);
        ensure!(made.kept == users.len() as u64, "{} of {kind} for {} users", made.kept, users.len());
        extras += made.created - made.kept;
    }
    Ok(extras)
}

/// World after world, some at a time.
fn worlds(name: &str, plan: Plan, at_once: usize) -> Result<Tally> {
    let (first, began) = (first_seed(), Instant::now());
    let mut seeds = first..first + plan.worlds;
    let (mut running, mut tally, mut wrong) = (Vec::new(), Tally::default(), Vec::new());
    loop {
        while running.len() < at_once
            && let Some(seed) = seeds.next()
        {
            running.push((seed, beside(move || world(seed, plan))));
        }
        let Some(at) = running.iter().position(|(_, world)| world.is_finished()) else {
            if running.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        let (seed, world) = running.swap_remove(at);
        match joined(world) {
            Ok(of_world) => tally.add(of_world),
            Err(error) => wrong.push(format!("SATCHEL_SEED={seed}: {error:#}")),
        }
    }
    println!(
        "{name}: {} setups from seed {first}, {} at the first try, by retries {:?}, {} extras deleted, {} s\n  {:?}",
        tally.setups,
        tally.at_first_try(),
        tally.retries,
        tally.extras,
        began.elapsed().as_secs(),
        tally.struck,
    );
    ensure!(wrong.is_empty(), "{} worlds end badly\n{}", wrong.len(), wrong.join("\n\n"));
    Ok(tally)
}

#[test]
fn with_one_call_in_five_in_trouble_every_setup_ends_whole_within_five_retries() -> Result<()> {
    let tally = worlds("one call in five", if full() { FULL } else { FAST }, AT_ONCE)?;
    ensure!(tally.struck.len() == 12, "kinds of trouble that came up: {:?}", tally.struck);
    if full() {
        worlds("at the pace of the world", REAL, AT_ONCE)?;
    }
    Ok(())
}

#[test]
fn without_trouble_every_setup_is_whole_at_the_first_try() -> Result<()> {
    let tally = worlds("undisturbed", UNDISTURBED, AT_ONCE)?;
    ensure!(tally.at_first_try() == tally.setups, "by retries: {:?}", tally.retries);
    ensure!(tally.extras == 0 && tally.struck.is_empty(), "{} extras, {:?}", tally.extras, tally.struck);
    Ok(())
}
