//! Requests counted per minute, exactly, in an unlogged table: one round trip and no flush.

use time::{Duration, OffsetDateTime};

use crate::crypto::sha256;
use crate::db::{DbError, GenericClient, Type, delete_in_batches, query_one};

/// Every limit is so many requests in one of these.
pub const WINDOW: Duration = Duration::seconds(60);

/// One thing that is counted, and how often it may happen in a [`WINDOW`].
pub struct Limit {
    key: Vec<u8>,
    quota: u32,
}

impl Limit {
    /// `scope` keeps two limits on one subject apart. Subjects are stored as a hash: addresses are personal.
    pub fn new(scope: &str, subject: &str, quota: u32) -> Self {
        Self { key: sha256(format!("{scope}\n{subject}").as_bytes()).to_vec(), quota }
    }
}

/// Over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub quota: u32,
    /// Until the window ends and counting starts anew.
    pub retry_after_seconds: u64,
}

/// Counts one request against every limit. Of any number of callers at once, exactly the quota pass.
pub async fn count(
    client: &impl GenericClient,
    limits: &[Limit],
    now: OffsetDateTime,
) -> Result<Result<(), Exceeded>, DbError> {
    let seconds = now.unix_timestamp();
    let into_window = seconds.rem_euclid(WINDOW.whole_seconds());
    let window_at = OffsetDateTime::from_unix_timestamp(seconds - into_window).unwrap_or(now);
    let keys: Vec<&[u8]> = limits.iter().map(|limit| limit.key.as_slice()).collect();
    let row = query_one(
        client,
        "SELECT count_request($1, $2) AS counts",
        &[(&keys, Type::BYTEA_ARRAY), (&window_at, Type::TIMESTAMPTZ)],
    )
    .await?;
    let counts: Vec<i32> = row.get("counts");
    let over = limits.iter().zip(counts).find(|(limit, count)| i64::from(*count) > i64::from(limit.quota));
    Ok(over.map_or(Ok(()), |(limit, _)| {
        let left = WINDOW.whole_seconds() - into_window;
        Err(Exceeded { quota: limit.quota, retry_after_seconds: u64::try_from(left).unwrap_or(1) })
    }))
}

/// Removes windows that ended before `before` and returns how many.
pub async fn delete_ended(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM rate_limits
         WHERE window_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM rate_limits WHERE window_at < $1 LIMIT $2))",
        before - WINDOW,
    )
    .await
}
