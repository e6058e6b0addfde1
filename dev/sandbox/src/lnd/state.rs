//! The nodes, their root keys and the graph they share.

use std::collections::{BTreeMap, BTreeSet};

use secp256k1::{PublicKey, SecretKey};

use super::{INVOICE_OPS, macaroon, public_key};
use crate::seed::{Seed, hmac_sha256};

#[derive(Default)]
pub(crate) struct NodesState {
    nodes: BTreeMap<String, StoredNode>,
    announced: BTreeSet<PublicKey>,
}

impl NodesState {
    pub(crate) fn get(&self, name: &str) -> Option<&StoredNode> {
        self.nodes.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut StoredNode> {
        self.nodes.get_mut(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &StoredNode> {
        self.nodes.values()
    }

    pub(crate) fn insert(&mut self, node: StoredNode) {
        self.nodes.insert(node.name.clone(), node);
    }

    pub(crate) fn announce(&mut self, pubkey: PublicKey) {
        self.announced.insert(pubkey);
    }

    /// Whether the graph of this node holds the key: its own always, others when they are public.
    pub(crate) fn graph_of(&self, name: &str, pubkey: &PublicKey) -> bool {
        let known = |node: &StoredNode| (node.public || node.name == name) && node.pubkey() == *pubkey;
        self.announced.contains(pubkey) || self.nodes.values().any(known)
    }
}

pub(crate) struct StoredNode {
    pub(crate) name: String,
    pub(crate) secret_key: SecretKey,
    pub(crate) initialised: bool,
    pub(crate) blackholed: bool,
    pub(crate) public: bool,
    /// By id. LND makes one when a macaroon is first baked with its id; 0 comes with the wallet.
    root_keys: BTreeMap<u64, [u8; 32]>,
    /// Empty without a wallet.
    pub(crate) admin_macaroon: Vec<u8>,
    pub(crate) invoice_macaroon: Vec<u8>,
    baked: u64,
}

impl StoredNode {
    pub(crate) fn new(name: &str, secret_key: SecretKey, initialised: bool, seed: Seed) -> Self {
        let mut node = Self {
            name: name.to_owned(),
            secret_key,
            initialised,
            blackholed: false,
            public: false,
            root_keys: BTreeMap::new(),
            admin_macaroon: Vec::new(),
            invoice_macaroon: Vec::new(),
            baked: 0,
        };
        let mut bake = |ops: &[(&str, &str)]| {
            let ops = ops.iter().map(|(entity, action)| ((*entity).into(), (*action).into())).collect();
            node.bake(ops, 0, seed).unwrap_or_default()
        };
        let (admin, invoice) = (bake(&macaroon::ADMIN_OPS), bake(INVOICE_OPS));
        node.admin_macaroon = admin;
        node.invoice_macaroon = invoice;
        node
    }

    pub(crate) fn pubkey(&self) -> PublicKey {
        public_key(&self.secret_key)
    }

    pub(crate) fn root_key(&self, id: u64) -> Option<&[u8; 32]> {
        self.root_keys.get(&id)
    }

    /// `None` without a wallet.
    pub(crate) fn bake(
        &mut self,
        ops: Vec<(String, String)>,
        root_key_id: u64,
        seed: Seed,
    ) -> Option<Vec<u8>> {
        if !self.initialised {
            return None;
        }
        self.baked += 1;
        // Two nodes of one seed never share a root key, even under one secret key.
        let draw = |what: &str| {
            hmac_sha256(&seed.bytes("macaroons"), format!("{what} {} {}", self.name, self.baked).as_bytes())
        };
        let root_key = *self.root_keys.entry(root_key_id).or_insert_with(|| draw("root key"));
        Some(macaroon::bake(&root_key, &draw("nonce")[..16], root_key_id, ops))
    }

    pub(crate) fn revoke(&mut self, id: u64) -> bool {
        self.root_keys.remove(&id).is_some()
    }
}
