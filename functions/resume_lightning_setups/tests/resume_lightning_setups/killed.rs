//! The real binary, killed or stopped in the middle of a setup.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::{Value, json};
use shared::setup::{Marked, Markers, NodeSource, State};
use testing::binary::RuntimeApi;
use testing::{Result, World, request};
use uuid::Uuid;

use super::{NAME, begin, one_store_and_one_node_each, run_sql, setup};

const BINARY: &str = env!("CARGO_BIN_EXE_resume_lightning_setups");
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than anything here waits for an answer.
const FOR_EVER: u64 = 60_000;

/// Every call of a setup, in their order. What was written down before it is all a new process has.
const CALLS: [(Service, &str, &str); 9] = [
    (Service::Voltage, "POST", "/voltage/node/create"),
    (Service::Voltage, "POST", "/voltage/node"),
    (Service::Lnd, "GET", "/v1/genseed"),
    (Service::Lnd, "POST", "/v1/initwallet"),
    (Service::Lnd, "GET", "/v1/state"),
    (Service::Lnd, "POST", "/v1/macaroon"),
    (Service::Btcpay, "POST", "/btcpay/api/v1/stores"),
    (Service::Btcpay, "PUT", "/btcpay/api/v1/stores/"),
    (Service::Btcpay, "POST", "/btcpay/api/v1/stores/"),
];

fn event() -> Result<Value> {
    Ok(serde_json::from_str(&request::event_text(NAME)?)?)
}

/// A call to be held up.
struct Held {
    service: Service,
    method: &'static str,
    path: String,
    is_status: bool,
}

impl Held {
    /// A node is reached under the name that its setup gives it.
    async fn new(world: &World, id: Uuid, call: usize) -> Result<Self> {
        let (service, method, path) = CALLS[call];
        let markers = world.wire(NAME, Markers::wire).await?;
        let marker = markers.get().await?.mark(Marked { setup_id: id, generation: 1 });
        let node = format!("/{marker}.t.voltageapp.io{path}");
        let path = if service == Service::Lnd { node } else { path.to_owned() };
        Ok(Self { service, method, path, is_status: call == 1 })
    }

    fn route(&self) -> Route {
        Route::service(self.service).method(self.method).path(&self.path)
    }

    /// How often it was made.
    fn count(&self, world: &World) -> u64 {
        let calls = world.sandbox.calls();
        let is_meant = |call: &&sandbox::Call| {
            let fits = if self.path.ends_with('/') {
                call.path.starts_with(&self.path)
            } else {
                call.path == self.path
            };
            call.service == self.service && call.method == self.method && fits
        };
        calls.iter().filter(is_meant).map(|call| call.count).sum()
    }

