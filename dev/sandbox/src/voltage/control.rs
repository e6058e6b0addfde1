//! `/sandbox/voltage/…`: the handle over HTTP.

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Handle, lnd::Delay};

type Answer = anyhow::Result<(StatusCode, Value)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    delay: Option<Delay>,
    strangers_take_next: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    key: String,
}

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let answer = match (method, segments) {
        (&Method::GET, ["voltage"]) => Ok(json!({"nodes": sandbox.voltage().nodes()})),
        (&Method::PUT, ["voltage"]) => settings(sandbox, body),
        (&Method::POST, ["voltage", "keys"]) => key(body).map(|key| {
            sandbox.voltage().accept_key(&key);
            json!({})
        }),
        (&Method::DELETE, ["voltage", "keys"]) => {
            key(body).map(|key| json!({"revoked": sandbox.voltage().revoke_key(&key)}))
        }
        _ => return None,
    };
    Some(answer.map(|body| (StatusCode::OK, body)))
}

fn settings(sandbox: &Handle, body: &[u8]) -> anyhow::Result<Value> {
    let settings: Settings = serde_json::from_slice(body)?;
    if let Some(delay) = settings.delay {
        sandbox.voltage().set_delay(delay);
    }
    if let Some(nodes) = settings.strangers_take_next {
        sandbox.voltage().strangers_take_next(nodes);
    }
    Ok(json!({}))
}

fn key(body: &[u8]) -> anyhow::Result<String> {
    Ok(serde_json::from_slice::<Key>(body)?.key)
}
