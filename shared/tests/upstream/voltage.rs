//! What is said to Voltage, and what is made of its answers.

use serde_json::{Value, json};
use shared::crypto::sha256;
use shared::upstream::{Failure, Pins, code};
use shared::voltage::{NodeStatus, VoltageNodeId};
use testing::Result;
use time::macros::datetime;

use crate::ground::{Ground, RETRY, overlay, verdict};
use crate::server::{Reply, Server};

pub const NODE: &str = "555c5108-7438-488d-b227-5f80baf8a23aN";

pub fn id() -> Result<VoltageNodeId> {
    Ok(NODE.parse()?)
}

pub fn node(changed: &Value) -> Value {
    let node = json!({
        "node_name": "satchel-t-x", "status": "waiting_init", "node_id": NODE, "expires": "never",
        "created": "2026-01-09T11:59:55Z", "type": "standard", "purchased_type": "trial", "purchase_status": "active",
        "lnd_version": "v0.20.3-beta", "update_available": false, "api_endpoint": "satchel-t-x.t.voltageapp.io",
        "network": "testnet", "command_history": [], "settings": {"grpc": true}
    });
    overlay(node, changed)
}

async fn answering(status: u16, body: &str) -> Result<(Ground, Server)> {
    Ok((Ground::new().await?, Server::start([Reply::json(status, body)]).await?))
}

#[tokio::test]
async fn a_node_is_ordered_as_configured_and_talks_only_to_us() -> Result<()> {
    let id = id()?;
    let made =
        json!({"node_id": NODE, "owner_id": "2936b2c7-8980-442c-b037-4845ee6e84f1U", "network": "mainnet"});
    let (ground, server) = answering(200, &made.to_string()).await?;
    let ground = ground
        .with("VOLTAGE_NETWORK", "mainnet")
        .with("VOLTAGE_NODE_TYPE", "lite")
        .with("VOLTAGE_PURCHASED_TYPE", "ondemand")
        .with("EGRESS_ADDRESSES", "192.0.2.1, 2001:db8::1");
    assert_eq!(ground.voltage(&server.url).await?.create_node("satchel-t-x").await?, id);
    let heard = server.heard().remove(0);
    assert_eq!(heard.line, "POST /node/create");
    let body = heard.json()?;
    let chosen = json!({
        "network": "mainnet", "type": "lite", "purchased_type": "ondemand", "name": "satchel-t-x",
        "settings": body["settings"]
    });
    assert_eq!(body, chosen);
    assert_eq!(body["settings"]["whitelist"], json!(["192.0.2.1", "2001:db8::1"]));
    assert_eq!(body["settings"]["rest"], json!(true));
    Ok(())
}

#[tokio::test]
async fn unconfigured_a_node_is_a_trial_on_testnet() -> Result<()> {
    let (ground, server) = answering(200, &json!({"node_id": NODE}).to_string()).await?;
    ground.voltage(&server.url).await?.create_node("satchel-t-x").await?;
    let body = server.heard().remove(0).json()?;
    let ordered = (&body["network"], &body["type"], &body["purchased_type"], &body["settings"]["whitelist"]);
    assert_eq!(ordered, (&json!("testnet"), &json!("standard"), &json!("trial"), &json!(["192.0.2.1"])));
    Ok(())
}

#[tokio::test]
async fn a_node_lets_everybody_in_only_when_the_operator_says_any() -> Result<()> {
    let (ground, server) = answering(200, &json!({"node_id": NODE}).to_string()).await?;
    let open = ground.with("EGRESS_ADDRESSES", "any");
    open.voltage(&server.url).await?.create_node("satchel-t-x").await?;
    assert_eq!(server.heard().remove(0).json()?["settings"]["whitelist"], json!([]));
    Ok(())
}

