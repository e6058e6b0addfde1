//! A bare HTTP client: what the tests say is what is sent.

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sandbox::{Sandbox, SandboxOptions, lnd::Node};
use serde_json::Value;

pub async fn sandbox() -> anyhow::Result<Sandbox> {
    Sandbox::start(SandboxOptions { port: 0, seed: 7 }).await
}

/// Status and raw body.
pub async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<(u16, Bytes)> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.body(Full::<Bytes>::from(body.to_owned()))?).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

/// Status and JSON body; an empty body is `null`.
pub async fn call(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<(u16, Value)> {
    let (status, body) = send(method, url, headers, body).await?;
    if body.is_empty() {
        return Ok((status, Value::Null));
    }
    Ok((status, serde_json::from_slice(&body).with_context(|| format!("{status} {body:?} is no JSON"))?))
}

pub async fn lnd(
    node: &Node,
    method: &str,
    path: &str,
    macaroon: &str,
    body: &str,
) -> anyhow::Result<(u16, Value)> {
    call(method, &format!("{}{path}", node.base_url), &[("Grpc-Metadata-macaroon", macaroon)], body).await
}

/// LND's error body and nothing else in it.
pub fn lnd_error(code: u8, message: &str) -> Value {
    serde_json::json!({"code": code, "message": message, "details": []})
}
