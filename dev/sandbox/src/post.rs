//! A webhook sent: one POST to somebody outside, and what became of it.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    Method, Request,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderName},
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(u16),
    /// No answer, and why.
    Failed(String),
}

impl Outcome {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(status) => Some(*status),
            Self::Failed(_) => None,
        }
    }

    pub(crate) fn error(&self) -> Option<String> {
        match self {
            Self::Answered(_) => None,
            Self::Failed(why) => Some(why.clone()),
        }
    }
}

/// Of JSON, with the header that signs it.
pub(crate) async fn post(
    url: &str,
    (name, signature): (HeaderName, &str),
    body: Bytes,
    within: Duration,
) -> Outcome {
    match tokio::time::timeout(within, send(url, (name, signature), body)).await {
        Ok(Ok(status)) => Outcome::Answered(status),
        Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
        Err(_) => Outcome::Failed("no answer in time".into()),
    }
}

/// A connection of its own each time: a kept one may have been closed by then, and that would look like no answer.
async fn send(url: &str, (name, signature): (HeaderName, &str), body: Bytes) -> anyhow::Result<u16> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/json")
        .header(name, signature)
        .body(Full::new(body))?;
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    Ok(client.request(request).await?.status().as_u16())
}
