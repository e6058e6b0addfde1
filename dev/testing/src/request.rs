//! Requests as the gateway passes them on, and what came back.

use std::collections::HashMap;

use anyhow::Context;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use shared::clock::Clock;
use shared::http::{ApiError, Reply, Request};

/// The address every test request comes from unless it says another (TEST-NET-3).
pub const CALLER: &str = "203.0.113.7";

/// A request being put together.
#[derive(Clone)]
pub struct Call(Request);

impl Call {
    /// `route` as the template has it, such as `POST /v1/challenges`.
    pub fn new(route: &str) -> Self {
        let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
        Self(Request {
            id: String::from("request-under-test"),
            method: method.parse().unwrap_or(Method::GET),
            path: path.to_owned(),
            route: route.to_owned(),
            path_parameters: HashMap::new(),
            headers: HeaderMap::new(),
            body: Vec::new().into(),
            source_ip: CALLER.parse().ok(),
        })
    }

    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into().into();
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// A path parameter, put into the path as well.
    #[must_use]
    pub fn path(mut self, name: &str, value: &str) -> Self {
        self.0.path = self.0.path.replace(&format!("{{{name}}}"), value);
        self.0.path_parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn from_address(mut self, address: &str) -> Self {
        self.0.source_ip = address.parse().ok();
        self
    }

    pub fn request(&self) -> &Request {
        &self.0
    }
}

/// What a handler answered, errors in the form callers get them.
#[derive(Debug)]
pub struct Outcome {
    pub status: StatusCode,
    pub body: Value,
    pub reply: Reply,
    /// What the log would say of an error.
    pub causes: Option<String>,
}

impl Outcome {
    pub fn of(result: Result<Reply, ApiError>) -> anyhow::Result<Self> {
        let (reply, causes) = match result {
            Ok(reply) => (reply, None),
            Err(error) => {
                let causes = error.causes();
                (error.into_reply("request-under-test", Clock::system().now()), causes)
            }
        };
        let body = serde_json::from_str(&reply.body).context("the body is not JSON")?;
        Ok(Self { status: reply.status, body, reply, causes })
    }

    /// Status and error code, such as `(401, "UNAUTHENTICATED")`; the code of a success is empty.
    pub fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body.get("error").and_then(Value::as_str).unwrap_or_default())
    }

    /// The text at a JSON pointer, such as `/data/accessToken`.
    pub fn text(&self, pointer: &str) -> anyhow::Result<&str> {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .with_context(|| format!("no text at {pointer}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.reply
            .headers
            .iter()
            .find(|(found, _)| found.as_str() == name)
            .and_then(|(_, value)| value.to_str().ok())
    }
}
