//! Every call a setup makes, and everything that can become of it.

use std::time::Duration;

use anyhow::ensure;
use sandbox::{Misbehaviour, Route, Service, When};
use shared::setup::State;
use testing::Result;
use tokio::task::JoinSet;

use crate::check;
use crate::scene::{Scene, SceneOptions, User, full, pick};

/// How long a provider may take here, and what is far beyond it.
const TIMEOUT: Duration = Duration::from_millis(250);
const STALL: Duration = Duration::from_millis(600);
/// When late work is done: long after it was given up.
const LATE: Duration = Duration::from_millis(120);
/// A retry is one run more.
const RETRIES: u32 = 5;

/// One call of a setup: the `nth` (from 0) of this method below this path.
pub struct Call {
    pub step: &'static str,
    pub service: Service,
    pub method: &'static str,
    pub path: &'static str,
    pub nth: u32,
    /// Only made after the answer to an earlier one was lost.
    after_a_loss: Option<(Service, &'static str, &'static str)>,
}

const fn call(
    step: &'static str,
    service: Service,
    (method, path): (&'static str, &'static str),
    nth: u32,
) -> Call {
    Call { step, service, method, path, nth, after_a_loss: None }
}

const NODES: &str = "/voltage/node";
const CREATE_NODE: &str = "/voltage/node/create";
const STORES: &str = "/btcpay/api/v1/stores";
const OF_STORE: &str = "/btcpay/api/v1/stores/";

/// In the order they are made in. Below `/voltage/node` the creation counts, too.
pub const CALLS: &[Call] = &[
    call("create_node: create", Service::Voltage, ("POST", CREATE_NODE), 0),
    Call {
        after_a_loss: Some((Service::Voltage, "POST", CREATE_NODE)),
        ..call("create_node: find", Service::Voltage, ("GET", NODES), 0)
    },
    call("create_node: look at it", Service::Voltage, ("POST", NODES), 1),
    call("await_node: look", Service::Voltage, ("POST", NODES), 2),
    call("await_node: seed", Service::Lnd, ("GET", "/"), 0),
    call("init_wallet: init", Service::Lnd, ("POST", "/"), 0),
    call("init_wallet: state", Service::Lnd, ("GET", "/"), 1),
    call("init_wallet: getinfo", Service::Lnd, ("GET", "/"), 2),
    call("bake_macaroon: bake", Service::Lnd, ("POST", "/"), 1),
    call("create_store: create", Service::Btcpay, ("POST", STORES), 0),
    Call {
        after_a_loss: Some((Service::Btcpay, "POST", STORES)),
        ..call("create_store: find", Service::Btcpay, ("GET", STORES), 0)
    },
    call("connect_node: connect", Service::Btcpay, ("PUT", OF_STORE), 0),
    call("create_webhook: create", Service::Btcpay, ("POST", OF_STORE), 0),
    call("create_webhook: look", Service::Btcpay, ("GET", OF_STORE), 0),
];

fn everything_that_can_happen() -> Vec<(&'static str, Misbehaviour)> {
    let body = || String::from("out of order");
    let stall = u64::try_from(STALL.as_millis()).unwrap_or_default();
    let late = u64::try_from(LATE.as_millis()).unwrap_or_default();
    vec![
        ("fails before it is done", Misbehaviour::FailBefore { status: 503, body: body() }),
        ("fails after it is done", Misbehaviour::FailAfter { status: 500, body: body() }),
        ("is cut off before it is done", Misbehaviour::CloseBefore),
        ("is done, the answer lost", Misbehaviour::CloseAfter),
        ("is done twice", Misbehaviour::Duplicate),
        ("is answered with another's id", Misbehaviour::DuplicateId),
        ("is one too many", Misbehaviour::RateLimited { retry_after: 0 }),
        ("is done, the answer cut", Misbehaviour::CutBody { bytes: 20 }),
        ("is done, the answer garbage", Misbehaviour::Garbage),
        ("stalls before it is done", Misbehaviour::Stall { millis: stall }),
        ("is done, the answer stalls", Misbehaviour::StallAfter { millis: stall }),
        ("is done late", Misbehaviour::Late { millis: late }),
    ]
}

