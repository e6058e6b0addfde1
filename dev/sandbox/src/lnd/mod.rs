//! LND nodes behind one address, as a reverse proxy serves them: `/<node>/v1/…`.
//!
//! What is played: `GET /v1/state`, `GET /v1/getinfo`, `POST /v1/signmessage`, `POST /v1/verifymessage`,
//! `POST /v1/macaroon` (bake) and `DELETE /v1/macaroon/{root_key_id}`, with LND's header rules, JSON and error
//! bodies. Signatures and macaroons are real. A node without a wallet says so; making one is not played yet.

mod errors;
mod macaroon;
mod methods;
mod proto_json;
mod sign;
mod state;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use data_encoding::HEXLOWER;
use hyper::{Request, body::Bytes};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

pub(crate) use state::NodesState;
use state::StoredNode;

use crate::{
    Handle, Service,
    reply::Reply,
    world::{World, lock},
};

/// What Satchel accepts for invoices. LND's own `invoice.macaroon` is wider: it also reads the wallet.
pub const INVOICE_OPS: &[(&str, &str)] = &[("info", "read"), ("invoices", "read"), ("invoices", "write")];

#[derive(Debug, Clone, Copy)]
pub struct NodeOptions {
    /// Whether the node has a wallet.
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
        anyhow::ensure!(name != "sandbox", "the path /sandbox is the sandbox's own");
        let drawn = self.0.seed.bytes(&format!("node key {name}"));
        let secret_key = SecretKey::from_slice(&options.secret_key.unwrap_or(drawn))
            .context("not a secp256k1 secret key")?;
        let mut nodes = lock(&self.0.nodes);
        anyhow::ensure!(nodes.get(name).is_none(), "a node of the name {name} exists");
        nodes.insert(StoredNode::new(name, secret_key, options.initialised, self.0.seed));
        lock(&self.0.counts).created(Service::Lnd, "node");
        nodes.get(name).map(|node| self.node(node)).context("the node just made")
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
            world: Arc::clone(&self.0),
        }
    }
}

/// One node, as its owner sees it.
#[derive(Clone)]
pub struct Node {
    pub name: String,
    /// 66 hex digits.
    pub pubkey: String,
    /// `http://127.0.0.1:PORT/node12`; LND's paths begin behind it.
    pub base_url: String,
    /// Hex; empty while the node has no wallet.
    pub admin_macaroon: String,
    /// Hex, for [`INVOICE_OPS`]; empty while the node has no wallet.
    pub invoice_macaroon: String,
    world: Arc<World>,
}

impl Node {
    /// A macaroon (hex) for these (entity, action) pairs under root key 0, as `lncli bakemacaroon` makes it.
    pub fn bake(&self, ops: &[(&str, &str)]) -> anyhow::Result<String> {
        let ops = ops.iter().map(|(entity, action)| ((*entity).to_owned(), (*action).to_owned())).collect();
        let baked = self.with(|node, world| node.bake(ops, 0, world.seed)).context("the node is gone")?;
        lock(&self.world.counts).created(Service::Lnd, "macaroon");
        Ok(HEXLOWER.encode(&baked.context("the node has no wallet")?))
    }

    /// What `signmessage` answers, without a call: 104 characters of zbase32.
    pub fn sign(&self, message: impl AsRef<[u8]>) -> String {
        self.with(|node, _| sign::sign(&node.secret_key, message.as_ref(), false)).unwrap_or_default()
    }

    /// Requests received, by path without the node's name: `/v1/getinfo`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        Handle(Arc::clone(&self.world)).calls_under(&format!("/{}", self.name))
    }

    pub fn total_calls(&self) -> u64 {
        self.calls().values().sum()
    }

    /// Connections are accepted, requests counted, and nothing is ever answered.
    pub fn set_blackholed(&self, blackholed: bool) {
        self.with(|node, _| node.blackholed = blackholed);
    }

    /// Whether the other nodes find this one in their graph.
    pub fn set_public(&self, public: bool) {
        self.with(|node, _| node.public = public);
    }

    /// Forgets a root key: every macaroon made with it is refused from now on.
    pub fn revoke_root_key(&self, id: u64) -> bool {
        self.with(|node, _| node.revoke(id)).unwrap_or_default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut StoredNode, &World) -> T) -> Option<T> {
        lock(&self.world.nodes).get_mut(&self.name).map(|node| act(node, &self.world))
    }
}

pub(crate) fn is_blackholed(world: &World, path: &str) -> bool {
    split(path).is_some_and(|(name, _)| lock(&world.nodes).get(name).is_some_and(|node| node.blackholed))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let mut nodes = lock(&world.nodes);
    match split(request.uri().path()) {
        Some((name, path)) if nodes.get(name).is_some() => {
            methods::answer(&mut nodes, &mut lock(&world.counts), world.seed, name, path, request)
                .unwrap_or_else(|error| error.reply())
        }
        // What the proxy in front of the nodes says, not LND.
        _ => Reply::text(404, "no such node".into()),
    }
}

fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    path.find('/').map(|at| path.split_at(at))
}

fn public_key(secret_key: &SecretKey) -> PublicKey {
    PublicKey::from_secret_key(SECP256K1, secret_key)
}
