//! The edge: what came in, parsed; what goes out, in one form.

pub mod auth;
mod code;
mod error;
mod from_domain;
pub mod idempotent;
pub mod limit;
pub mod page;
mod reply;
mod request;
pub mod version;
#[cfg(test)]
mod tests;

pub use code::ErrorCode;
pub use error::{ApiError, Detail};
pub use from_domain::not_configured;
pub use reply::Reply;
pub use request::{MAX_BODY_BYTES, MAX_WEBHOOK_BYTES, Request};

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
