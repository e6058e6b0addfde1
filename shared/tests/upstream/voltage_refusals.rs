//! How Voltage says no, and how much of it is believed.

use serde_json::{Value, json};
use shared::upstream::{Failure, UpstreamError, code};
use shared::voltage::VoltageNodeId;
use testing::Result;

use crate::ground::{Ground, RETRY, verdict};
use crate::server::{Reply, Server};
use crate::voltage::{NODE, id, node};

async fn answering(status: u16, body: &str) -> Result<(Ground, Server)> {
    Ok((Ground::new().await?, Server::start([Reply::json(status, body)]).await?))
}

#[tokio::test]
async fn refusals_are_told_apart_though_all_of_them_are_400() -> Result<()> {
    for (status, body, expected) in [
        (400, r#"{"message":"VALIDATION ERROR: node name is already taken"}"#, code::VOLTAGE_NAME_TAKEN),
        (400, r#"{"message":"node name already in use"}"#, code::VOLTAGE_NAME_TAKEN),
        (400, r#"{"message":"VALIDATION ERROR: unknown network"}"#, code::VOLTAGE_REJECTED),
        (400, "", code::VOLTAGE_REJECTED),
        (402, r#"{"message":"payment required"}"#, code::VOLTAGE_REJECTED),
        (401, r#"{"message":"Unauthorized"}"#, code::VOLTAGE_KEY_REFUSED),
        (403, r#"{"message":"Forbidden"}"#, code::VOLTAGE_KEY_REFUSED),
        (400, r#"{"message":"Invalid API key"}"#, code::VOLTAGE_KEY_REFUSED),
        (400, r#"{"message":"node_id is not valid"}"#, code::VOLTAGE_NOT_FOUND),
        (404, r#"{"message":"no such node"}"#, code::VOLTAGE_NOT_FOUND),
    ] {
        let (ground, server) = answering(status, body).await?;
        let error = ground.voltage(&server.url).await?.create_node("satchel-t-x").await.unwrap_err();
        assert_eq!((error.code, error.failure), (expected, Failure::Final), "{status} {body}");
        assert!(!error.counts_against_provider() && code::ALL.contains(&error.code));
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_that_voltage_did_not_write_is_tried_again() -> Result<()> {
    for status in [401, 403, 404] {
        for body in ["<html><h1>Forbidden", "Forbidden", "", "{}", r#"{"message":null}"#, r#"{"error":"no"}"#]
        {
            let (ground, server) = answering(status, body).await?;
            let error = ground.voltage(&server.url).await?.list_nodes().await.unwrap_err();
            assert_eq!(
                (error.code, error.failure),
                (code::VOLTAGE_UNEXPECTED_ANSWER, RETRY),
                "{status} {body}"
            );
            assert!(error.counts_against_provider(), "{status} {body}");
        }
    }
    Ok(())
}

fn unknown() -> Reply {
    Reply::json(400, r#"{"message":"node_id is not valid"}"#)
}

fn list(nodes: &[Value]) -> Reply {
    Reply::json(200, &json!({ "nodes": nodes }).to_string())
}

async fn read(replies: Vec<Reply>) -> Result<(&'static str, Failure)> {
    let (ground, server, id) = (Ground::new().await?, Server::start(replies).await?, id()?);
    let outcome = ground.voltage(&server.url).await?.node(&id).await;
    assert_eq!(server.lines()[..2], ["POST /node", "GET /node"]);
    Ok(verdict(outcome))
}

/// Who believes too soon that a node is gone pays for another.
#[tokio::test]
async fn a_node_is_gone_when_the_list_says_so_too() -> Result<()> {
    let another = node(&json!({"node_id": "another"}));
    let gone = (code::VOLTAGE_NOT_FOUND, Failure::Final);
    assert_eq!(read(vec![unknown(), list(&[])]).await?, gone);
    assert_eq!(read(vec![unknown(), list(std::slice::from_ref(&another))]).await?, gone);
    assert_eq!(read(vec![unknown(), list(&[node(&json!({"status": "deleted"}))])]).await?, gone);

    let odd = (code::VOLTAGE_UNEXPECTED_ANSWER, RETRY);
    assert_eq!(read(vec![unknown(), list(&[node(&json!({}))])]).await?, odd);
    // It may be the one that cannot be read.
    assert_eq!(read(vec![unknown(), list(&[another.clone(), node(&json!({"status": null}))])]).await?, odd);
    assert_eq!(read(vec![unknown(), list(&[another.clone(), json!({"node_name": "x"})])]).await?, odd);
    assert_eq!(read(vec![unknown(), list(&[another, json!({"node_id": "third"})])]).await?, gone);

    let away = Reply::json(503, "");
    assert_eq!(read(vec![unknown(), away]).await?, (code::VOLTAGE_UNAVAILABLE, RETRY));
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_a_node_that_is_there_may_come_yet() -> Result<()> {
    let (ground, id) = (Ground::new().await?, id()?);
    let server = Server::start([unknown(), list(&[node(&json!({}))])]).await?;
    let outcome = ground.voltage(&server.url).await?.certificate(&id).await;
    assert_eq!(verdict(outcome), (code::VOLTAGE_UNEXPECTED_ANSWER, RETRY));
    Ok(())
}

async fn delete(replies: Vec<Reply>, id: &VoltageNodeId) -> Result<Result<(), UpstreamError>> {
    let (ground, server) = (Ground::new().await?, Server::start(replies).await?);
    let outcome = ground.voltage(&server.url).await?.delete_node(id).await;
    assert_eq!(server.lines()[0], "POST /node/delete");
    Ok(outcome)
}

#[tokio::test]
async fn a_node_that_is_not_in_the_list_is_deleted() -> Result<()> {
    let id = id()?;
    let deleted = Reply::json(200, &node(&json!({"status": "deleted"})).to_string());
    let odd = Reply::json(400, r#"{"message":"something went wrong"}"#);
    for replies in [vec![deleted], vec![unknown(), list(&[])], vec![odd, list(&[])]] {
        delete(replies, &id).await??;
    }
    for there in [node(&json!({})), json!({"node_id": NODE, "status": 7})] {
        let outcome = delete(vec![unknown(), list(&[node(&json!({"node_id": "b"})), there])], &id).await?;
        assert_eq!(verdict(outcome), (code::VOLTAGE_NOT_FOUND, Failure::Final));
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_cannot_be_read_does_not_hide_the_others() -> Result<()> {
    let nodes = [
        node(&json!({"node_id": "a", "api_endpoint": "n.example:8080"})),
        node(&json!({"node_id": "b", "node_name": null})),
        node(&json!({"node_id": "c", "status": null})),
        node(&json!({"node_id": 5})),
        json!("odd"),
        node(&json!({})),
    ];
    let server = Server::start([list(&nodes)]).await?;
    let nodes = Ground::new().await?.voltage(&server.url).await?.list_nodes().await?;
    let seen: Vec<_> =
        nodes.iter().map(|node| (node.id.as_str(), &*node.name, node.api_endpoint.as_deref())).collect();
    let host = Some("satchel-t-x.t.voltageapp.io");
    assert_eq!(seen, [("a", "satchel-t-x", None), ("b", "", host), (NODE, "satchel-t-x", host)]);

    // When none can be read, that is no list.
    let server = Server::start([list(&[json!({}), json!({})])]).await?;
    let outcome = Ground::new().await?.voltage(&server.url).await?.list_nodes().await;
    assert_eq!(verdict(outcome), (code::VOLTAGE_UNEXPECTED_ANSWER, RETRY));
    Ok(())
}
