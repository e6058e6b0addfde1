//! The account: its keys and its nodes. The LND nodes themselves stand in [`NodesState`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{DEFAULT_KEY, VoltageNode, validate};
use crate::{
    clock,
    lnd::{Delay, Network, NodesState, StoredNode},
};

pub(crate) struct VoltageState {
    pub(super) keys: BTreeSet<String>,
    pub(super) delay: Delay,
    pub(super) strangers: u32,
    /// Ever made: the number of the last one.
    pub(super) made: u64,
    nodes: BTreeMap<u64, Machine>,
    by_id: HashMap<String, u64>,
    by_name: HashMap<(&'static str, String), u64>,
}

impl Default for VoltageState {
    fn default() -> Self {
        Self {
            keys: BTreeSet::from([DEFAULT_KEY.to_owned()]),
            delay: Delay::default(),
            strangers: 0,
            made: 0,
            nodes: BTreeMap::new(),
            by_id: HashMap::new(),
            by_name: HashMap::new(),
        }
    }
}

impl VoltageState {
    pub(super) fn all(&self) -> impl Iterator<Item = &Machine> {
        self.nodes.values()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Machine> {
        self.nodes.get(self.by_id.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Machine> {
        self.nodes.get_mut(self.by_id.get(id)?)
    }

    /// A deleted node's name is free again.
    pub(super) fn is_taken(&self, network: Network, name: &str) -> bool {
        self.by_name.contains_key(&(network.name(), name.to_owned()))
    }

    pub(super) fn insert(&mut self, node: Machine) {
        self.by_id.insert(node.id.clone(), self.made);
        self.by_name.insert((node.network.name(), node.name.clone()), self.made);
        self.nodes.insert(self.made, node);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Machine> {
        let node = self.nodes.remove(&self.by_id.remove(id)?)?;
        self.by_name.remove(&(node.network.name(), node.name.clone()));
        Some(node)
    }
}

#[derive(Clone)]
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) network: Network,
    pub(super) kind: String,
    pub(super) purchased_type: String,
    pub(super) created: OffsetDateTime,
    pub(super) expires: Option<OffsetDateTime>,
    pub(super) api_endpoint: String,
    /// Its name among the LND nodes.
    pub(super) lnd: String,
    pub(super) settings: Map<String, Value>,
    pub(super) history: Vec<(&'static str, OffsetDateTime)>,
}

impl Machine {
    /// The members every answer about a node has.
    pub(super) fn brief(&self, status: &str) -> Value {
        json!({
            "node_name": self.name,
            "status": status,
            "node_id": self.id,
            "expires": self.expires.map_or_else(|| "never".to_owned(), date),
            "created": date(self.created),
            "api_endpoint": self.api_endpoint,
            "network": self.network.name(),
            "type": self.kind,
        })
    }

    /// As the list has it.
    pub(super) fn listed(&self, status: &str) -> Value {
        let mut node = self.brief(status);
        node["purchased_type"] = json!(self.purchased_type);
        node["purchase_status"] = json!("active");
        node["lnd_version"] = json!("0.20.3-beta");
        node["volt_version"] = json!("v0.3.12");
        node["update_available"] = json!(false);
        node
    }

    /// With everything.
    pub(super) fn whole(&self, status: &str) -> Value {
        let command = |(action, at): &(&str, OffsetDateTime)| json!({"action": action, "time": date(*at)});
        let mut node = self.listed(status);
        node["command_history"] = self.history.iter().map(command).collect();
        node["macaroons"] = json!([]);
        node["settings"] = Value::Object(self.settings.clone());
        node
    }

    pub(super) fn note(&mut self, action: &'static str) {
        self.history.push((action, clock::now()));
    }

    pub(super) fn seen(&self, nodes: &NodesState) -> VoltageNode {
        let changing = |node: &StoredNode| node.power.changing().unwrap_or_else(|| settled(node));
        VoltageNode {
            node_id: self.id.clone(),
            name: self.name.clone(),
            network: self.network.name().to_owned(),
            status: nodes.get(&self.lnd).map_or("deleted", changing),
            api_endpoint: self.api_endpoint.clone(),
            lnd: self.lnd.clone(),
            whitelist: self
                .settings
                .get("whitelist")
                .map(validate::whitelist)
                .and_then(Result::ok)
                .unwrap_or_default(),
        }
    }
}

/// The status as a request finds it; a changing node is one look further then.
pub(super) fn look(node: &mut StoredNode) -> &'static str {
    node.power.look().unwrap_or_else(|| settled(node))
}

fn settled(node: &StoredNode) -> &'static str {
    if !node.power.is_meant_on() {
        "stopped"
    } else if !node.life.has_wallet() {
        "waiting_init"
    } else if !node.life.is_open() {
        "waiting_unlock"
    } else {
        "running"
    }
}

/// To the second, as Voltage writes dates.
pub(super) fn date(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}
