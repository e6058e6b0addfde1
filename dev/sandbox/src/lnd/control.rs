//! `/sandbox/nodes/{name}/…`, `/sandbox/lnd` and `/sandbox/tls`: the handles of nodes over HTTP.

use anyhow::Context;
use data_encoding::HEXLOWER;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Network, Node, StartUp};
use crate::Handle;

type Answer = anyhow::Result<(StatusCode, Value)>;

/// How nodes made from now on are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    network: Option<Network>,
    start_up: Option<StartUp>,
}

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let answer = match (method, segments) {
        (&Method::PUT, ["lnd"]) => settings(sandbox, body),
        (&Method::GET, ["tls"]) => Ok((StatusCode::OK, describe_tls(sandbox))),
        (&Method::POST, ["tls"]) => {
            sandbox.tls().replace_certificate().map(|()| (StatusCode::CREATED, describe_tls(sandbox)))
        }
        (method, ["nodes", name, rest @ ..]) if !rest.is_empty() => match sandbox.nodes().get(name) {
            Some(node) => of_node(&node, method, rest, body)?,
            None => Ok((StatusCode::NOT_FOUND, json!({"error": "no node of that name"}))),
        },
        _ => return None,
    };
    Some(answer)
}

fn settings(sandbox: &Handle, body: &[u8]) -> Answer {
    let settings: Settings = serde_json::from_slice(body)?;
    if let Some(network) = settings.network {
        sandbox.nodes().set_network(network);
    }
    if let Some(start_up) = settings.start_up {
        sandbox.nodes().set_start_up(start_up);
    }
    Ok((StatusCode::OK, json!({})))
}

fn describe_tls(sandbox: &Handle) -> Value {
    let tls = sandbox.tls();
    let fingerprint = HEXLOWER.encode(&tls.certificate_sha256());
    json!({"base_url": tls.base_url(), "certificate_sha256": fingerprint, "certificate": tls.certificate_pem()})
}

fn of_node(node: &Node, method: &Method, what: &[&str], body: &[u8]) -> Option<Answer> {
    let answer = match (method, what) {
        (&Method::GET, ["state"]) => {
            node.state().context("the node is gone").map(|state| json!({"state": state.name()}))
        }
        (&Method::PUT, ["start_up"]) => serde_json::from_slice::<StartUp>(body)
            .map(|start_up| {
                node.set_start_up(start_up);
                json!(start_up)
            })
            .map_err(Into::into),
        (&Method::POST, ["restart"]) => {
            node.restart();
            Ok(json!({}))
        }
        (&Method::POST, ["stranger"]) => node.init_by_stranger().map(|()| json!({})),
        (&Method::POST, ["invoices", hash, "settle"]) => {
            node.settle_invoice(hash).map(|preimage| json!({ "preimage": preimage }))
        }
        _ => return None,
    };
    Some(answer.map(|body| (StatusCode::OK, body)))
}
