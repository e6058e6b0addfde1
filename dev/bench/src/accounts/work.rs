//! What is asked: the four endpoints, and nothing at all, each as a request somebody sends and an answer they learn from.

use super::people::Person;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};

/// Where the gateway takes the caller's address from, so that everybody has one of their own.
pub const ADDRESS_HEADER: &str = "x-bench-address";
const AGENT: &str = "satchel-bench/1.0";
pub const NOTHING_PATH: &str = "/v1/nothing";
pub const PASSWORD: &str = "correct horse battery staple";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The runtime or the framework alone, which takes a request and answers.
    Nothing,
    Me,
    Refresh,
    Sessions,
    /// Last, because who logs in may be given up on while they wait.
    Login,
}

impl Work {
    pub const ALL: [Self; 5] = [Self::Nothing, Self::Me, Self::Refresh, Self::Sessions, Self::Login];
    pub const MEASURED: [Self; 4] = [Self::Me, Self::Refresh, Self::Sessions, Self::Login];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing done",
            Self::Me => "me",
            Self::Refresh => "refresh",
            Self::Sessions => "sessions",
            Self::Login => "login",
        }
    }

    /// Ours, by its name in the template.
    pub const fn function(self) -> &'static str {
        match self {
            Self::Nothing => "do_nothing",
            Self::Me => "get_me",
            Self::Refresh => "refresh_session",
            Self::Sessions => "sessions",
            Self::Login => "login",
        }
    }

    const fn route(self) -> (Method, &'static str) {
        match self {
            Self::Nothing => (Method::POST, NOTHING_PATH),
            Self::Me => (Method::GET, "/v1/auth/me"),
            Self::Refresh => (Method::POST, "/v1/auth/refresh"),
            Self::Sessions => (Method::POST, "/v1/sessions"),
            Self::Login => (Method::POST, "/v1/auth/login"),
        }
    }

    pub fn request(self, who: &Person) -> Result<Request<Full<Bytes>>> {
        let (method, path) = self.route();
        let body = match self {
            Self::Me => None,
            Self::Refresh => Some(json!({ "refreshToken": who.refresh })),
            Self::Login => Some(json!({ "email": who.email(), "password": PASSWORD })),
            Self::Nothing | Self::Sessions => Some(json!({ "deviceId": who.device(), "platform": "ios" })),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "api.example.com")
            .header("user-agent", AGENT)
            .header("accept", "*/*")
            .header(ADDRESS_HEADER, who.address());
        if matches!(self, Self::Me | Self::Sessions | Self::Nothing) {
            request = request.header("authorization", format!("Bearer {}", who.access));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        Ok(request.body(Full::new(body.into()))?)
    }

    /// Keeps what the next request needs, and sees that the answer is one.
    pub fn learn(self, who: &mut Person, body: &Bytes) -> Result<()> {
        if self == Self::Nothing {
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(body)?;
        let text = |name: &str| answer[name].as_str().with_context(|| format!("no {name} in {answer}"));
        match self {
            Self::Nothing => {}
            Self::Me => ensure!(text("id")? == who.user_id.to_string(), "another account: {answer}"),
            Self::Refresh => {
                text("accessToken")?.clone_into(&mut who.access);
                text("refreshToken")?.clone_into(&mut who.refresh);
            }
            Self::Login => {
                text("accessToken")?;
                text("refreshToken")?;
            }
            Self::Sessions => {
                text("refreshToken")?;
            }
        }
        Ok(())
    }
}
