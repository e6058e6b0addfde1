//! Locks for work that outlives a transaction.
//!
//! Use one where somebody must be alone across several transactions, or across a call to the outside. Do not use one
//! where a unique constraint decides (it decides anyway), where one transaction is enough (`pg_advisory_xact_lock`
//! ends with it), or where a table of work is taken up row by row (`FOR UPDATE SKIP LOCKED`).
//!
//! A lock ends by itself, so whoever holds it may be paused, wake up after its end, and not know. Therefore holding it
//! allows nothing: every transaction that writes under it calls [`fence`] first, which asks the database whether this
//! holder is still the one, and lets nobody else become it until the transaction is over. All times are the database's.

use std::fmt;
use std::time::Duration;

use data_encoding::HEXLOWER;

use crate::crypto::sha256;
use crate::db::{
    DbError, GenericClient, Transaction, Type, delete_in_batches, execute, query_one, query_opt,
};
use crate::random::Random;
use time::OffsetDateTime;

const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_millis(160);
/// About eight seconds when nobody ever lets go, and half of that on average.
const TRIES: u32 = 50;
/// A row that is gone hands out no old token as long as the database's clock is not set back by more than this.
const KEPT_FOR: time::Duration = time::Duration::hours(1);

/// What one may hold. Its subject is kept as a hash: addresses of wallets are personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// `scope` keeps two locks on one subject apart.
    pub fn new(scope: &str, subject: &str) -> Self {
        Self(format!("{scope}:{}", HEXLOWER.encode(&sha256(subject.as_bytes()))))
    }
}

/// A lock that was ours when it was taken. Whether it still is, [`fence`] knows.
#[derive(Debug)]
pub struct Held {
    name: Name,
    token: i64,
}

impl Held {
    /// Higher than any token the lock was held with before.
    pub fn token(&self) -> i64 {
        self.token
    }
}

/// Why the protected work must not be done.
#[derive(Debug)]
pub enum LockError {
    /// Somebody else held it for as long as was waited.
    Busy,
    /// It ended, or is somebody else's by now.
    Lost,
    Db(DbError),
}

impl From<DbError> for LockError {
    fn from(error: DbError) -> Self {
        match error {
            // Its holder is just writing.
            DbError::LockTimeout(_) => Self::Busy,
            other => Self::Db(other),
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("somebody else holds the lock"),
            Self::Lost => f.write_str("the lock ended before the work did"),
            Self::Db(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}

/// Takes the lock, waiting a bounded time for others to let go. Call it outside a transaction.
pub async fn acquire(
    client: &impl GenericClient,
    name: &Name,
    ttl: Duration,
    random: &Random,
) -> Result<Held, LockError> {
    for tries in 0..TRIES {
        if tries > 0 {
            tokio::time::sleep(wait(tries, random)).await;
        }
        match try_acquire(client, name, ttl).await {
            Ok(Some(held)) => return Ok(held),
            Ok(None) | Err(LockError::Busy) => {}
            Err(error) => return Err(error),
        }
    }
    Err(LockError::Busy)
}

/// Takes the lock if nobody holds it.
pub async fn try_acquire(
    client: &impl GenericClient,
    name: &Name,
    ttl: Duration,
) -> Result<Option<Held>, LockError> {
    // The clock in the token is what keeps it growing when the row before it was cleaned away.
    let row = query_opt(
        client,
        "INSERT INTO distributed_locks AS l (name, token, expires_at)
         VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                 clock_timestamp() + $2 * interval '1 microsecond')
         ON CONFLICT ON CONSTRAINT distributed_locks_pkey DO UPDATE SET
             token = greatest(l.token + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
             expires_at = clock_timestamp() + $2 * interval '1 microsecond'
         WHERE l.expires_at <= clock_timestamp()
         RETURNING token",
        &[(&name.0, Type::TEXT), (&micros(ttl), Type::FLOAT8)],
    )
    .await?;
    Ok(row.map(|row| Held { name: name.clone(), token: row.get("token") }))
}

/// Lets the transaction go on only if the lock is still ours, and keeps it ours until the transaction is over. Nothing
/// may be committed after an error.
pub async fn fence(tx: &Transaction<'_>, held: &Held) -> Result<(), LockError> {
    let ours = query_opt(
        tx,
        "SELECT 1 FROM distributed_locks
         WHERE name = $1 AND token = $2 AND expires_at > clock_timestamp() FOR SHARE",
        &[(&held.name.0, Type::TEXT), (&held.token, Type::INT8)],
    )
    .await?;
    if ours.is_some() { Ok(()) } else { Err(LockError::Lost) }
}

/// Lets go, if it is still ours. The row stays until it is cleaned away, and with it the last token.
pub async fn release(client: &impl GenericClient, held: Held) -> Result<(), DbError> {
    execute(
        client,
        "UPDATE distributed_locks SET expires_at = clock_timestamp() WHERE name = $1 AND token = $2",
        &[(&held.name.0, Type::TEXT), (&held.token, Type::INT8)],
    )
    .await?;
    Ok(())
}

/// As [`release`], for whoever has done their work: it is done whether or not this succeeds, and the lock ends by
/// itself.
pub async fn let_go(client: &impl GenericClient, held: Held) {
    if let Err(error) = release(client, held).await {
        tracing::warn!(error = %error, "a lock was not released and ends by itself");
    }
}

/// Removes locks that ended an hour ago and returns how many.
pub async fn delete_expired(client: &impl GenericClient) -> Result<u64, DbError> {
    let now: OffsetDateTime = query_one(client, "SELECT clock_timestamp() AS now", &[]).await?.get("now");
    delete_in_batches(
        client,
        "DELETE FROM distributed_locks
         WHERE expires_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM distributed_locks WHERE expires_at < $1 LIMIT $2))",
        now - KEPT_FOR,
    )
    .await
}

/// Anything up to a bound that doubles, so that those who wait together do not come back together.
fn wait(tries: u32, random: &Random) -> Duration {
    let bound = FIRST_WAIT.saturating_mul(1 << tries.min(10)).min(LONGEST_WAIT);
    bound.mul_f64(f64::from(u32::from_be_bytes(random.bytes())) / f64::from(u32::MAX))
}

fn micros(ttl: Duration) -> f64 {
    ttl.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_its_column_however_long_the_subject_is() {
        let name = Name::new("wallet", &"x".repeat(10_000));
        assert_eq!(name.0.len(), "wallet:".len() + 64);
        assert_ne!(name, Name::new("user", &"x".repeat(10_000)));
    }

    #[test]
    fn nobody_waits_longer_than_the_bound() {
        let most = Random::from_fn(|buffer| buffer.fill(0xff));
        let total: Duration = (1..TRIES).map(|tries| wait(tries, &most)).sum();
        assert!(total < Duration::from_secs(9), "{total:?}");
    }
}
