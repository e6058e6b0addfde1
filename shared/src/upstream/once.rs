//! One bounded exchange with somebody whose answer a person waits for: Discord, Privy, SES.
//!
//! They are no [`Provider`](super::Provider), and no breaker stands before them. A breaker is shared through the
//! database, and would cost every sign-in a round trip; what it would save is a wait that is bounded anyway, by somebody
//! who can sign in by other means meanwhile. Nothing is tried again but what was certainly not sent, because what is
//! sent here is good once: a code, a mail.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Error as ClientError;
use tokio::time::Instant;

use super::call::{is_about_certificate, is_late};
use super::transport::Transport;
use super::{Pins, Repeat, Upstream, text};
use crate::{log, metrics};

/// More than a token, a person or a set of keys takes.
const MAX_ANSWER: usize = 256 * 1024;
/// How often what was certainly not sent is sent.
const TRIES: u32 = 2;

/// What is asked, and of whom.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// What a second copy would do: decides whether an idle connection may be used.
    pub(crate) repeat: Repeat,
    /// The metric of how long it took.
    pub(crate) metric: &'static str,
    /// Less time than every call has.
    pub(crate) within: Option<Duration>,
}

/// An answer read to its end, whatever its status.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// There was no answer. The text is fit for a log.
#[derive(Debug)]
pub(crate) struct Missed(String);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Upstream {
    /// Sends it and reads the answer, all within the time of one try.
    pub(crate) async fn once(&self, asked: &Asked) -> Result<Got, Missed> {
        let started = Instant::now();
        let within = asked.within.map_or(self.shared.timeout, |within| within.min(self.shared.timeout));
        let by = self.deadline.map_or(started + within, |deadline| deadline.min(started + within));
        let outcome = tokio::time::timeout_at(by, self.tries(asked)).await;
        metrics::duration(asked.metric, started.elapsed());
        outcome.unwrap_or_else(|_| {
            metrics::count("UpstreamTimedOut");
            Err(Missed(format!("no answer within {} ms", (by - started).as_millis())))
        })
    }

    async fn tries(&self, asked: &Asked) -> Result<Got, Missed> {
        let transport = self.transport(&Pins::public()).map_err(|error| Missed(error.to_string()))?;
        let mut tries = 1;
        loop {
            match sent(&transport, asked).await {
                Err(Trouble::NotSent(_)) if tries < TRIES => tries += 1,
                Err(Trouble::NotSent(why) | Trouble::Final(why)) => return Err(Missed(why)),
                Ok(got) => return Ok(got),
            }
        }
    }
}

enum Trouble {
    /// Nothing left, and another try may reach them.
    NotSent(String),
    /// Something may have left, or another try would end the same way.
    Final(String),
}

async fn sent(transport: &Transport, asked: &Asked) -> Result<Got, Trouble> {
    let request = request(asked).map_err(|error| Trouble::Final(format!("cannot be sent: {error}")))?;
    let response = transport.client(asked.repeat).request(request).await.map_err(|error| trouble(&error))?;
    let (Parts { status, headers, .. }, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
        Trouble::Final(format!("the answer broke off or was too long: {}", log::causes(&*error)))
    })?;
    Ok(Got { status, headers, body: body.to_bytes() })
}

fn request(asked: &Asked) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut request = Request::builder().method(&asked.method).uri(&asked.url);
    if let Some(headers) = request.headers_mut() {
        headers.extend(asked.headers.clone());
    }
    request = request.header(USER_AGENT, "satchel").header(ACCEPT, "application/json");
    let Some((content_type, body)) = &asked.body else { return request.body(Full::default()) };
    request.header(CONTENT_TYPE, *content_type).body(Full::new(body.clone()))
}

fn trouble(error: &ClientError) -> Trouble {
    let why = log::causes(error);
    // One that took its time to fail would take it again.
    let again = error.is_connect() && !is_late(error) && !is_about_certificate(error);
    if again { Trouble::NotSent(why) } else { Trouble::Final(why) }
}

impl Got {
    /// What went wrong, in their words, as far as a log may hold them.
    pub(crate) fn loggable(&self, said: &str, secrets: &[&str]) -> String {
        text::loggable(&format!("{}: {said}", self.status.as_u16()), secrets)
    }
}
