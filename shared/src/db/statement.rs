use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use super::DbError;
use crate::crypto::sha256;
use crate::metrics;

/// Statements slower than this are logged: by fingerprint and text, and never with a value.
const SLOW: Duration = Duration::from_millis(100);
/// Rows deleted at a time.
const BATCH: i64 = 10_000;

/// A value and the type its place in the statement has. Naming the type saves the round trip that would ask
/// for it, and leaves no named statement behind for a pooler to lose.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

pub async fn query(
    client: &impl GenericClient,
    sql: &'static str,
    params: &[Param<'_>],
) -> Result<Vec<Row>, DbError> {
    let started = Instant::now();
    let rows = client.query_typed(sql, params).await;
    note(sql, started);
    Ok(rows?)
}

/// The one row of a statement that always has one.
pub async fn query_one(
    client: &impl GenericClient,
    sql: &'static str,
    params: &[Param<'_>],
) -> Result<Row, DbError> {
    let row = query_opt(client, sql, params).await?;
    row.ok_or_else(|| DbError::Other(format!("no row came back from: {}", one_line(sql)).into()))
}

pub async fn query_opt(
    client: &impl GenericClient,
    sql: &'static str,
    params: &[Param<'_>],
) -> Result<Option<Row>, DbError> {
    Ok(query(client, sql, params).await?.into_iter().next())
}

/// Runs a statement and says how many rows it changed.
pub async fn execute(
    client: &impl GenericClient,
    sql: &'static str,
    params: &[Param<'_>],
) -> Result<u64, DbError> {
    let started = Instant::now();
    let changed = client.execute_typed(sql, params).await;
    note(sql, started);
    Ok(changed?)
}

/// Runs a statement that takes away at most [`BATCH`] rows, as often as it finds that many, and returns how many
/// went. One statement over everything would run into its role's time limit after a long pause, each time.
pub async fn delete_in_batches(
    client: &impl GenericClient,
    sql: &'static str,
    before: OffsetDateTime,
) -> Result<u64, DbError> {
    let mut gone = 0;
    loop {
        let batch = execute(client, sql, &[(&before, Type::TIMESTAMPTZ), (&BATCH, Type::INT8)]).await?;
        gone += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(gone);
        }
    }
}

fn note(sql: &'static str, started: Instant) {
    let elapsed = started.elapsed();
    if elapsed > SLOW {
        let fingerprint = data_encoding::HEXLOWER.encode(&sha256(sql.as_bytes())[..6]);
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(target: "slow_statement", fingerprint, duration_ms = millis, statement = one_line(sql));
        metrics::count("SlowStatement");
    }
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
