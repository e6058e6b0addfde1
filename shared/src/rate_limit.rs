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

    /// What is counted, as the table has it.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn quota(&self) -> i32 {
        i32::try_from(self.quota).unwrap_or(i32::MAX)
    }

    /// Whether a count is within the limit.
    pub fn judge(&self, count: i32, now: OffsetDateTime) -> Result<(), Exceeded> {
        if i64::from(count) <= i64::from(self.quota) {
            return Ok(());
        }
        let left = WINDOW.whole_seconds() - into_window(now);
        Err(Exceeded { quota: self.quota, retry_after_seconds: u64::try_from(left).unwrap_or(1) })
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
    Ok(judge(limits, counts(client, limits, now).await?, now))
}

/// As [`count`], for a caller who judges each limit by itself.
pub async fn counts(
    client: &impl GenericClient,
    limits: &[Limit],
    now: OffsetDateTime,
) -> Result<Vec<i32>, DbError> {
    let row = query_one(
        client,
        "SELECT count_request($1, $2) AS counts",
        &[(&keys(limits), Type::BYTEA_ARRAY), (&window_at(now), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.get("counts"))
}

/// What the SQL function `count_request` takes, for a statement that counts and does something else.
pub fn keys(limits: &[Limit]) -> Vec<&[u8]> {
    limits.iter().map(|limit| limit.key.as_slice()).collect()
}

/// When the window of a time began.
pub fn window_at(now: OffsetDateTime) -> OffsetDateTime {
    let began = OffsetDateTime::from_unix_timestamp(now.unix_timestamp() - into_window(now));
    began.unwrap_or(now)
}

/// Whether the counts that came of a request are within its limits.
pub fn judge(limits: &[Limit], counts: Vec<i32>, now: OffsetDateTime) -> Result<(), Exceeded> {
    limits.iter().zip(counts).try_for_each(|(limit, count)| limit.judge(count, now))
}

fn into_window(now: OffsetDateTime) -> i64 {
    now.unix_timestamp().rem_euclid(WINDOW.whole_seconds())
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
