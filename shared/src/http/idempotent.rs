//! `Idempotency-Key`: a request repeated with its key gets the first one's answer.

use std::future::Future;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiError, HeaderName, HeaderValue, Reply, Request, StatusCode};
use crate::crypto::{KeyRing, sha256};
use crate::db::Transaction;
use crate::idempotency::{self, Key, MAX_KEY_CHARS};
use crate::random::Random;

/// Runs `work` once for each key of the caller, in the transaction that keeps its answer. Without a key it
/// just runs. Answers that are errors are not kept: their work was rolled back, and may be tried again.
pub async fn run<F: Future<Output = Result<Reply, ApiError>>>(
    tx: &Transaction<'_>,
    (request, user_id): (&Request, Uuid),
    ring: &KeyRing,
    (now, random): (OffsetDateTime, &Random),
    work: impl FnOnce() -> F,
) -> Result<Reply, ApiError> {
    let Some(key) = key(request)? else { return work().await };
    let key = Key { user_id, route: &request.route, key, fingerprint: fingerprint(request) };
    if let Some(kept) = idempotency::begin(tx, &key, ring, now).await? {
        let body = String::from_utf8(kept.body).map_err(ApiError::internal)?;
        let status = StatusCode::from_u16(kept.status).map_err(ApiError::internal)?;
        let mut reply = replayed(Reply::json(status, &()));
        reply.body = body;
        return Ok(reply);
    }
    let reply = work().await?;
    let answer = (reply.status.as_u16(), reply.body.as_bytes());
    idempotency::finish(tx, &key, answer, ring, (now, random)).await?;
    Ok(reply)
}

/// The key a request carries, if it does.
pub fn key(request: &Request) -> Result<Option<&str>, ApiError> {
    let header = request.headers.get("idempotency-key");
    header.map(|header| parse(header.to_str().unwrap_or_default())).transpose()
}

/// A digest of what is asked, by which the same key for something else is found out.
pub fn fingerprint(request: &Request) -> [u8; 32] {
    sha256(&[request.path.as_bytes(), b"\n", &request.body].concat())
}

/// Marks an answer as one that was given before.
pub fn replayed(reply: Reply) -> Reply {
    reply.with_header(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"))
}

/// The draft standard quotes the key; most clients do not. Both name the same key.
pub(super) fn parse(header: &str) -> Result<&str, ApiError> {
    let key = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(header);
    let printable = key.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if printable && (1..=MAX_KEY_CHARS).contains(&key.len()) {
        Ok(key)
    } else {
        Err(ApiError::invalid("Idempotency-Key", "must be 1 to 255 printable characters without spaces"))
    }
}
