//! Requests as the gateway passes them on, and what came back.

use std::collections::HashMap;

use anyhow::Context;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;
use shared::clock::Clock;
use shared::http::{ApiError, Reply, Request};
use shared::runtime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
            query: String::new(),
            cookies: Vec::new(),
            headers: HeaderMap::new(),
            body: Vec::new().into(),
            source_ip: CALLER.parse().ok(),
        })
    }

    /// The request in `events/<function>.json`, read as the function itself reads it.
    pub fn from_event(function: &str) -> anyhow::Result<Self> {
        let event: Box<RawValue> = serde_json::from_str(&event_text(function)?)?;
        match runtime::read(&event) {
            (request, None) => Ok(Self(request)),
            (_, Some(refusal)) => anyhow::bail!("events/{function}.json is refused: {refusal:?}"),
        }
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

    /// In place of the header that is there.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.0.headers.remove("authorization");
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// A path parameter, put into the path as well.
    #[must_use]
    pub fn path(mut self, name: &str, value: &str) -> Self {
        self.0.path = self.0.path.replace(&format!("{{{name}}}"), value);
        self.0.path_parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What stands behind the `?`, encoded.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.0.query);
        self
    }

    #[must_use]
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        self.0.cookies.push(format!("{name}={value}"));
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

/// `events/<function>.json`, as `cargo lambda invoke` would send it.
pub fn event_text(function: &str) -> anyhow::Result<String> {
    let path = crate::world::root().join("events").join(format!("{function}.json"));
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
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
        Ok(Self { status: reply.status, body: body(&reply.body)?, reply, causes })
    }

    /// An answer as a function's process gave it to the gateway.
    pub fn of_payload(payload: &Value) -> anyhow::Result<Self> {
        let status = payload["statusCode"].as_u64().context("the answer has no status")?;
        let status = StatusCode::from_u16(status.try_into()?)?;
        let text = payload["body"].as_str().context("the answer has no body")?;
        let headers = payload["headers"].as_object().context("the answer has no headers")?.iter();
        let header = |(name, value): (&String, &Value)| -> anyhow::Result<_> {
            Ok((name.parse::<HeaderName>()?, value.as_str().unwrap_or_default().parse::<HeaderValue>()?))
        };
        let cookies = payload["cookies"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let reply = Reply {
            status,
            headers: headers.map(header).collect::<Result<_, _>>()?,
            cookies: cookies.map(str::to_owned).collect(),
            body: text.to_owned(),
        };
        Ok(Self { status, body: body(text)?, reply, causes: None })
    }

    /// Status and error code of an error in the one form; another form is an error of its own.
    pub fn refusal(&self) -> anyhow::Result<(u16, &str)> {
        let fields = self.body.as_object().with_context(|| format!("no object: {self:?}"))?;
        let known = ["success", "error", "message", "requestId", "timestamp", "details"];
        let stray = fields.keys().find(|name| !known.contains(&name.as_str()));
        anyhow::ensure!(stray.is_none(), "{stray:?} does not belong in an error: {self:?}");
        anyhow::ensure!(self.body["success"] == false, "an error that claims success: {self:?}");
        for pointer in ["/error", "/message", "/requestId"] {
            anyhow::ensure!(!self.text(pointer)?.is_empty(), "{pointer} is empty: {self:?}");
        }
        let timestamp = self.text("/timestamp")?;
        OffsetDateTime::parse(timestamp, &Rfc3339).context("the timestamp is not RFC 3339")?;
        anyhow::ensure!(
            timestamp.ends_with('Z') && timestamp.len() == 20,
            "{timestamp} is not in whole seconds"
        );
        let content_type = self.header("content-type");
        anyhow::ensure!(content_type == Some("application/json"), "content-type is {content_type:?}");
        Ok(self.error())
    }

    /// The fields a 400 names.
    pub fn fields(&self) -> Vec<&str> {
        let details = self.body["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        details.iter().filter_map(|detail| detail["field"].as_str()).collect()
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

/// A redirect has no body, which reads as `null`.
fn body(text: &str) -> anyhow::Result<Value> {
    if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(text).context("the body is not JSON") }
}
