//! The edge: what came in, parsed; what goes out, in one form.

pub mod auth;
pub mod by_mail;
mod code;
mod device;
mod error;
mod from_domain;
mod from_provider;
pub mod idempotent;
pub mod limit;
mod new_password;
pub mod page;
mod reply;
mod request;
pub mod signed_in;
#[cfg(test)]
mod tests;
pub mod version;
pub mod vouched;
pub mod wish;

pub use code::ErrorCode;
pub use device::device;
pub use error::{ApiError, Detail};
pub use from_domain::account_deleted;
pub use from_provider::{not_configured, sign_in_not_configured};
pub use new_password::not_breached;
pub use reply::Reply;
pub use request::{MAX_BODY_BYTES, MAX_WEBHOOK_BYTES, Request, unrouted};

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
