//! What a node may be called and what settings it must come with.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::lnd::Network;

const MAX_NAME: usize = 63;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Boolean,
    Text,
}

/// Those every node needs, by type; `whitelist` is a list of addresses besides.
const REQUIRED: [(&str, Kind); 6] = [
    ("alias", Kind::Text),
    ("autopilot", Kind::Boolean),
    ("color", Kind::Text),
    ("grpc", Kind::Boolean),
    ("keysend", Kind::Boolean),
    ("rest", Kind::Boolean),
];

pub(super) struct NewNode {
    pub(super) name: String,
    pub(super) network: Network,
    pub(super) kind: String,
    pub(super) purchased_type: String,
    pub(super) settings: Map<String, Value>,
}

pub(super) fn new_node(body: &Value) -> Result<NewNode, String> {
    let text =
        |name: &str| body.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} must be a string"));
    let one_of = |name: &str, choices: &[&str]| {
        let value = text(name)?;
        let known = choices.contains(&value).then(|| value.to_owned());
        known.ok_or_else(|| format!("{name} must be one of {}", choices.join(", ")))
    };
    let network = text("network")
        .and_then(|name| network(name).ok_or_else(|| "network must be one of mainnet, testnet".to_owned()))?;
    let purchased_type = one_of("purchased_type", &["trial", "paid", "ondemand"])?;
    let kind = one_of("type", &["standard", "lite"])?;
    let name = text("name")?.to_owned();
    if !is_name(&name) {
        return Err("name must be a label of a domain name: a-z, 0-9 and - between them, 63 at most".into());
    }
    let settings = settings(body.get("settings").unwrap_or(&Value::Null))?;
    Ok(NewNode { name, network, kind, purchased_type, settings })
}

/// Regtest is the sandbox's own, for programs that know no other chain.
pub(super) fn network(name: &str) -> Option<Network> {
    [Network::Mainnet, Network::Testnet, Network::Regtest].into_iter().find(|known| known.name() == name)
}

/// The name becomes a label of the node's domain name.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

pub(super) fn settings(value: &Value) -> Result<Map<String, Value>, String> {
    let settings = value.as_object().ok_or("settings must be an object")?;
    for (name, kind) in REQUIRED {
        let found = settings.get(name).ok_or_else(|| format!("settings.{name} is required"))?;
        let right = match kind {
            Kind::Boolean => found.is_boolean(),
            Kind::Text => found.is_string(),
        };
        if !right {
            return Err(format!("settings.{name} is of the wrong type"));
        }
    }
    whitelist(settings.get("whitelist").ok_or("settings.whitelist is required")?)?;
    Ok(settings.clone())
}

pub(super) fn whitelist(value: &Value) -> Result<Vec<String>, String> {
    let address = |item: &Value| {
        let text = item.as_str().filter(|text| text.parse::<IpAddr>().is_ok());
        text.map(str::to_owned).ok_or_else(|| format!("whitelist holds {item}, which is no IP address"))
    };
    value.as_array().ok_or("whitelist must be a list of IP addresses")?.iter().map(address).collect()
}
