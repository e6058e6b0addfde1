//! Every call a setup makes, and everything that can become of it.

use std::time::Duration;

use anyhow::ensure;
use sandbox::{Misbehaviour, Route, Service, When};
use shared::setup::State;
use testing::Result;

use crate::check;
use crate::scene::{Scene, SceneOptions, User, beside, full, joined, pick};

/// How long a provider may take here, and what is far beyond it.
const TIMEOUT: Duration = Duration::from_millis(250);
const STALL: Duration = Duration::from_millis(600);
/// When late work is done: long after it was given up.
const LATE: Duration = Duration::from_millis(120);
/// A retry is one run more.
const RETRIES: u32 = 5;

/// One call of a setup: the `nth` (from 0) of this method below this path.
#[derive(Clone, Copy)]
pub struct Call {
    pub step: &'static str,
    pub service: Service,
    pub method: &'static str,
    pub path: &'static str,
    pub nth: u32,
    /// Only made after every answer to an earlier one was lost: which one, and how often it is tried.
    after_a_loss: Option<(&'static Call, u32)>,
}

const fn call(
    step: &'static str,
    service: Service,
    (method, path): (&'static str, &'static str),
    nth: u32,
) -> Call {
    Call { step, service, method, path, nth, after_a_loss: None }
}

const fn after(lost: &'static Call, tries: u32, call: Call) -> Call {
    Call { after_a_loss: Some((lost, tries)), ..call }
}

const NODES: &str = "/voltage/node";
const CREATE_NODE: &str = "/voltage/node/create";
const STORES: &str = "/btcpay/api/v1/stores";
const OF_STORE: &str = "/btcpay/api/v1/stores/";

const MAKE_NODE: Call = call("create_node: create", Service::Voltage, ("POST", CREATE_NODE), 0);
const BAKE: Call = call("bake_macaroon: bake", Service::Lnd, ("POST", "/"), 1);
const MAKE_STORE: Call = call("create_store: create", Service::Btcpay, ("POST", STORES), 0);

/// In the order they are made in. Below `/voltage/node` the creation counts, too.
pub const CALLS: &[Call] = &[
    MAKE_NODE,
    after(&MAKE_NODE, 1, call("create_node: find", Service::Voltage, ("GET", NODES), 0)),
    call("create_node: look at it", Service::Voltage, ("POST", NODES), 1),
    call("await_node: look", Service::Voltage, ("POST", NODES), 2),
    call("await_node: seed", Service::Lnd, ("GET", "/"), 0),
    call("init_wallet: init", Service::Lnd, ("POST", "/"), 0),
    call("init_wallet: state", Service::Lnd, ("GET", "/"), 1),
    call("init_wallet: getinfo", Service::Lnd, ("GET", "/"), 2),
    BAKE,
    after(&BAKE, 3, call("bake_macaroon: find", Service::Lnd, ("GET", "/"), 3)),
    after(&BAKE, 3, call("bake_macaroon: withdraw", Service::Lnd, ("DELETE", "/"), 0)),
    call("bake_macaroon: try it", Service::Lnd, ("GET", "/"), 3),
    MAKE_STORE,
    after(&MAKE_STORE, 1, call("create_store: find", Service::Btcpay, ("GET", STORES), 0)),
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
    /// An undisturbed setup does not come to it.
    pub const fn is_after_a_loss(&self) -> bool {
        self.after_a_loss.is_some()
    }

    fn route(&self) -> Route {
        Route::service(self.service).method(self.method).path(self.path)
    }

    /// Lets those before it through, and strikes this one and so many tries behind it.
    pub fn strike(&self, scene: &Scene, misbehave: &Misbehaviour, times: u32) -> Result<()> {
        let faults = scene.world.sandbox.faults();
        if let Some((lost, tries)) = self.after_a_loss {
            lost.strike(scene, &Misbehaviour::CloseAfter, tries)?;
        }
        if self.nth > 0 {
            faults.add(self.route(), When::Times(self.nth), Misbehaviour::Stall { millis: 0 })?;
        }
        faults.add(self.route(), When::Times(times), misbehave.clone())
    }
}

/// When work that was given up is done after all.
#[derive(Clone, Copy, PartialEq)]
enum Late {
    BeforeTheNextRun,
    DuringIt,
}

/// One setup under one fault, and what must hold afterwards; the number of retries it took.
async fn survives(scene: &Scene, user: &User, late: Option<Late>) -> Result<u32> {
    scene.first_run(user).await?;
    if late == Some(Late::BeforeTheNextRun) {
        tokio::time::sleep(LATE).await;
    }
    let retries = scene.finish(user, RETRIES).await?;
    scene.world.sandbox.faults().clear();
    if late.is_some() {
        tokio::time::sleep(LATE).await;
    }
    scene.settle().await?;
    check::whole(scene, user).await?;
    Ok(retries)
}

/// Every call under one kind of trouble, round after round, in a world of its own.
async fn every_call(seed: u64, kind: &'static str, misbehave: Misbehaviour, rounds: u64) -> Result<[u32; 3]> {
    let options = SceneOptions { seed, timeout: TIMEOUT, ..SceneOptions::default() };
    let scene = Scene::start_with(options).await?;
    let (mut setups, mut first, mut most) = (0, 0, 0);
    for round in 0..rounds {
        for (number, call) in CALLS.iter().enumerate() {
            let user = scene.user(&format!("user-{round}-{number}")).await?;
            // Once, and so often that every try of a run is struck.
            call.strike(&scene, &misbehave, [1, 3][pick(round, 2)])?;
            let late = matches!(misbehave, Misbehaviour::Late { .. })
                .then_some([Late::BeforeTheNextRun, Late::DuringIt][pick(round, 2)]);
            let survived = survives(&scene, &user, late).await;
            let retries =
                survived.map_err(|error| error.context(format!("{} {kind}, round {round}", call.step)))?;
            setups += 1;
            first += u32::from(retries == 0);
            most = most.max(retries);
        }
    }
    check::nothing_left_over(&scene, i64::from(setups)).await?;
    Ok([setups, first, most])
}

#[test]
fn whatever_becomes_of_any_call_a_setup_ends_whole_with_one_store_and_one_node() -> Result<()> {
    let rounds = if full() { 20 } else { 2 };
    let worlds: Vec<_> = (100..)
        .zip(everything_that_can_happen())
        .map(|(seed, (kind, misbehave))| (kind, beside(move || every_call(seed, kind, misbehave, rounds))))
        .collect();
    let (mut setups, mut wrong) = (0, Vec::new());
    for (kind, world) in worlds {
        match joined(world) {
            Ok([of_kind, first, most]) => {
                println!(
                    "a call that {kind}: {of_kind} setups, {first} at the first try, at most {most} retries"
                );
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
    let calls: u64 =
        made.iter().filter(|call| call.service != Service::SecretsManager).map(|call| call.count).sum();
    let undisturbed = CALLS.iter().filter(|call| !call.is_after_a_loss()).count();
    assert_eq!(calls, undisturbed as u64, "{made:#?}");
    Ok(())
}