#[tokio::test]
async fn nodes_are_listed_without_the_deleted_ones() -> Result<()> {
    let id = id()?;
    let list = json!({"nodes": [node(&json!({})), node(&json!({"node_id": "gone", "status": "deleted"}))]});
    let (ground, server) = answering(200, &list.to_string()).await?;
    let nodes = ground.voltage(&server.url).await?.list_nodes().await?;
    assert_eq!(server.lines(), ["GET /node"]);
    assert_eq!(nodes.len(), 1);
    assert_eq!((&nodes[0].id, nodes[0].name.as_str()), (&id, "satchel-t-x"));
    assert_eq!(nodes[0].created, Some(datetime!(2026-01-09 11:59:55 UTC)));
    assert_eq!(nodes[0].api_endpoint.as_deref(), Some("satchel-t-x.t.voltageapp.io"));

    let (ground, server) = answering(200, r#"{"nodes":null}"#).await?;
    assert_eq!(ground.voltage(&server.url).await?.list_nodes().await?, []);
    Ok(())
}

#[tokio::test]
async fn a_node_is_read_in_every_status() -> Result<()> {
    let id = id()?;
    for (status, expected) in [
        ("provisioning", NodeStatus::Provisioning),
        ("starting", NodeStatus::Starting),
        ("waiting_init", NodeStatus::WaitingInit),
        ("waiting_unlock", NodeStatus::WaitingUnlock),
        ("running", NodeStatus::Running),
        ("stopping", NodeStatus::Stopping),
        ("stopped", NodeStatus::Stopped),
        ("deleted", NodeStatus::Deleted),
        ("dreaming", NodeStatus::Other("dreaming".into())),
    ] {
        let early = json!({"status": status, "api_endpoint": "", "created": "yesterday"});
        let (ground, server) = answering(200, &node(&early).to_string()).await?;
        let node = ground.voltage(&server.url).await?.node(&id).await?;
        assert_eq!((node.status, node.api_endpoint, node.created), (expected, None, None));
        let heard = server.heard().remove(0);
        assert_eq!((heard.line.as_str(), heard.json()?), ("POST /node", json!({"node_id": NODE})));
    }
    Ok(())
}

/// A wallet's seed and password go to the host Voltage names.
#[tokio::test]
async fn a_host_that_is_more_than_a_name_is_no_answer() -> Result<()> {
    let id = id()?;
    let long = "a.".repeat(127);
    for host in
        ["evil.example/x", "a@evil.example", "evil.example:1", "a..b", "-a.b", "a b", "a?b", "[::1]", &long]
    {
        let answer = node(&json!({"api_endpoint": host}));
        let (ground, server) = answering(200, &answer.to_string()).await?;
        let outcome = ground.voltage(&server.url).await?.node(&id).await;
        assert_eq!(verdict(outcome), (code::VOLTAGE_UNEXPECTED_ANSWER, RETRY), "{host}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_about_another_node_or_under_an_impossible_id_is_none() -> Result<()> {
    let id = id()?;
    let (ground, server) = answering(200, &node(&json!({"node_id": "another"})).to_string()).await?;
    let outcome = ground.voltage(&server.url).await?.node(&id).await;
    assert_eq!(verdict(outcome), (code::VOLTAGE_UNEXPECTED_ANSWER, RETRY));
    for bad in [json!(""), json!("a/b"), json!("a".repeat(65)), json!(7), Value::Null] {
        let (ground, server) = answering(200, &json!({"node_id": bad}).to_string()).await?;
        let outcome = ground.voltage(&server.url).await?.create_node("satchel-t-x").await;
        assert_eq!(verdict(outcome), (code::VOLTAGE_UNEXPECTED_ANSWER, Failure::Ambiguous));
    }
    Ok(())
}

/// PEM of two "certificates": the node's own comes first.
const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n\n\
                     -----BEGIN CERTIFICATE-----\nBAUG\n-----END CERTIFICATE-----\n";

#[tokio::test]
async fn a_certificate_is_known_by_the_hash_of_the_first_of_its_chain() -> Result<()> {
    let id = id()?;
    let answer = json!({"node_id": NODE, "tls_cert": data_encoding::BASE64.encode(CHAIN.as_bytes())});
    let (ground, server) = answering(200, &answer.to_string()).await?;
    let voltage = ground.voltage(&server.url).await?;
    assert_eq!(voltage.certificate(&id).await?, sha256(&[1, 2, 3]));
    assert_eq!(server.lines(), ["POST /node/cert"]);

    // by default the public roots are asked; configured, the certificate is
    assert_eq!(voltage.pins(&id).await?, Pins::public());
    let ground = ground.with("VOLTAGE_NODE_CERTIFICATE", "pinned");
    let pins = ground.voltage(&server.url).await?.pins(&id).await?;
    assert_eq!(pins, Pins(vec![sha256(&[1, 2, 3])]));

    for bad in ["", "!", "AQID", &data_encoding::BASE64.encode(b"-----BEGIN CERTIFICATE-----\n!\n")] {
        let (ground, server) = answering(200, &json!({"tls_cert": bad}).to_string()).await?;
        let outcome = ground.voltage(&server.url).await?.certificate(&id).await;
        assert_eq!(verdict(outcome), (code::VOLTAGE_UNEXPECTED_ANSWER, RETRY), "{bad}");
    }
    Ok(())
}
