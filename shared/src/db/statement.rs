use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use super::DbError;
use crate::crypto::sha256;
use crate::metrics;

/// Statements slower than this are logged: by fingerprint and text, and never with a value.
const SLOW: Duration = Duration::from_millis(100);

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
