//! Voltage's node API, and the LND nodes it makes.

use std::time::{Duration, Instant};

use anyhow::Context;
use data_encoding::BASE64;
use sandbox::{
    Misbehaviour, Route, Sandbox, Service, When,
    lnd::Delay,
    voltage::{DEFAULT_KEY, VoltageNode},
};
use serde_json::{Value, json};

use crate::client::{call, sandbox};

const HEADERS: &[(&str, &str)] = &[("X-VOLTAGE-AUTH", DEFAULT_KEY)];

async fn voltage(sandbox: &Sandbox, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
    let url = format!("{}{path}", sandbox.voltage().url());
    call("POST", &url, HEADERS, &body.to_string()).await
}

fn new_node(name: &str) -> Value {
    json!({
        "network": "testnet",
        "purchased_type": "trial",
        "type": "lite",
        "name": name,
        "settings": {
            "alias": name, "autopilot": false, "color": "#EF820D", "grpc": true, "keysend": true, "rest": true,
            "whitelist": ["192.0.2.1"], "wumbo": false,
        },
    })
}

async fn create(sandbox: &Sandbox, name: &str) -> anyhow::Result<VoltageNode> {
    let (status, answer) = voltage(sandbox, "/node/create", &new_node(name)).await?;
    assert_eq!(status, 200, "{answer}");
    sandbox.voltage().get(name).context("just made")
}

async fn status(sandbox: &Sandbox, node: &VoltageNode) -> anyhow::Result<String> {
    let (_, answer) = voltage(sandbox, "/node", &json!({"node_id": node.node_id})).await?;
    Ok(answer["status"].as_str().unwrap_or_default().to_owned())
}

async fn ready(sandbox: &Sandbox, name: &str) -> anyhow::Result<VoltageNode> {
    sandbox.voltage().set_delay(Delay { polls: 0, milliseconds: 0 });
    create(sandbox, name).await
}

async fn lnd(
    sandbox: &Sandbox,
    segment: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<(u16, Value)> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(method, &format!("{}/{segment}/v1/{path}", sandbox.base_url()), &[], &body).await
}

async fn make_wallet(sandbox: &Sandbox, segment: &str) -> anyhow::Result<()> {
    let (_, seed) = lnd(sandbox, segment, "GET", "genseed", &Value::Null).await?;
    let body = json!({
        "wallet_password": BASE64.encode(b"correct horse"),
        "cipher_seed_mnemonic": seed["cipher_seed_mnemonic"],
        "stateless_init": true,
    });
    assert_eq!(lnd(sandbox, segment, "POST", "initwallet", &body).await?.0, 200);
    Ok(())
}

fn made(sandbox: &Sandbox, kind: &str) -> (u64, u64) {
    let objects = sandbox.objects().into_iter().filter(|o| o.kind == kind);
    objects.map(|o| (o.created, o.deleted)).next().unwrap_or_default()
}

