//! Answers kept by the caller's own key, written in the transaction of the work they answer.
//!
//! A second request with the key waits for the first one's transaction; then it either finds the answer, or,
//! if the first failed, finds nothing and does the work itself.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::crypto::{Field, KeyRing, OpenError, Purpose, SealError};
use crate::db::{DbError, GenericClient, Type, delete_in_batches, execute, query_one};
use crate::random::Random;

/// How long an answer is kept.
pub const KEPT_FOR: Duration = Duration::hours(24);
pub const MAX_KEY_CHARS: usize = 255;

/// One request a caller may repeat.
pub struct Key<'a> {
    pub user_id: Uuid,
    pub route: &'a str,
    pub key: &'a str,
    /// A digest of what is asked; the same key for something else is a mistake.
    pub fingerprint: [u8; 32],
}

/// An answer given before.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub status: u16,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub enum IdempotencyError {
    /// The key was used for another request.
    OtherRequest,
    /// The first request with the key has not ended.
    InProgress,
    Open(OpenError),
    Seal(SealError),
    Db(DbError),
}

impl From<DbError> for IdempotencyError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::LockTimeout(_) => Self::InProgress,
            other => Self::Db(other),
        }
    }
}

/// Takes the key for this transaction, or returns the answer already given to it.
pub async fn begin(
    client: &impl GenericClient,
    key: &Key<'_>,
    ring: &KeyRing,
    now: OffsetDateTime,
) -> Result<Option<Kept>, IdempotencyError> {
    let taken = execute(
        client,
        "INSERT INTO idempotency_keys AS k (user_id, route, key, fingerprint, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE SET
             fingerprint = EXCLUDED.fingerprint, status = NULL, reply_sealed = NULL,
             created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
         WHERE k.expires_at <= $5",
        &[
            (&key.user_id, Type::UUID),
            (&key.route, Type::TEXT),
            (&key.key, Type::TEXT),
            (&key.fingerprint.as_slice(), Type::BYTEA),
            (&now, Type::TIMESTAMPTZ),
            (&(now + KEPT_FOR), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    if taken == 1 {
        return Ok(None);
    }
    let row = query_one(
        client,
        "SELECT fingerprint, status, reply_sealed FROM idempotency_keys
         WHERE user_id = $1 AND route = $2 AND key = $3",
        &[(&key.user_id, Type::UUID), (&key.route, Type::TEXT), (&key.key, Type::TEXT)],
    )
    .await?;
    if row.get::<_, &[u8]>("fingerprint") != key.fingerprint {
        return Err(IdempotencyError::OtherRequest);
    }
    let status: i32 = row.get("status");
    let opened =
        ring.open(reply_field(&row_id(key)), row.get("reply_sealed")).map_err(IdempotencyError::Open)?;
    Ok(Some(Kept { status: u16::try_from(status).unwrap_or_default(), body: opened.expose().clone() }))
}

/// Keeps the answer with the work it answers.
pub async fn finish(
    client: &impl GenericClient,
    key: &Key<'_>,
    (status, body): (u16, &[u8]),
    ring: &KeyRing,
    (now, random): (OffsetDateTime, &Random),
) -> Result<(), IdempotencyError> {
    let sealed = ring.seal(reply_field(&row_id(key)), body, now, random).map_err(IdempotencyError::Seal)?;
    execute(
        client,
        "UPDATE idempotency_keys SET status = $4, reply_sealed = $5
         WHERE user_id = $1 AND route = $2 AND key = $3",
        &[
            (&key.user_id, Type::UUID),
            (&key.route, Type::TEXT),
            (&key.key, Type::TEXT),
            (&i32::from(status), Type::INT4),
            (&sealed, Type::BYTEA),
        ],
    )
    .await?;
    Ok(())
}

/// Removes answers kept long enough and returns how many.
pub async fn delete_expired(client: &impl GenericClient, now: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM idempotency_keys
         WHERE expires_at <= $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys WHERE expires_at <= $1 LIMIT $2))",
        now,
    )
    .await
}

fn row_id(key: &Key<'_>) -> Vec<u8> {
    format!("{}\n{}\n{}", key.user_id, key.route, key.key).into_bytes()
}

fn reply_field(row: &[u8]) -> Field<'_> {
    Field { purpose: Purpose::StoredReply, table: "idempotency_keys", column: "reply_sealed", row }
}
