//! Requests and answers, as a client makes and reads them.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Longer than an HTTP API waits for a function: nothing may hang.
const LONGEST: Duration = Duration::from_secs(35);

/// A client of one address. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    base_url: String,
}

/// A request being put together.
#[must_use]
pub struct Request {
    client: Client,
    head: request::Builder,
    body: Bytes,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub elapsed: Duration,
}

impl Client {
    pub fn new(base_url: impl Into<String>) -> Self {
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { http, base_url: base_url.into() }
    }

    pub fn get(&self, path: &str) -> Request {
        self.request(&Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Request {
        let request = self.request(&Method::POST, path).header("content-type", "application/json");
        request.body(body.to_string())
    }

    pub fn request(&self, method: &Method, path: &str) -> Request {
        let head = request::Builder::new().method(method).uri(format!("{}{path}", self.base_url));
        Request { client: self.clone(), head, body: Bytes::new() }
    }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head = self.head.header(name, value);
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Result<Answer> {
        let request = self.head.body(Full::new(self.body))?;
        let what = format!("{} {}", request.method(), request.uri());
        let started = Instant::now();
        let exchange = async {
            let (head, body) = self.client.http.request(request).await?.into_parts();
            anyhow::Ok((head, body.collect().await?.to_bytes()))
        };
        let exchanged = tokio::time::timeout(LONGEST, exchange).await;
        let (head, body) =
            exchanged.with_context(|| format!("{what} hangs"))?.with_context(|| what.clone())?;
        let (status, headers) = (head.status.as_u16(), head.headers);
        Ok(Answer { status, headers, body, elapsed: started.elapsed() })
    }

    /// Sends it and takes nothing but a 200.
    pub async fn ok(self) -> Result<Value> {
        let answer = self.send().await?;
        ensure!(answer.status == 200, "expected a 200, got {answer}");
        answer.json()
    }
}

impl Answer {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {self}"))
    }

    /// A header's value; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn request_id(&self) -> &str {
        self.header("x-request-id")
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} after {:?}", self.status, String::from_utf8_lossy(&self.body), self.elapsed)
    }
}

/// The text at a JSON pointer, such as `/data/accessToken`.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no text at {pointer}: {value}"))
}
