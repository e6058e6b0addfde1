//! What each path does. The key has been looked at.

use data_encoding::BASE64;
use secp256k1::SecretKey;
use serde_json::{Value, json};
use time::Duration;

use super::{
    Refusal,
    state::{Machine, VoltageState, date, look},
    validate,
};
use crate::{
    Service, clock,
    lnd::{self, Network, NodesState, StoredNode},
    world::{World, lock},
};

const TRIAL: Duration = Duration::days(7);

pub(super) fn list(world: &World) -> Value {
    let (voltage, mut nodes) = (lock(&world.voltage), lock(&world.nodes));
    let listed: Vec<Value> = voltage.all().map(|node| node.listed(status(node, &mut nodes))).collect();
    json!({ "nodes": listed })
}

pub(super) fn show(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    let (voltage, mut nodes) = (lock(&world.voltage), lock(&world.nodes));
    let node = voltage.get(&node_id(&parse(body)?)?).ok_or_else(unknown)?;
    Ok(node.whole(status(node, &mut nodes)))
}

pub(super) fn name(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    let body = parse(body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).ok_or_else(malformed);
    let (name, network) = (text("node_name")?, text("network")?);
    let network = validate::network(network).ok_or_else(|| Refusal::bad_request("network is invalid"))?;
    let taken = lock(&world.voltage).is_taken(network, name);
    Ok(json!({"taken": taken, "valid": validate::is_name(name), "node_name": name}))
}

pub(super) fn create(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    let invalid = |why: String| Refusal::bad_request(format!("VALIDATION ERROR: {why}"));
    let body = parse(body).map_err(|refusal| invalid(refusal.message))?;
    let new = validate::new_node(&body).map_err(invalid)?;
    let mut voltage = lock(&world.voltage);
    if voltage.is_taken(new.network, &new.name) {
        return Err(invalid(format!("name {} is already taken", new.name)));
    }
    voltage.made += 1;
    let id = format!("{}N", world.seed.uuid(&format!("voltage node {}", voltage.made)));
    let domain = if new.network == Network::Mainnet { "m" } else { "t" };
    let api_endpoint = format!("{}.{domain}.voltageapp.io", new.name);
    let mut nodes = lock(&world.nodes);
    // The other network's node of the name, or one a test made, keeps it.
    let lnd = if nodes.get(&new.name).is_none() { new.name.clone() } else { api_endpoint.clone() };
    let machine = machine_under(world, &mut voltage, &nodes, &lnd, &id, new.network, &api_endpoint)?;
    nodes.insert(machine);
    let created = clock::now();
    let node = Machine {
        id,
        name: new.name,
        network: new.network,
        kind: new.kind,
        expires: (new.purchased_type == "trial").then(|| created + TRIAL),
        purchased_type: new.purchased_type,
        created,
        api_endpoint,
        lnd,
        settings: new.settings,
        history: Vec::new(),
    };
    let answer = json!({
        "node_id": node.id,
        "owner_id": format!("{}U", world.seed.uuid("voltage owner")),
        "network": node.network.name(),
        "created": date(node.created),
        "purchased_type": node.purchased_type,
        "type": node.kind,
        "user_ip": "127.0.0.1",
    });
    voltage.insert(node);
    lock(&world.counts).created(Service::Voltage, "node");
    Ok(answer)
}

/// The LND node: being provisioned, without a wallet unless a stranger is about.
fn machine_under(
    world: &World,
    voltage: &mut VoltageState,
    nodes: &NodesState,
    lnd: &str,
    id: &str,
    network: Network,
    api_endpoint: &str,
) -> Result<StoredNode, Refusal> {
    let broken = |why: String| Refusal { status: hyper::StatusCode::INTERNAL_SERVER_ERROR, message: why };
    let label = format!("{lnd} {id}");
    let key = world.seed.bytes(&format!("node key {label}"));
    let key = SecretKey::from_slice(&key).map_err(|why| broken(why.to_string()))?;
    let mut node = StoredNode::new(lnd, &label, key, nodes);
    node.network = network;
    node.endpoint = Some(api_endpoint.to_owned());
    node.power.switch(true, "provisioning", voltage.delay);
    if voltage.strangers > 0 {
        voltage.strangers -= 1;
        let taken = lnd::init_by_stranger(&mut node, &mut lock(&world.counts), world.seed);
        taken.map_err(|error| broken(error.message))?;
    }
    Ok(node)
}

