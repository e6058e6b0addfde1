//! The calls of a setup, one by one, to be held up.

use std::time::{Duration, Instant};

use e2e::{Result, Stack};
use sandbox::{Misbehaviour, Route, Service, When};

/// Longer than anything here waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call of a setup: the `nth` (from 0) of this method below this path.
#[derive(Clone, Copy)]
pub struct Call {
    pub step: &'static str,
    service: Service,
    method: &'static str,
    path: &'static str,
    nth: u32,
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
const STORES: &str = "/btcpay/api/v1/stores";
const OF_STORE: &str = "/btcpay/api/v1/stores/";

const MAKE_NODE: Call = call("create_node: create", Service::Voltage, ("POST", "/voltage/node/create"), 0);
const BAKE: Call = call("bake_macaroon: bake", Service::Lnd, ("POST", "/"), 1);
pub const MAKE_STORE: Call = call("create_store: create", Service::Btcpay, ("POST", STORES), 0);

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

impl Call {
    fn route(&self) -> Route {
        Route::service(self.service).method(self.method).path(self.path)
    }

    /// Whether a setup on a node of its user's own makes it, too.
    pub fn is_at_the_store(&self) -> bool {
        self.service == Service::Btcpay
    }

    /// Whether the schedule makes it whoever ran the setup first.
    pub fn is_after_a_loss(&self) -> bool {
        self.after_a_loss.is_some()
    }

    /// Lets those before it through, and strikes this one.
    pub fn strike(&self, stack: &Stack, misbehave: Misbehaviour) -> Result<()> {
        if let Some((lost, tries)) = self.after_a_loss {
            lost.strike_tries(stack, tries, Misbehaviour::CloseAfter)?;
        }
        self.strike_tries(stack, 1, misbehave)
    }

    /// As [`Call::strike`], and whoever tries it again.
    pub fn strike_always(&self, stack: &Stack, misbehave: Misbehaviour) -> Result<()> {
        self.strike_tries(stack, u32::MAX, misbehave)
    }

    fn strike_tries(&self, stack: &Stack, tries: u32, misbehave: Misbehaviour) -> Result<()> {
        let faults = stack.sandbox.faults();
        if self.nth > 0 {
            faults.add(self.route(), When::Times(self.nth), Misbehaviour::Stall { millis: 0 })?;
        }
        faults.add(self.route(), When::Times(tries), misbehave)
    }
}

/// Returns when everything that was to be struck has been.
pub async fn until_struck(stack: &Stack) -> Result<()> {
    let started = Instant::now();
    while !stack.sandbox.faults().list().is_empty() {
        anyhow::ensure!(started.elapsed() < PATIENCE, "never called: {:?}", stack.sandbox.faults().list());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // What was struck is done as soon as it has arrived.
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}