#[tokio::test]
async fn a_node_is_provisioned_gets_a_wallet_and_runs() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let (code, answer) = voltage(&sandbox, "/node/create", &new_node("alice")).await?;
    assert_eq!(code, 200, "{answer}");
    let node = sandbox.voltage().get("alice").expect("just made");
    assert_eq!(answer["node_id"], json!(node.node_id));
    assert!(node.node_id.ends_with('N') && answer["owner_id"].as_str().is_some_and(|id| id.ends_with('U')));
    assert_eq!(node.api_endpoint, "alice.t.voltageapp.io");
    let early = format!("{}/alice/v1/state", sandbox.base_url());
    assert_eq!(crate::client::send("GET", &early, &[], "").await?.0, 503, "nobody answers yet");
    assert_eq!(status(&sandbox, &node).await?, "provisioning");
    assert_eq!(status(&sandbox, &node).await?, "waiting_init");
    make_wallet(&sandbox, "alice").await?;
    assert_eq!(status(&sandbox, &node).await?, "running");
    for segment in ["alice", "alice.t.voltageapp.io"] {
        let state = lnd(&sandbox, segment, "GET", "state", &Value::Null).await?;
        assert_eq!(state, (200, json!({"state": "SERVER_ACTIVE"})), "{segment}");
    }
    let node = sandbox.nodes().get("alice").expect("an LND node like any other");
    assert_eq!(node.calls().get("/v1/state"), Some(&3), "under either name");
    assert!(node.total_calls() > 3);
    assert_eq!((made(&sandbox, "node"), made(&sandbox, "wallet")), ((1, 0), (1, 0)));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn provisioning_lasts_as_long_as_it_was_told_to() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let control = format!("{}/sandbox/voltage", sandbox.base_url());
    let body = json!({"delay": {"polls": 2, "milliseconds": 0}}).to_string();
    assert_eq!(call("PUT", &control, &[], &body).await?.0, 200);
    let node = create(&sandbox, "polls").await?;
    let list = format!("{}/node", sandbox.voltage().url());
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (_, answer) = call("GET", &list, HEADERS, "").await?;
        seen.push(answer["nodes"][0]["status"].clone());
    }
    assert_eq!(seen, ["provisioning", "provisioning", "waiting_init"], "the list is a look, too");
    assert_eq!(status(&sandbox, &node).await?, "waiting_init");

    sandbox.voltage().set_delay(Delay { polls: 0, milliseconds: 200 });
    let node = create(&sandbox, "time").await?;
    let started = Instant::now();
    while status(&sandbox, &node).await? == "provisioning" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(started.elapsed() > Duration::from_millis(150), "{:?}", started.elapsed());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stopped_node_is_away_and_comes_back_locked() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = ready(&sandbox, "alice").await?;
    make_wallet(&sandbox, "alice").await?;
    sandbox.voltage().set_delay(Delay::default());
    let id = json!({"node_id": node.node_id});
    assert_eq!(voltage(&sandbox, "/node/stop", &id).await?.1["status"], "stopping");
    assert_eq!(status(&sandbox, &node).await?, "stopping");
    assert_eq!(status(&sandbox, &node).await?, "stopped");
    let url = format!("{}/alice/v1/state", sandbox.base_url());
    assert_eq!(crate::client::send("GET", &url, &[], "").await?.0, 503);
    assert_eq!(voltage(&sandbox, "/node/start", &id).await?.1["status"], "starting");
    assert_eq!(status(&sandbox, &node).await?, "starting");
    assert_eq!(status(&sandbox, &node).await?, "waiting_unlock");
    let password = json!({"wallet_password": BASE64.encode(b"correct horse")});
    assert_eq!(lnd(&sandbox, "alice", "POST", "unlockwallet", &password).await?.0, 200);
    assert_eq!(status(&sandbox, &node).await?, "running");
    let (_, whole) = voltage(&sandbox, "/node", &id).await?;
    let actions = whole["command_history"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(actions.iter().map(|a| a["action"].clone()).collect::<Vec<_>>(), ["stop", "start"]);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_name_is_taken_on_its_network_until_the_node_is_deleted() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let first = ready(&sandbox, "alice").await?;
    make_wallet(&sandbox, "alice").await?;
    let ask = json!({"node_name": "alice", "network": "testnet"});
    let expected = |taken| (200, json!({"taken": taken, "valid": true, "node_name": "alice"}));
    assert_eq!(voltage(&sandbox, "/node/name", &ask).await?, expected(true));
    let (code, refusal) = voltage(&sandbox, "/node/create", &new_node("alice")).await?;
    let message = json!({"message": "VALIDATION ERROR: name alice is already taken"});
    assert_eq!((code, refusal), (400, message));
    let mut elsewhere = new_node("alice");
    elsewhere["network"] = json!("mainnet");
    let (code, main) = voltage(&sandbox, "/node/create", &elsewhere).await?;
    assert_eq!(code, 200);
    let state = |segment| lnd(&sandbox, segment, "GET", "state", &Value::Null);
    assert_eq!(state("alice.t.voltageapp.io").await?.1["state"], "SERVER_ACTIVE");
    assert_eq!(state("alice.m.voltageapp.io").await?.1["state"], "NON_EXISTING", "another node");

    let old_macaroon = sandbox.nodes().get("alice").map(|node| node.admin_macaroon).unwrap_or_default();
    let (code, deleted) = voltage(&sandbox, "/node/delete", &json!({"node_id": first.node_id})).await?;
    assert_eq!((code, &deleted["status"]), (200, &json!("deleted")));
    let gone = (400, json!({"message": "node_id is not valid"}));
    assert_eq!(voltage(&sandbox, "/node/delete", &json!({"node_id": first.node_id})).await?, gone);
    assert_eq!(voltage(&sandbox, "/node", &json!({"node_id": first.node_id})).await?.0, 400);
    assert_eq!(voltage(&sandbox, "/node/name", &ask).await?, expected(false));
    let (_, list) = call("GET", &format!("{}/node", sandbox.voltage().url()), HEADERS, "").await?;
    assert_eq!(list["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["nodes"][0]["node_id"], main["node_id"]);

    create(&sandbox, "alice").await?;
    make_wallet(&sandbox, "alice").await?;
    let url = format!("{}/alice/v1/getinfo", sandbox.base_url());
    let (code, _) = call("GET", &url, &[("Grpc-Metadata-macaroon", &old_macaroon)], "").await?;
    assert_eq!(code, 500, "a later node of the name does not know the former's macaroon");
    assert_eq!(made(&sandbox, "node"), (3, 1));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_wrong_is_not_made() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    for (path, value) in [
        ("/network", json!("signet")),
        ("/network", Value::Null),
        ("/purchased_type", json!("free")),
        ("/type", json!("heavy")),
        ("/name", json!("Alice")),
        ("/name", json!("-alice")),
        ("/name", json!("a".repeat(64))),
        ("/name", json!("")),
        ("/settings", json!([])),
        ("/settings/alias", Value::Null),
        ("/settings/rest", json!("yes")),
        ("/settings/whitelist", json!("192.0.2.1")),
        ("/settings/whitelist", json!(["everybody"])),
    ] {
        let mut body = new_node("alice");
        *body.pointer_mut(path).expect("a member") = value;
        let (code, answer) = voltage(&sandbox, "/node/create", &body).await?;
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(code == 400 && message.starts_with("VALIDATION ERROR: "), "{path}: {code} {answer}");
    }
    let ask = json!({"node_name": "Alice", "network": "mainnet"});
    assert_eq!(voltage(&sandbox, "/node/name", &ask).await?.1["valid"], false);
    let malformed = (400, json!({"message": "bad request body"}));
    assert_eq!(voltage(&sandbox, "/node/name", &json!({})).await?, malformed);
    for path in ["/node", "/node/stop", "/node/start", "/node/cert", "/node/whitelist"] {
        let nobodys = voltage(&sandbox, path, &json!({"node_id": "none"})).await?;
        assert_eq!(nobodys, (400, json!({"message": "node_id is invalid"})), "{path}");
    }
    assert_eq!(made(&sandbox, "node"), (0, 0));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn without_the_right_key_nothing_is_done() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let create = format!("{}/node/create", sandbox.voltage().url());
    let body = new_node("alice").to_string();
    let unauthorised = (401, json!({"message": "Unauthorized"}));
    for headers in [&[][..], &[("X-VOLTAGE-AUTH", "wrong")], &[("Authorization", DEFAULT_KEY)]] {
        assert_eq!(call("POST", &create, headers, &body).await?, unauthorised);
    }
    let keys = format!("{}/sandbox/voltage/keys", sandbox.base_url());
    assert_eq!(call("POST", &keys, &[], r#"{"key":"second"}"#).await?.0, 200);
    assert!(sandbox.voltage().revoke_key(DEFAULT_KEY));
    assert_eq!(call("POST", &create, HEADERS, &body).await?, unauthorised, "revoked");
    assert_eq!(made(&sandbox, "node"), (0, 0));
    assert_eq!(call("POST", &create, &[("X-VOLTAGE-AUTH", "second")], &body).await?.0, 200);
    let nowhere = format!("{}/btcpayserver", sandbox.voltage().url());
    assert_eq!(call("GET", &nowhere, &[("X-VOLTAGE-AUTH", "second")], "").await?.0, 404);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_whitelist_and_the_settings_are_kept_and_shown() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = ready(&sandbox, "alice").await?;
    make_wallet(&sandbox, "alice").await?;
    assert_eq!(node.whitelist, ["192.0.2.1"]);
    let body = json!({"node_id": node.node_id, "whitelist": ["192.0.2.7", "2001:db8::1"]});
    assert_eq!(voltage(&sandbox, "/node/whitelist", &body).await?, (200, body.clone()));
    let (_, whole) = voltage(&sandbox, "/node", &json!({"node_id": node.node_id})).await?;
    assert_eq!(whole["settings"]["whitelist"], body["whitelist"]);
    assert_eq!(whole["status"], "running", "no restart for that");
    let mut settings = whole["settings"].clone();
    settings["alias"] = json!("bob");
    let body = json!({"node_id": node.node_id, "settings": settings});
    let (code, changed) = voltage(&sandbox, "/node/settings", &body).await?;
    assert_eq!((code, &changed["status"]), (200, &json!("restarting")));
    assert_eq!(changed["settings"]["alias"], "bob");
    assert_eq!(status(&sandbox, &node).await?, "waiting_unlock");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stranger_may_be_ordered_for_the_next_node() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    sandbox.voltage().strangers_take_next(1);
    let taken = ready(&sandbox, "alice").await?;
    let free = ready(&sandbox, "bob").await?;
    assert_eq!(status(&sandbox, &taken).await?, "running");
    assert_eq!(status(&sandbox, &free).await?, "waiting_init");
    assert_eq!(lnd(&sandbox, "alice", "GET", "genseed", &Value::Null).await?.0, 500);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn faults_strike_voltage_as_any_service() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let route = Route::service(Service::Voltage).method("POST").path("/voltage/node/create");
    let after = Misbehaviour::FailAfter { status: 504, body: "too late".into() };
    sandbox.faults().add(route.clone(), When::Times(1), after)?;
    let url = format!("{}/node/create", sandbox.voltage().url());
    let body = new_node("alice").to_string();
    let (code, answer) = crate::client::send("POST", &url, HEADERS, &body).await?;
    assert_eq!((code, &answer[..]), (504, &b"too late"[..]));
    assert!(sandbox.voltage().get("alice").is_some(), "the node was made");
    sandbox.faults().add(route, When::Times(1), Misbehaviour::Duplicate)?;
    let (code, _) = voltage(&sandbox, "/node/create", &new_node("bob")).await?;
    assert_eq!(code, 400, "the second time the name is taken");
    assert_eq!(made(&sandbox, "node"), (2, 0));
    assert_eq!(sandbox.calls_to(Service::Voltage, "/voltage/node/create"), 2);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn thousands_of_nodes_are_made_and_found_quickly() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let started = Instant::now();
    for n in 0..2000 {
        assert_eq!(voltage(&sandbox, "/node/create", &new_node(&format!("node-{n}"))).await?.0, 200);
    }
    let (_, list) = call("GET", &format!("{}/node", sandbox.voltage().url()), HEADERS, "").await?;
    assert_eq!(list["nodes"].as_array().map(Vec::len), Some(2000));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    sandbox.stop().await;
    Ok(())
}