pub(super) fn delete(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    let id = node_id(&parse(body)?)?;
    let mut voltage = lock(&world.voltage);
    let node = voltage.remove(&id).ok_or_else(|| Refusal::bad_request("node_id is not valid"))?;
    lock(&world.nodes).remove(&node.lnd);
    lock(&world.counts).deleted(Service::Voltage, "node");
    Ok(node.brief("deleted"))
}

pub(super) fn stop(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    switch(world, body, "stop", |lnd, voltage| {
        if lnd.power.is_meant_on() {
            lnd.power.switch(false, "stopping", voltage.delay);
        }
    })
}

pub(super) fn start(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    switch(world, body, "start", |lnd, voltage| {
        if !lnd.power.is_meant_on() {
            lnd.power.switch(true, "starting", voltage.delay);
            lnd.life.restart();
        }
    })
}

fn switch(
    world: &World,
    body: &[u8],
    action: &'static str,
    act: impl FnOnce(&mut StoredNode, &VoltageState),
) -> Result<Value, Refusal> {
    let id = node_id(&parse(body)?)?;
    let (mut voltage, mut nodes) = (lock(&world.voltage), lock(&world.nodes));
    let node = voltage.get_mut(&id).ok_or_else(unknown)?;
    node.note(action);
    let node = node.clone();
    let lnd = nodes.get_mut(&node.lnd).ok_or_else(unknown)?;
    act(lnd, &voltage);
    // The answer to the command is no look at how far it has got.
    Ok(node.brief(node.seen(&nodes).status))
}

pub(super) fn cert(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    let id = node_id(&parse(body)?)?;
    lock(&world.voltage).get(&id).ok_or_else(unknown)?;
    Ok(json!({"node_id": id, "tls_cert": BASE64.encode(world.tls.pem().as_bytes())}))
}

/// Without a restart.
pub(super) fn whitelist(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    let body = parse(body)?;
    let mut voltage = lock(&world.voltage);
    let node = voltage.get_mut(&node_id(&body)?).ok_or_else(unknown)?;
    let addresses = validate::whitelist(body.get("whitelist").unwrap_or(&Value::Null));
    let addresses = json!(addresses.map_err(Refusal::bad_request)?);
    node.settings.insert("whitelist".into(), addresses.clone());
    Ok(json!({"node_id": node.id, "whitelist": addresses}))
}

/// The node restarts for it, so its wallet must be unlocked again.
pub(super) fn settings(world: &World, body: &[u8]) -> Result<Value, Refusal> {
    let body = parse(body)?;
    let settings = validate::settings(body.get("settings").unwrap_or(&Value::Null));
    let id = node_id(&body)?;
    let (mut voltage, mut nodes) = (lock(&world.voltage), lock(&world.nodes));
    let delay = voltage.delay;
    let node = voltage.get_mut(&id).ok_or_else(unknown)?;
    node.settings = settings.map_err(Refusal::bad_request)?;
    node.note("settings");
    let lnd = nodes.get_mut(&node.lnd).ok_or_else(unknown)?;
    if lnd.power.is_meant_on() {
        lnd.power.switch(true, "starting", delay);
        lnd.life.restart();
    }
    let mut answer = node.whole("restarting");
    // What the document leaves out here.
    for absent in ["command_history", "type", "update_available"] {
        answer.as_object_mut().and_then(|answer| answer.remove(absent));
    }
    Ok(answer)
}

fn status(node: &Machine, nodes: &mut NodesState) -> &'static str {
    nodes.get_mut(&node.lnd).map_or("deleted", look)
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).ok().filter(Value::is_object).ok_or_else(malformed)
}

fn node_id(body: &Value) -> Result<String, Refusal> {
    body.get("node_id").and_then(Value::as_str).map(str::to_owned).ok_or_else(unknown)
}

fn malformed() -> Refusal {
    Refusal::bad_request("bad request body")
}

fn unknown() -> Refusal {
    Refusal::bad_request("node_id is invalid")
}