    async fn wait(&self, world: &World, before: u64) -> Result<()> {
        let started = Instant::now();
        while self.count(world) == before {
            anyhow::ensure!(started.elapsed() < PATIENCE, "{} was never called", self.path);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn misbehave(&self, world: &World, misbehave: Misbehaviour) -> Result<()> {
        if self.is_status {
            // Making a node begins with the same path, and is let through.
            let create = Self { path: CALLS[0].2.to_owned(), is_status: false, ..*self };
            let (before, stall) = (create.count(world), Misbehaviour::Stall { millis: 300 });
            world.sandbox.faults().add(create.route(), When::Times(1), stall)?;
            create.wait(world, before).await?;
        }
        world.sandbox.faults().add(self.route(), When::Always, misbehave)
    }
}

/// The binary is killed while it waits for the answer to this call, before or after the work is done.
async fn kill_at(world: &World, id: Uuid, call: usize, misbehave: Misbehaviour) -> Result<()> {
    let api = world.binary(BINARY, NAME).await?;
    let held = Held::new(world, id, call).await?;
    let before = held.count(world);
    let event = event()?;
    let in_the_middle = async {
        held.misbehave(world, misbehave).await?;
        held.wait(world, before).await?;
        // The work is done by then, if it is done at all.
        tokio::time::sleep(Duration::from_millis(20)).await;
        anyhow::Ok(())
    };
    tokio::select! {
        done = api.invoke(&event) => anyhow::bail!("it was not held up at {}: {done:?}", held.path),
        reached = in_the_middle => reached?,
    }
    api.kill().await;
    world.sandbox.faults().clear();
    Ok(())
}

/// Somebody who has waited until its lease was over runs the setup to its end.
async fn resumed(world: &World, id: Uuid) -> Result<()> {
    assert_eq!(setup(world, id).await?.state, State::Running);
    run_sql(world, "UPDATE lightning_setups SET due_at = now() WHERE state = 'running'").await?;
    let api = world.binary(BINARY, NAME).await?;
    let invocation = api.invoke(&event()?).await?;
    anyhow::ensure!(!invocation.is_error, "{invocation:?}\n{:#?}", api.logs());
    let told = invocation.json()?;
    assert_eq!((&told["resumed"], &told["finished"]), (&json!(1), &json!(1)), "{told}\n{:#?}", api.logs());
    Ok(())
}

async fn killed_at_every_call(misbehave: impl Fn() -> Misbehaviour) -> Result<()> {
    for (call, named) in CALLS.iter().enumerate() {
        let world = World::start().await?;
        world.catch_up();
        let id = begin(&world, "alice", NodeSource::Voltage).await?;
        kill_at(&world, id, call, misbehave()).await?;
        resumed(&world, id).await?;
        one_store_and_one_node_each(&world, &[id]).await?;
        println!("{named:?}: finished after a kill");
    }
    Ok(())
}

#[tokio::test]
async fn killed_before_the_work_of_any_call_it_is_finished_by_the_next_run() -> Result<()> {
    killed_at_every_call(|| Misbehaviour::Hang).await
}

#[tokio::test]
async fn killed_after_the_work_of_any_call_and_before_the_commit_it_is_finished_by_the_next_run() -> Result<()>
{
    killed_at_every_call(|| Misbehaviour::StallAfter { millis: FOR_EVER }).await
}

#[tokio::test]
async fn killed_at_every_call_in_turn_one_setup_is_finished_all_the_same() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let id = begin(&world, "alice", NodeSource::Voltage).await?;
    // What a step finds done it does not do again: only those in whose step a new run has to make the call.
    for call in [0, 1, 3, 5, 6, 7, 8] {
        kill_at(&world, id, call, Misbehaviour::Hang).await?;
        run_sql(&world, "UPDATE lightning_setups SET due_at = now()").await?;
    }
    resumed(&world, id).await?;
    one_store_and_one_node_each(&world, &[id]).await
}

#[tokio::test]
async fn one_that_was_stopped_past_its_lease_wakes_up_and_changes_nothing() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let id = begin(&world, "alice", NodeSource::Voltage).await?;
    let store = Held::new(&world, id, 6).await?;
    world.sandbox.faults().add(store.route(), When::Times(1), Misbehaviour::Stall { millis: 300 })?;
    let sleeper = world.binary(BINARY, NAME).await?;
    let event = event()?;
    let (invocation, finished) = tokio::join!(sleeper.invoke(&event), async {
        store.wait(&world, 0).await?;
        signal(&sleeper, Signal::STOP)?;
        // What it asked for is done meanwhile.
        tokio::time::sleep(Duration::from_millis(500)).await;
        resumed(&world, id).await?;
        signal(&sleeper, Signal::CONT)
    });
    finished?;
    let told = invocation?.json()?;
    assert_eq!((&told["resumed"], &told["waiting"]), (&json!(1), &json!(1)), "{told}");
    one_store_and_one_node_each(&world, &[id]).await?;
    assert_eq!(
        world.db.count("SELECT count(*) FROM lightning_setup_log WHERE event = 'activated'").await?,
        1
    );
    Ok(())
}

fn signal(api: &RuntimeApi, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(api.pid())?).ok_or_else(|| anyhow::anyhow!("no process"))?;
    Ok(kill_process(pid, signal)?)
}
