use std::net::IpAddr;

use serde::Serialize;

use crate::config::Config;
use crate::upstream::{BaseUrl, Scheme};

const DEFAULT_URL: &str = "https://api.voltage.cloud";
const DEFAULT_NODE_URL: &str = "https://{api_endpoint}:8080";
const ENDPOINT: &str = "{api_endpoint}";
/// In place of addresses: somebody means it when a node is to let everybody in.
const EVERYBODY: &str = "any";

/// What every node of ours is.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) base: BaseUrl,
    pub(super) pinned: bool,
    node_url: String,
    network: &'static str,
    node_type: &'static str,
    purchased_type: &'static str,
    /// Who may talk to a node, BTCPay and we: an LND without a wallet belongs to whoever reaches it first. Empty is
    /// everybody.
    whitelist: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct NewNode<'a> {
    network: &'static str,
    purchased_type: &'static str,
    #[serde(rename = "type")]
    node_type: &'static str,
    name: &'a str,
    settings: NodeSettings<'a>,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the switches are Voltage's")]
struct NodeSettings<'a> {
    alias: &'a str,
    color: &'static str,
    autopilot: bool,
    grpc: bool,
    rest: bool,
    keysend: bool,
    wumbo: bool,
    autocompaction: bool,
    whitelist: &'a [String],
    webhook: &'static str,
    webhook_secret: &'static str,
}

impl Settings {
    pub(super) fn read(config: &mut Config, scheme: Scheme) -> Option<Self> {
        let or = |config: &Config, name: &str, default: &str| {
            config.optional(name).unwrap_or_else(|| default.to_owned())
        };
        let url = or(config, "VOLTAGE_URL", DEFAULT_URL);
        let node_url = or(config, "VOLTAGE_NODE_URL", DEFAULT_NODE_URL);
        let base = BaseUrl::read(config, "VOLTAGE_URL", &url, scheme);
        if node_url.matches(ENDPOINT).count() != 1 {
            config.problem("VOLTAGE_NODE_URL does not hold {api_endpoint} once");
        }
        // With a name in its place, so that what is read is a URL.
        let example = node_url.replace(ENDPOINT, "node.example");
        let node_base = BaseUrl::read(config, "VOLTAGE_NODE_URL", &example, scheme);
        let network = config.choice("VOLTAGE_NETWORK", &["testnet", "mainnet", "regtest"]);
        let node_type = config.choice("VOLTAGE_NODE_TYPE", &["standard", "lite"]);
        let purchased_type = config.choice("VOLTAGE_PURCHASED_TYPE", &["trial", "paid", "ondemand"]);
        let pinned = config.choice("VOLTAGE_NODE_CERTIFICATE", &["public", "pinned"]) == "pinned";
        let whitelist = addresses(config);
        node_base?;
        Some(Self { base: base?, pinned, node_url, network, node_type, purchased_type, whitelist })
    }

    pub(super) fn new_node<'a>(&'a self, name: &'a str) -> NewNode<'a> {
        NewNode {
            network: self.network,
            purchased_type: self.purchased_type,
            node_type: self.node_type,
            name,
            settings: NodeSettings {
                alias: name,
                color: "#3399ff",
                autopilot: false,
                grpc: true,
                rest: true,
                keysend: true,
                wumbo: false,
                autocompaction: false,
                whitelist: &self.whitelist,
                webhook: "",
                webhook_secret: "",
            },
        }
    }

    pub(super) fn node_url(&self, api_endpoint: &str) -> String {
        self.node_url.replace(ENDPOINT, api_endpoint).trim_end_matches('/').to_owned()
    }
}

fn addresses(config: &mut Config) -> Vec<String> {
    let text = config.optional("EGRESS_ADDRESSES").unwrap_or_default();
    if text.trim() == EVERYBODY {
        return Vec::new();
    }
    let addresses = text.split(',').map(str::trim).filter(|address| !address.is_empty());
    let addresses: Vec<_> = addresses.map(ToOwned::to_owned).collect();
    if addresses.is_empty() {
        config.problem("EGRESS_ADDRESSES is missing: a new node would let everybody in");
    }
    if addresses.iter().any(|address| address.parse::<IpAddr>().is_err()) {
        config.problem("EGRESS_ADDRESSES is not a list of IP addresses with commas between them");
    }
    addresses
}
