use std::borrow::Cow;
use std::error::Error;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ErrorCode, HeaderName, HeaderValue, Reply, header};
use crate::log;

/// Only an operator's hand changes it.
const NOT_OFFERED_RETRY_SECONDS: u64 = 600;

type Source = Box<dyn Error + Send + Sync>;

/// An answer that is not the one hoped for. The caller gets code and message; the log gets the source.
#[derive(Debug)]
pub struct ApiError {
    pub code: ErrorCode,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cookies: Vec<String>,
    source: Option<Source>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Serialize)]
pub struct Detail {
    pub field: String,
    pub message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    success: bool,
    error: &'static str,
    message: &'a str,
    request_id: &'a str,
    timestamp: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [Detail],
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
            cookies: Vec::new(),
            source: None,
        }
    }

    /// One field that is not as it must be.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let detail = Detail { field: field.into(), message: message.into() };
        let mut error = Self::new(ErrorCode::ValidationFailed, "a field is missing or not as it must be");
        error.details.push(detail);
        error
    }

    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(ErrorCode::Internal, "something went wrong on our side").caused_by(source)
    }

    /// What we depend on is away; the same request may succeed in a moment.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::unavailable_for(1).caused_by(source)
    }

    /// As [`ApiError::unavailable`], when it is known for how long.
    pub fn unavailable_for(seconds: u64) -> Self {
        Self::new(ErrorCode::Unavailable, "try again in a moment")
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// What this deployment does not do, for as long as its operator leaves it so.
    pub fn not_offered(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, message)
            .with_header(header::RETRY_AFTER, HeaderValue::from(NOT_OFFERED_RETRY_SECONDS))
    }

    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    #[must_use]
    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    /// The causes, outermost first, for the log.
    pub fn causes(&self) -> Option<String> {
        Some(log::causes(self.source.as_deref()?))
    }

    pub fn into_reply(self, request_id: &str, now: OffsetDateTime) -> Reply {
        let (error, status) = self.code.parts();
        let body = Body {
            success: false,
            error,
            message: &self.message,
            request_id,
            timestamp: now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default(),
            details: &self.details,
        };
        let mut reply = Reply::json(status, &body);
        if matches!(self.code, ErrorCode::Unauthenticated | ErrorCode::TokenExpired) {
            reply = reply.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        for (name, value) in self.headers {
            reply = reply.with_header(name, value);
        }
        reply.cookies = self.cookies;
        reply
    }
}
