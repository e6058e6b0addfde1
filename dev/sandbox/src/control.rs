//! `/sandbox/…`: the handles over HTTP, for a program in another process. The table stands in the crate's docs.

use hyper::{Method, Request, StatusCode, body::Bytes, http::request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Handle, btcpay, discord, fault,
    lnd::{self, Node, NodeOptions},
    mail, privy,
    reply::Reply,
    stripe, voltage,
};

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.uri.path() == "/sandbox" || parts.uri.path().starts_with("/sandbox/")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNode {
    name: String,
    #[serde(default = "yes")]
    initialised: bool,
    #[serde(default)]
    blackholed: bool,
    #[serde(default)]
    public: bool,
    secret_key: Option<String>,
}

fn yes() -> bool {
    true
}

pub(crate) fn answer(sandbox: &Handle, request: &Request<Bytes>) -> Reply {
    let path = request.uri().path().trim_start_matches("/sandbox/");
    let all: Vec<&str> = path.split('/').collect();
    let of_a_service = lnd::control::answer(sandbox, request.method(), &all, request.body())
        .or_else(|| btcpay::control::answer(sandbox, request.method(), &all, request.body()))
        .or_else(|| voltage::control::answer(sandbox, request.method(), &all, request.body()))
        .or_else(|| stripe::control::answer(sandbox, request.method(), &all, request.body()))
        .or_else(|| discord::control::answer(sandbox, request.method(), &all, request.body()))
        .or_else(|| privy::control::answer(sandbox, request.method(), &all, request.body()))
        .or_else(|| mail::control::answer(sandbox, request.method(), &all, request.body()))
        .or_else(|| fault::control::answer(sandbox, request.method(), &all, request.body()));
    if let Some(done) = of_a_service {
        return reply(done);
    }
    let mut segments = path.split('/');
    let done = match (request.method(), segments.next(), segments.next(), segments.next()) {
        (&Method::POST, Some("nodes"), None, _) => create_node(sandbox, request.body()),
        (&Method::GET, Some("nodes"), None, _) => Ok(list_nodes(sandbox)),
        (&Method::GET, Some("nodes"), Some(name), None) => Ok(one_node(sandbox, name)),
        (&Method::GET, Some("calls"), None, _) => {
            Ok((StatusCode::OK, json!({"calls": sandbox.calls(), "objects": sandbox.objects()})))
        }
        (_, Some("nodes" | "calls" | "faults" | "services"), ..) => {
            Ok((StatusCode::METHOD_NOT_ALLOWED, json!({"error": "no such method here"})))
        }
        _ => Ok((StatusCode::NOT_FOUND, json!({"error": "no such path here"}))),
    };
    reply(done)
}

fn reply(done: Answer) -> Reply {
    match done {
        Ok((StatusCode::NO_CONTENT, _)) => Reply::empty(StatusCode::NO_CONTENT),
        Ok((status, body)) => Reply::json(status, &body),
        Err(error) => Reply::json(StatusCode::BAD_REQUEST, &json!({"error": format!("{error:#}")})),
    }
}

type Answer = anyhow::Result<(StatusCode, Value)>;

fn create_node(sandbox: &Handle, body: &[u8]) -> Answer {
    let new: NewNode = serde_json::from_slice(body)?;
    if sandbox.nodes().get(&new.name).is_some() {
        return Ok((StatusCode::CONFLICT, json!({"error": "a node of that name exists"})));
    }
    let secret_key = match &new.secret_key {
        None => None,
        Some(hex) => Some(data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes())?),
    };
    let secret_key = match secret_key {
        None => None,
        Some(bytes) => {
            let wrong = |_| anyhow::anyhow!("secret_key is 64 hex digits");
            Some(<[u8; 32]>::try_from(bytes).map_err(wrong)?)
        }
    };
    let node = sandbox.nodes().create(&new.name, NodeOptions { initialised: new.initialised, secret_key })?;
    node.set_blackholed(new.blackholed);
    node.set_public(new.public);
    Ok((StatusCode::CREATED, describe(&node)))
}

fn list_nodes(sandbox: &Handle) -> (StatusCode, Value) {
    let nodes: Vec<Value> = sandbox.nodes().list().iter().map(describe).collect();
    (StatusCode::OK, json!({ "nodes": nodes }))
}

fn one_node(sandbox: &Handle, name: &str) -> (StatusCode, Value) {
    match sandbox.nodes().get(name) {
        Some(node) => (StatusCode::OK, describe(&node)),
        None => (StatusCode::NOT_FOUND, json!({"error": "no node of that name"})),
    }
}

fn describe(node: &Node) -> Value {
    json!({
        "name": node.name,
        "pubkey": node.pubkey,
        "base_url": node.base_url,
        "admin_macaroon": node.admin_macaroon,
        "invoice_macaroon": node.invoice_macaroon,
    })
}
