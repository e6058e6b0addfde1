//! A gateway over the probe, and a client for it.

use bytes::Bytes;
use gateway::{Gateway, GatewayOptions, Template};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

pub struct World {
    pub gateway: Gateway,
    pub lines: Arc<Mutex<Vec<(String, String)>>>,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl World {
    /// `change` sets what differs from a gateway whose function `broken` starts as well as the others.
    pub async fn start(change: impl FnOnce(&mut GatewayOptions)) -> anyhow::Result<Self> {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/template.yaml");
        let probe = PathBuf::from(env!("CARGO_BIN_EXE_gateway_probe"));
        let binaries = probe.parent().unwrap_or(Path::new("."));
        let mut options = GatewayOptions::new(Template::load(template, &BTreeMap::new())?, binaries);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        options.log = Arc::new(move |function, line| {
            if let Ok(mut lines) = sink.lock() {
                lines.push((function.to_owned(), line.to_owned()));
            }
        });
        change(&mut options);
        let gateway = Gateway::start(options).await?;
        Ok(Self { gateway, lines, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Reply> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.gateway.base_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, body) = self.client.request(request.body(Full::new(body.into()))?).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.send("GET", path, &[], "").await
    }

    /// Whether a line of this function holds this text.
    pub fn said(&self, function: &str, text: &str) -> bool {
        self.lines
            .lock()
            .is_ok_and(|lines| lines.iter().any(|(name, line)| name == function && line.contains(text)))
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The code of the one error body, if this is it: every field there, the request's id in its header.
    pub fn error(&self) -> Option<String> {
        let body = self.json();
        let whole = body["success"] == false && body["message"].is_string() && body["timestamp"].is_string();
        let same_id = body["requestId"].as_str() == Some(self.header("x-request-id"));
        (whole && same_id).then(|| body["error"].as_str().map(str::to_owned))?
    }
}

/// Whether a process is there, be it as a zombie.
pub fn is_alive(pid: u32) -> bool {
    let mut kill = std::process::Command::new("kill");
    kill.args(["-0", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
