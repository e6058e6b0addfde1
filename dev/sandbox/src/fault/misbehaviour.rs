//! What can go wrong with one request, and how it is done.

use std::{sync::Arc, time::Duration};

use hyper::{Request, Response, StatusCode, body::Bytes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Service,
    reply::{HangUp, Reply, ReplyBody},
    world::{World, lock},
};

/// Headers that let somebody in.
const CREDENTIALS: [&str; 3] = ["authorization", "x-voltage-auth", "grpc-metadata-macaroon"];

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Misbehaviour {
    /// Answers so, and does nothing.
    FailBefore { status: u16, body: String },
    /// Does the work, then answers so: the ambiguous outcome.
    FailAfter { status: u16, body: String },
    /// Waits, then does the work and answers.
    Stall { millis: u64 },
    /// Does the work, then waits, then answers: whoever gives up has got what he asked for.
    StallAfter { millis: u64 },
    /// Does the work, promises the whole answer, sends only its first bytes and closes.
    CutBody { bytes: usize },
    /// Does the work, then answers 200 with bytes that are no JSON.
    Garbage,
    /// Does the work twice, as when a proxy repeats a request; answers the second time's answer.
    Duplicate,
    /// Does the work, and answers what an earlier successful POST of the same path was answered, when there was one.
    DuplicateId,
    /// Closes the connection, and does nothing.
    CloseBefore,
    /// Does the work, then closes the connection without an answer.
    CloseAfter,
    /// Closes the connection now and does the work later, as when a queue lies between.
    Late { millis: u64 },
    /// Answers 429 with `Retry-After` (seconds), and does nothing.
    RateLimited { retry_after: u32 },
    /// Answers so, with the credentials and the body of the request in its message, and does nothing.
    Quote { status: u16 },
    /// Never answers, and does nothing.
    Hang,
}

impl Misbehaviour {
    pub fn stall(duration: Duration) -> Self {
        Self::Stall { millis: millis(duration) }
    }

    /// Its name in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FailBefore { .. } => "fail_before",
            Self::FailAfter { .. } => "fail_after",
            Self::Stall { .. } => "stall",
            Self::StallAfter { .. } => "stall_after",
            Self::CutBody { .. } => "cut_body",
            Self::Garbage => "garbage",
            Self::Duplicate => "duplicate",
            Self::DuplicateId => "duplicate_id",
            Self::CloseBefore => "close_before",
            Self::CloseAfter => "close_after",
            Self::Late { .. } => "late",
            Self::RateLimited { .. } => "rate_limited",
            Self::Quote { .. } => "quote",
            Self::Hang => "hang",
        }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Self::FailBefore { status, .. } | Self::FailAfter { status, .. } | Self::Quote { status } =
            self
        {
            let known = StatusCode::from_u16(*status).ok().filter(|s| !s.is_informational());
            anyhow::ensure!(known.is_some(), "{status} is not a status an answer can have");
        }
        Ok(())
    }

    pub(crate) async fn strike(self, job: Job) -> Result<Response<ReplyBody>, HangUp> {
        match self {
            Self::FailBefore { status, body } => Ok(Reply::text(status, body).whole()),
            Self::FailAfter { status, body } => {
                job.work();
                Ok(Reply::text(status, body).whole())
            }
            Self::Stall { millis } => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(job.work().whole())
            }
            Self::StallAfter { millis } => {
                let reply = job.work();
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(reply.whole())
            }
            Self::CutBody { bytes } => Ok(job.work().cut(bytes)),
            Self::Garbage => {
                let body = Bytes::from_static(b"\x00\xff<html>{\"half\": \xc3");
                Ok(Reply { status: StatusCode::OK, body, ..job.work() }.whole())
            }
            Self::Duplicate => {
                job.work();
                Ok(job.work().whole())
            }
            Self::DuplicateId => {
                let earlier = job.earlier();
                let reply = job.work();
                Ok(earlier.unwrap_or(reply).whole())
            }
            Self::CloseBefore => Err(HangUp),
            Self::CloseAfter => {
                job.work();
                Err(HangUp)
            }
            Self::Late { millis } => {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    job.work();
                });
                Err(HangUp)
            }
            Self::RateLimited { retry_after } => {
                let reply = Reply::text(429, "too many requests".to_owned());
                Ok(Reply { retry_after: Some(retry_after), ..reply }.whole())
            }
            Self::Quote { status } => Ok(job.quote(status).whole()),
            Self::Hang => match std::future::pending::<std::convert::Infallible>().await {},
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One request on its way to a service, to be done never, once or again.
pub(crate) struct Job {
    pub(crate) world: Arc<World>,
    pub(crate) service: Service,
    pub(crate) path: String,
    pub(crate) request: Request<Bytes>,
}

impl Job {
    pub(crate) fn work(&self) -> Reply {
        let reply = self.service.work(&self.world, &self.request);
        if self.service != Service::Control && self.creates() && reply.status.is_success() {
            lock(&self.world.faults).earlier.insert((self.service, self.path.clone()), reply.clone());
        }
        reply
    }

    fn earlier(&self) -> Option<Reply> {
        let known = |faults: &super::FaultState| {
            faults.earlier.get(&(self.service, self.path.clone())).filter(|_| self.creates()).cloned()
        };
        known(&lock(&self.world.faults))
    }

    /// In the form of the service's refusals.
    fn quote(&self, status: u16) -> Reply {
        let credential =
            |name: &&str| Some(format!("{name}: {}", self.request.headers().get(*name)?.to_str().ok()?));
        let mut said: Vec<String> = CREDENTIALS.iter().filter_map(credential).collect();
        said.push(String::from_utf8_lossy(self.request.body()).into_owned());
        let code = if self.service == Service::Lnd { json!(2) } else { json!("quoted") };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let refusal = json!({"code": code, "message": said.join("; ")});
        let nested = self.service == Service::Stripe;
        Reply::json(status, &if nested { json!({"error": refusal}) } else { refusal })
    }

    fn creates(&self) -> bool {
        self.request.method() == hyper::Method::POST
    }
}