impl Call {
    fn route(&self) -> Route {
        Route::service(self.service).method(self.method).path(self.path)
    }

    /// Lets those before it through, and strikes this one and so many tries behind it.
    pub fn strike(&self, scene: &Scene, misbehave: &Misbehaviour, times: u32) -> Result<()> {
        let faults = scene.world.sandbox.faults();
        if let Some((service, method, path)) = self.after_a_loss {
            let route = Route::service(service).method(method).path(path);
            faults.add(route, When::Times(1), Misbehaviour::CloseAfter)?;
        }
        if self.nth > 0 {
            faults.add(self.route(), When::Times(self.nth), Misbehaviour::Stall { millis: 0 })?;
        }
        faults.add(self.route(), When::Times(times), misbehave.clone())
    }
}

/// One setup under one fault, and what must hold afterwards; the number of retries it took.
async fn survives(scene: &Scene, user: &User, round: u64) -> Result<u32> {
    scene.first_run(user).await?;
    // Late work is found by the next run on even rounds, and comes after it on odd ones.
    if round % 2 == 0 {
        tokio::time::sleep(LATE).await;
    }
    let retries = scene.finish(user, RETRIES).await?;
    scene.world.sandbox.faults().clear();
    tokio::time::sleep(LATE).await;
    scene.settle().await?;
    check::whole(scene, user).await?;
    Ok(retries)
}

/// Every call under one kind of trouble, round after round, in a world of its own.
async fn every_call(
    scene: Scene,
    kind: &'static str,
    misbehave: Misbehaviour,
    rounds: u64,
) -> Result<[u32; 3]> {
    let (mut setups, mut first, mut most) = (0, 0, 0);
    for round in 0..rounds {
        for (number, call) in CALLS.iter().enumerate() {
            let user = scene.user(&format!("user-{round}-{number}")).await?;
            // Once, and so often that every try of a run is struck.
            call.strike(&scene, &misbehave, [1, 3][pick(round, 2)])?;
            let survived = survives(&scene, &user, round).await;
            let retries = survived.map_err(|error| error.context(format!("{} {kind}, round {round}", call.step)))?;
            setups += 1;
            first += u32::from(retries == 0);
            most = most.max(retries);
        }
    }
    check::nothing_left_over(&scene, i64::from(setups)).await?;
    Ok([setups, first, most])
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_any_call_a_setup_ends_whole_with_one_store_and_one_node() -> Result<()> {
    let rounds = if full() { 20 } else { 2 };
    let mut running = JoinSet::new();
    for (number, (kind, misbehave)) in everything_that_can_happen().into_iter().enumerate() {
        let options =
            SceneOptions { seed: 100 + u64::try_from(number)?, timeout: TIMEOUT, ..SceneOptions::default() };
        let scene = Scene::start_with(options).await?;
        running.spawn(async move { (kind, every_call(scene, kind, misbehave, rounds).await) });
    }
    let (mut setups, mut wrong) = (0, Vec::new());
    while let Some(done) = running.join_next().await {
        let (kind, outcome) = done?;
        match outcome {
            Ok([of_kind, first, most]) => {
                println!("a call that {kind}: {of_kind} setups, {first} at the first try, at most {most} retries");
                setups += of_kind;
            }
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    println!("{setups} setups: {} calls, {rounds} rounds", CALLS.len());
    ensure!(wrong.is_empty(), "{} kinds of trouble end badly\n{}", wrong.len(), wrong.join("\n\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_an_undisturbed_setup_are_those_of_the_table() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    assert_eq!(scene.first_run(&user).await?.state, State::Finished);
    let made = scene.world.sandbox.calls();
    let calls: u64 = made.iter().filter(|call| call.service != Service::SecretsManager).map(|call| call.count).sum();
    // The node is looked at once more while it is being made.
    let undisturbed = CALLS.iter().filter(|call| call.after_a_loss.is_none()).count();
    assert_eq!(calls, undisturbed as u64 + 1, "{made:#?}");
    Ok(())
}
