//! One node in a test's hands.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use data_encoding::HEXLOWER;

use super::{
    errors::LndError,
    in_process,
    life::{StartUp, WalletState},
    macaroon::decode_hex,
    network::Network,
    sign,
    state::StoredNode,
    wallet,
};
use crate::{
    Handle, Service,
    world::{World, lock},
};

/// One node, as its owner saw it when it was asked for: a wallet made later gives it another key and macaroons, so
/// ask again.
#[derive(Clone)]
pub struct Node {
    pub name: String,
    /// 66 hex digits.
    pub pubkey: String,
    /// `http://127.0.0.1:PORT/node12`; LND's paths begin behind it.
    pub base_url: String,
    /// Hex; empty while the node has no wallet.
    pub admin_macaroon: String,
    /// Hex, for [`INVOICE_OPS`](super::INVOICE_OPS); empty while the node has no wallet.
    pub invoice_macaroon: String,
    pub(super) endpoint: Option<String>,
    pub(super) world: Arc<World>,
}

impl Node {
    /// A macaroon (hex) for these (entity, action) pairs under root key 0, as `lncli bakemacaroon` makes it.
    pub fn bake(&self, ops: &[(&str, &str)]) -> anyhow::Result<String> {
        let ops = ops.iter().map(|(entity, action)| ((*entity).to_owned(), (*action).to_owned())).collect();
        let baked = self.with(|node, world| node.bake(ops, 0, world.seed)).context("the node is gone")?;
        let baked = baked.context("the node has no wallet")?;
        lock(&self.world.counts).created(Service::Lnd, "macaroon");
        Ok(HEXLOWER.encode(&baked))
    }

    /// What `signmessage` answers, without a call: 104 characters of zbase32.
    pub fn sign(&self, message: impl AsRef<[u8]>) -> String {
        self.with(|node, _| sign::sign(&node.secret_key, message.as_ref(), false)).unwrap_or_default()
    }

    /// Requests received, by path without the node's name or endpoint: `/v1/getinfo`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let handle = Handle(Arc::clone(&self.world));
        let mut calls = handle.calls_under(&format!("/{}", self.name));
        if let Some(endpoint) = &self.endpoint {
            for (path, count) in handle.calls_under(&format!("/{endpoint}")) {
                *calls.entry(path).or_default() += count;
            }
        }
        calls
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

    /// The chain of the invoices made from now on.
    pub fn set_network(&self, network: Network) {
        self.with(|node, _| node.network = network);
    }

    /// Forgets a root key: every macaroon made with it is refused from now on.
    pub fn revoke_root_key(&self, id: u64) -> bool {
        self.with(|node, _| node.revoke(id)).unwrap_or_default()
    }

    /// `None` when the node is gone. Looking so does not bring a node that starts up any further.
    pub fn state(&self) -> Option<WalletState> {
        self.with(|node, _| node.life.state())
    }

    /// How long it takes whenever its wallet is opened from now on.
    pub fn set_start_up(&self, start_up: StartUp) {
        self.with(|node, _| node.life.start_up = start_up);
    }

    /// Whether the node stands behind another of its cluster: it then says `WAITING_TO_START`.
    pub fn set_waiting_to_start(&self, waiting: bool) {
        self.with(|node, _| node.life.waiting = waiting);
    }

    /// LND begins anew: a wallet is locked then.
    pub fn restart(&self) {
        self.with(|node, _| node.life.restart());
    }

    /// Somebody else makes the wallet, with a password and a root key nobody here knows.
    pub fn init_by_stranger(&self) -> anyhow::Result<()> {
        let done =
            self.with(|node, world| wallet::init_by_stranger(node, &mut lock(&world.counts), world.seed));
        done.context("the node is gone")?.map_err(|error| refused(&error))
    }

    /// Somebody pays the invoice of this payment hash (hex) in full; gives the preimage (hex).
    pub fn settle_invoice(&self, payment_hash: &str) -> anyhow::Result<String> {
        let hash = decode_hex(payment_hash.as_bytes()).map_err(anyhow::Error::msg)?;
        let hash = hash.try_into().map_err(|_| anyhow::anyhow!("a payment hash has 64 hex digits"))?;
        let paid = in_process::settle_invoice(&self.world, &self.name, &hash);
        Ok(HEXLOWER.encode(&paid.map_err(|error| refused(&error))?.preimage))
    }

    fn with<T>(&self, act: impl FnOnce(&mut StoredNode, &World) -> T) -> Option<T> {
        lock(&self.world.nodes).get_mut(&self.name).map(|node| act(node, &self.world))
    }
}

fn refused(error: &LndError) -> anyhow::Error {
    anyhow::anyhow!("{}", error.message)
}
