//! Rate limits at the edge: counted before the work, answered with when to come back.

use super::{ApiError, ErrorCode, HeaderName, HeaderValue, header};
use crate::db::GenericClient;
use crate::rate_limit::{self, Exceeded, Limit, WINDOW};
use time::OffsetDateTime;

/// Counts the request and refuses it when a limit is passed. Call it outside the transaction of the work, so
/// that a request that fails is counted all the same.
pub async fn check(
    client: &impl GenericClient,
    limits: &[Limit],
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    rate_limit::count(client, limits, now).await?.map_err(refuse)
}

fn refuse(exceeded: Exceeded) -> ApiError {
    let Exceeded { quota, retry_after_seconds: seconds } = exceeded;
    let policy = format!("\"default\";q={quota};w={}", WINDOW.whole_seconds());
    let state = format!("\"default\";r=0;t={seconds}");
    let mut error = ApiError::new(ErrorCode::RateLimited, "too many requests; wait for Retry-After seconds")
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds));
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            error = error.with_header(HeaderName::from_static(name), value);
        }
    }
    error
}
