//! Why an invocation has no answer.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use std::{fmt::Write as _, time::Duration};

/// The texts are for the log and for who invokes a function directly, never for a client of the API.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The function said so: `{"errorType", "errorMessage"}`.
    Error(Bytes),
    Died(String),
    TimedOut(Duration),
    Init(String),
    Throttled,
    Stopped,
}

pub(crate) type Outcome = Result<Bytes, Failure>;

impl Failure {
    /// As in the header `x-gateway-error`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Error(_) => "function-error",
            Self::Died(_) => "function-died",
            Self::TimedOut(_) => "timeout",
            Self::Init(_) => "init-failed",
            Self::Throttled => "throttled",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = self.kind().to_owned();
        let _ = match self {
            Self::Error(body) => write!(text, ": {}", String::from_utf8_lossy(body)),
            Self::Died(how) | Self::Init(how) => write!(text, ": {how}"),
            Self::TimedOut(limit) => write!(text, " after {limit:?}"),
            Self::Throttled | Self::Stopped => Ok(()),
        };
        text
    }

    /// What a direct invocation answers: Lambda's names for what went wrong.
    pub(crate) fn payload(&self) -> Bytes {
        let kind = match self {
            Self::Error(body) => return body.clone(),
            Self::Died(_) => "Runtime.ExitError",
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::Init(_) => "Runtime.InitError",
            Self::Throttled => "TooManyRequestsException",
            Self::Stopped => "ServiceException",
        };
        json!({ "errorType": kind, "errorMessage": self.describe() }).to_string().into()
    }

    /// The status of a direct invocation.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
