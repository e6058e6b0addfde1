//! LND nodes behind one address, as a reverse proxy serves them: `/<node>/v1/…`, in the clear and over TLS.
//!
//! ```text
//! methods           every request: state of the wallet, macaroon, then the method      rpc   which paths there are
//!   ├─ wallet       genseed, initwallet, unlockwallet        seed_words   24 words, one identity key
//!   └─ invoice_methods over invoices                         real BOLT11, kept by payment hash
//! state             the nodes       life   how far LND has come       power   whether its machine runs
//! macaroon, sign    real ones       tls    the other listener         in_process   for other services of the sandbox
//! ```
//!
//! What is played: `GET /v1/state`, `GET /v1/genseed`, `POST /v1/initwallet`, `POST /v1/unlockwallet`,
//! `GET /v1/getinfo`, `POST /v1/signmessage`, `POST /v1/verifymessage`, `POST /v1/macaroon` (bake),
//! `GET /v1/macaroon/ids`, `DELETE /v1/macaroon/{root_key_id}`, `POST` and `GET /v1/invoices`, `GET /v1/invoice/{r_hash}` and
//! `POST /v2/invoices/cancel`, with LND's header rules, JSON and error bodies. Nobody pays by themselves: an invoice
//! is settled by a handle.

pub(crate) mod control;
mod errors;
pub(crate) mod in_process;
mod invoice_methods;
pub(crate) mod invoices;
mod life;
mod macaroon;
mod methods;
mod network;
mod node;
mod power;
mod proto_json;
mod rpc;
mod seed_words;
mod sign;
mod state;
mod tls;
mod wallet;

use std::sync::Arc;

use anyhow::Context;
use data_encoding::HEXLOWER;
use hyper::{Request, body::Bytes};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

pub(crate) use errors::LndError;
pub use life::{StartUp, WalletState};
pub use network::Network;
pub use node::Node;
pub use power::Delay;
pub(crate) use state::{NodesState, StoredNode};
pub use tls::Tls;
pub(crate) use tls::TlsState;
pub(crate) use wallet::init_by_stranger;

use crate::{
    Service,
    reply::Reply,
    world::{World, lock},
};

/// First segments of paths that belong to others.
const RESERVED: [&str; 3] = ["sandbox", "btcpay", "voltage"];

/// What Satchel accepts for invoices. LND's own `invoice.macaroon` is wider: it also reads the wallet.
pub const INVOICE_OPS: &[(&str, &str)] = &[("info", "read"), ("invoices", "read"), ("invoices", "write")];

/// Of a wallet made by [`Nodes::create`].
pub const DEFAULT_PASSWORD: &str = "sandbox password";

#[derive(Debug, Clone, Copy)]
pub struct NodeOptions {
    /// Whether the node has a wallet: open, and unlocked by [`DEFAULT_PASSWORD`] after a restart.
    pub initialised: bool,
    /// Drawn from the sandbox's seed and the node's name when absent.
    pub secret_key: Option<[u8; 32]>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { initialised: true, secret_key: None }
    }
}

/// All nodes of the sandbox.
#[derive(Clone)]
pub struct Nodes(pub(crate) Arc<World>);

impl Nodes {
    /// The name is the first segment of the node's path: lower-case letters, digits and `-`.
    pub fn create(&self, name: &str, options: NodeOptions) -> anyhow::Result<Node> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        anyhow::ensure!(
            !name.is_empty() && name.len() <= 64 && name.chars().all(plain),
            "{name:?} is no node name"
        );
        anyhow::ensure!(!RESERVED.contains(&name), "the path /{name} is not a node's");
        let drawn = self.0.seed.bytes(&format!("node key {name}"));
        let secret_key = SecretKey::from_slice(&options.secret_key.unwrap_or(drawn))
            .context("not a secp256k1 secret key")?;
        let mut nodes = lock(&self.0.nodes);
        anyhow::ensure!(nodes.get(name).is_none(), "a node of the name {name} exists");
        let mut node = StoredNode::new(name, name, secret_key, &nodes);
        if options.initialised {
            node.make_wallet(secret_key, DEFAULT_PASSWORD.as_bytes(), None, self.0.seed);
        }
        nodes.insert(node);
        lock(&self.0.counts).created(Service::Lnd, "node");
        nodes.get(name).map(|node| self.node(node)).context("the node just made")
    }

    /// The chain of nodes made from now on; regtest until said otherwise.
    pub fn set_network(&self, network: Network) {
        lock(&self.0.nodes).network = network;
    }

    /// How long nodes made from now on take to start up; no time until said otherwise.
    pub fn set_start_up(&self, start_up: StartUp) {
        lock(&self.0.nodes).start_up = start_up;
    }

    pub fn get(&self, name: &str) -> Option<Node> {
        lock(&self.0.nodes).get(name).map(|node| self.node(node))
    }

    pub fn list(&self) -> Vec<Node> {
        lock(&self.0.nodes).all().map(|node| self.node(node)).collect()
    }

    /// Puts a foreign key (66 hex digits) into the public graph: every node then calls its signatures `valid`.
    pub fn announce(&self, pubkey: &str) -> anyhow::Result<()> {
        lock(&self.0.nodes).announce(pubkey.parse::<PublicKey>()?);
        Ok(())
    }

    fn node(&self, node: &StoredNode) -> Node {
        Node {
            name: node.name.clone(),
            pubkey: node.pubkey().to_string(),
            base_url: format!("{}/{}", self.0.base_url, node.name),
            admin_macaroon: HEXLOWER.encode(&node.admin_macaroon),
            invoice_macaroon: HEXLOWER.encode(&node.invoice_macaroon),
            endpoint: node.endpoint.clone(),
            world: Arc::clone(&self.0),
        }
    }
}

pub(crate) fn is_blackholed(world: &World, path: &str) -> bool {
    split(path).is_some_and(|(segment, _)| lock(&world.nodes).at(segment).is_some_and(|node| node.blackholed))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let mut nodes = lock(&world.nodes);
    let found = split(request.uri().path()).and_then(|(segment, path)| {
        let node = nodes.at(segment)?;
        Some((node.name.clone(), node.power.is_on(), path))
    });
    // What the proxy in front of the nodes says, not LND.
    let Some((name, on, path)) = found else { return Reply::text(404, "no such node".into()) };
    if !on {
        return Reply::text(503, "the node does not run".into());
    }
    methods::answer(&mut nodes, &mut lock(&world.counts), world.seed, &name, path, request)
        .unwrap_or_else(|error| error.reply())
}

fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    path.find('/').map(|at| path.split_at(at))
}

fn public_key(secret_key: &SecretKey) -> PublicKey {
    PublicKey::from_secret_key(SECP256K1, secret_key)
}
