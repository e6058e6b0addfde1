//! The nodes, their root keys and the graph they share.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use secp256k1::{PublicKey, SecretKey};

use super::{
    INVOICE_OPS,
    errors::LndError,
    invoices::{Invoice, Invoices, Issuer, NewInvoice},
    life::{Life, StartUp},
    macaroon,
    network::Network,
    power::Power,
    public_key,
};
use crate::seed::{Seed, hmac_sha256};

#[derive(Default)]
pub(crate) struct NodesState {
    nodes: BTreeMap<String, StoredNode>,
    /// Names by endpoint, of the nodes that have one.
    endpoints: HashMap<String, String>,
    announced: BTreeSet<PublicKey>,
    /// Of nodes made from now on.
    pub(crate) start_up: StartUp,
    pub(crate) network: Network,
}

impl NodesState {
    pub(crate) fn get(&self, name: &str) -> Option<&StoredNode> {
        self.nodes.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut StoredNode> {
        self.nodes.get_mut(name)
    }

    /// By the first segment of the path: the name or the endpoint.
    pub(crate) fn at(&self, segment: &str) -> Option<&StoredNode> {
        self.nodes.get(self.name_at(segment))
    }

    pub(crate) fn at_mut(&mut self, segment: &str) -> Option<&mut StoredNode> {
        let name = self.name_at(segment).to_owned();
        self.nodes.get_mut(&name)
    }

    fn name_at<'a>(&'a self, segment: &'a str) -> &'a str {
        self.endpoints.get(segment).map_or(segment, String::as_str)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &StoredNode> {
        self.nodes.values()
    }

    pub(crate) fn insert(&mut self, node: StoredNode) {
        if let Some(endpoint) = &node.endpoint {
            self.endpoints.insert(endpoint.clone(), node.name.clone());
        }
        self.nodes.insert(node.name.clone(), node);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(endpoint) = self.nodes.remove(name).and_then(|node| node.endpoint) {
            self.endpoints.remove(&endpoint);
        }
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
    /// A second name in paths: what Voltage calls the `api_endpoint`.
    pub(crate) endpoint: Option<String>,
    /// Like the name, but another one for a later node of the same name: what its secrets are drawn by.
    pub(crate) label: String,
    pub(crate) secret_key: SecretKey,
    pub(crate) network: Network,
    pub(crate) life: Life,
    pub(crate) power: Power,
    pub(crate) blackholed: bool,
    pub(crate) public: bool,
    pub(crate) invoices: Invoices,
    /// By id. LND makes one when a macaroon is first baked with its id; 0 comes with the wallet.
    root_keys: BTreeMap<u64, [u8; 32]>,
    /// Empty without a wallet.
    pub(crate) admin_macaroon: Vec<u8>,
    pub(crate) invoice_macaroon: Vec<u8>,
    baked: u64,
    seeds: u64,
}

impl StoredNode {
    /// Without a wallet.
    pub(crate) fn new(name: &str, label: &str, secret_key: SecretKey, nodes: &NodesState) -> Self {
        Self {
            name: name.to_owned(),
            endpoint: None,
            label: label.to_owned(),
            secret_key,
            network: nodes.network,
            life: Life::new(nodes.start_up),
            power: Power::on(),
            blackholed: false,
            public: false,
            invoices: Invoices::default(),
            root_keys: BTreeMap::new(),
            admin_macaroon: Vec::new(),
            invoice_macaroon: Vec::new(),
            baked: 0,
            seeds: 0,
        }
    }

    /// From now on this is the node of that key. Without a root key of the caller's one is drawn.
    pub(crate) fn make_wallet(
        &mut self,
        secret_key: SecretKey,
        password: &[u8],
        root_key: Option<[u8; 32]>,
        seed: Seed,
    ) {
        self.secret_key = secret_key;
        self.life.make_wallet(password);
        if let Some(root_key) = root_key {
            self.root_keys.insert(0, root_key);
        }
        let mut bake = |ops: &[(&str, &str)]| {
            let ops = ops.iter().map(|(entity, action)| ((*entity).into(), (*action).into())).collect();
            self.bake(ops, 0, seed).unwrap_or_default()
        };
        let (admin, invoice) = (bake(&macaroon::ADMIN_OPS), bake(INVOICE_OPS));
        self.admin_macaroon = admin;
        self.invoice_macaroon = invoice;
    }

    pub(crate) fn pubkey(&self) -> PublicKey {
        public_key(&self.secret_key)
    }

    pub(crate) fn root_key_ids(&self) -> impl Iterator<Item = u64> {
        self.root_keys.keys().copied()
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
        if !self.life.has_wallet() {
            return None;
        }
        self.baked += 1;
        // Two nodes of one seed never share a root key, even under one secret key.
        let draw = |what: &str| {
            hmac_sha256(&seed.bytes("macaroons"), format!("{what} {} {}", self.label, self.baked).as_bytes())
        };
        let root_key = *self.root_keys.entry(root_key_id).or_insert_with(|| draw("root key"));
        Some(macaroon::bake(&root_key, &draw("nonce")[..16], root_key_id, ops))
    }

    pub(crate) fn revoke(&mut self, id: u64) -> bool {
        self.root_keys.remove(&id).is_some()
    }

    /// Entropy for a wallet, other at each call.
    pub(crate) fn draw_seed(&mut self, what: &str, seed: Seed) -> [u8; 32] {
        self.seeds += 1;
        hmac_sha256(&seed.bytes("wallets"), format!("{what} {} {}", self.label, self.seeds).as_bytes())
    }

    pub(crate) fn add_invoice(&mut self, new: NewInvoice, seed: Seed) -> Result<Invoice, LndError> {
        let issuer = Issuer { secret_key: self.secret_key, network: self.network, label: &self.label, seed };
        self.invoices.add(&issuer, new)
    }
}
