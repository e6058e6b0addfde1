//! Voltage's node API at `/voltage/…`: the machines LND nodes run on, behind the key in `X-VOLTAGE-AUTH`.
//!
//! ```text
//! mod        the key, the table of paths       state     the account: nodes by id and by name, keys
//! methods    what each path does               validate  what a new node must be
//! control    /sandbox/voltage: the handle over HTTP
//! ```
//!
//! A node made here is one of the sandbox's LND nodes without a wallet: it answers at `/<name>/v1/…` and at
//! `/<api_endpoint>/v1/…` once it is provisioned. What else the real API has is answered 404.

pub(crate) mod control;
mod methods;
mod state;
mod validate;

use std::sync::Arc;

use hyper::{Method, Request, StatusCode, body::Bytes, http::request::Parts};
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use state::VoltageState;

use crate::{
    lnd::Delay,
    reply::Reply,
    world::{World, lock},
};

const PREFIX: &str = "/voltage";
const KEY_HEADER: &str = "x-voltage-auth";

/// The key that is accepted until a test says otherwise.
pub const DEFAULT_KEY: &str = "sandbox-voltage-key";

/// The account as a test sees it.
#[derive(Clone)]
pub struct Voltage(pub(crate) Arc<World>);

/// One node of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoltageNode {
    /// A UUID and `N`.
    pub node_id: String,
    pub name: String,
    pub network: String,
    pub status: &'static str,
    pub api_endpoint: String,
    /// The name of its LND node here: for [`Nodes::get`](crate::lnd::Nodes::get).
    pub lnd: String,
    pub whitelist: Vec<String>,
}

impl Voltage {
    /// What `VOLTAGE_URL` is to be.
    pub fn url(&self) -> String {
        format!("{}{PREFIX}", self.0.base_url)
    }

    pub fn accept_key(&self, key: &str) {
        lock(&self.0.voltage).keys.insert(key.to_owned());
    }

    /// Requests with it are unauthorised from now on.
    pub fn revoke_key(&self, key: &str) -> bool {
        lock(&self.0.voltage).keys.remove(key)
    }

    /// How long making, starting and stopping take from now on; one look at the status until said otherwise.
    pub fn set_delay(&self, delay: Delay) {
        lock(&self.0.voltage).delay = delay;
    }

    /// Of the nodes made next, so many get their wallet from somebody else, before anybody can reach them.
    pub fn strangers_take_next(&self, nodes: u32) {
        lock(&self.0.voltage).strangers = nodes;
    }

    /// Oldest first. Looking so does not bring a changing node any further.
    pub fn nodes(&self) -> Vec<VoltageNode> {
        let (voltage, nodes) = (lock(&self.0.voltage), lock(&self.0.nodes));
        voltage.all().map(|node| node.seen(&nodes)).collect()
    }

    /// By name, on whichever network.
    pub fn get(&self, name: &str) -> Option<VoltageNode> {
        self.nodes().into_iter().find(|node| node.name == name)
    }
}

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.uri.path().strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Every error the API's document knows has this shape.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    match route(world, request) {
        Ok(body) => Reply::json(StatusCode::OK, &body),
        Err(Refusal { status, message }) => Reply::json(status, &json!({ "message": message })),
    }
}

fn route(world: &World, request: &Request<Bytes>) -> Result<Value, Refusal> {
    let key = request.headers().get(KEY_HEADER).and_then(|key| key.to_str().ok());
    if !key.is_some_and(|key| lock(&world.voltage).keys.contains(key)) {
        return Err(Refusal { status: StatusCode::UNAUTHORIZED, message: "Unauthorized".into() });
    }
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let body = request.body();
    match (request.method(), path) {
        (&Method::GET, "/node") => Ok(methods::list(world)),
        (&Method::POST, "/node") => methods::show(world, body),
        (&Method::POST, "/node/name") => methods::name(world, body),
        (&Method::POST, "/node/create") => methods::create(world, body),
        (&Method::POST, "/node/delete") => methods::delete(world, body),
        (&Method::POST, "/node/stop") => methods::stop(world, body),
        (&Method::POST, "/node/start") => methods::start(world, body),
        (&Method::POST, "/node/cert") => methods::cert(world, body),
        (&Method::POST, "/node/whitelist") => methods::whitelist(world, body),
        (&Method::POST, "/node/settings") => methods::settings(world, body),
        _ => Err(Refusal { status: StatusCode::NOT_FOUND, message: "Not Found".into() }),
    }
}
