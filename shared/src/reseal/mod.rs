//! Moving sealed values to a newer key while requests run.
//!
//! A value says by which key it was sealed, so what is left to do is found without opening anything. Each batch is
//! one statement that changes only rows nobody holds and nobody changed since they were read: no request waits for
//! more than that statement, and none of its writes is lost. How far it came is written with the batch.

mod columns;

pub use columns::{SEALED_COLUMNS, SealedColumn, columns};

use std::fmt;

use time::OffsetDateTime;

use crate::crypto::{KeyRing, Purpose, SealError, beginning};
use crate::db::{DbError, GenericClient, Row, Type, execute, query, query_one};
use crate::random::Random;

/// One column on its way to one key, as the database remembers it.
#[derive(Clone, Debug)]
pub struct Progress {
    pub purpose: Purpose,
    pub key_id: u32,
    pub table: String,
    pub column: String,
    /// The place reached; everything up to it was looked at.
    pub reached: Option<String>,
    pub resealed: i64,
    /// When a value of an older key was last met: nothing was written with one after that, as far as anybody knows.
    pub found_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
}

/// A purpose on its way to the newest key that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub purpose: Purpose,
    pub key_id: u32,
    /// From when on every function seals with that key.
    pub settled_at: OffsetDateTime,
}

#[derive(Debug)]
pub enum ResealError {
    Db(DbError),
    Seal(SealError),
    /// The ring seals with another key than the one the values are to be moved to.
    NotTheWritingKey,
}

impl fmt::Display for ResealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Db(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::NotTheWritingKey => f.write_str("the key has not settled, or a newer one has"),
        }
    }
}

impl std::error::Error for ResealError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Db(error) => error.source(),
            Self::Seal(_) | Self::NotTheWritingKey => None,
        }
    }
}

impl From<DbError> for ResealError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// Every rotation there was.
pub async fn progress(client: &impl GenericClient) -> Result<Vec<Progress>, DbError> {
    let rows = query(
        client,
        "SELECT purpose, key_id, table_name, column_name, reached, resealed, found_at, finished_at
         FROM reseal_progress ORDER BY key_id, purpose, table_name, column_name",
        &[],
    )
    .await?;
    rows.iter().map(Progress::try_from).collect()
}

/// What is not finished: a purpose begun, or one that has a newer key than others that still serve it.
pub fn unfinished(ring: &KeyRing, progress: &[Progress]) -> Vec<Move> {
    let unfinished = |purpose: Purpose| {
        let newest = ring.newest(purpose)?;
        let mut known =
            progress.iter().filter(|row| row.purpose == purpose && row.key_id == newest.id).peekable();
        let open = if known.peek().is_some() {
            known.any(|row| row.finished_at.is_none())
        } else {
            ring.keys().any(|key| key.id < newest.id && key.serves(purpose))
        };
        open.then(|| Move { purpose, key_id: newest.id, settled_at: newest.settled_at() })
    };
    Purpose::ALL.into_iter().filter_map(unfinished).collect()
}

/// Writes down that the move has begun, if that is not on record yet. Says whether it was not.
pub async fn begin(client: &impl GenericClient, step: Move, now: OffsetDateTime) -> Result<bool, DbError> {
    let mut begun = false;
    for column in columns(step.purpose) {
        let added = execute(
            client,
            "INSERT INTO reseal_progress (purpose, key_id, table_name, column_name, started_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT reseal_progress_pkey DO NOTHING",
            &[
                (&step.purpose.name(), Type::TEXT),
                (&i64::from(step.key_id), Type::INT8),
                (&column.table, Type::TEXT),
                (&column.column, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
        begun |= added == 1;
    }
    Ok(begun)
}

/// Writes down that no value of the purpose is left under an older key.
pub async fn finish(client: &impl GenericClient, step: Move, now: OffsetDateTime) -> Result<(), DbError> {
    execute(
        client,
        "UPDATE reseal_progress SET finished_at = $3 WHERE purpose = $1 AND key_id = $2 AND finished_at IS NULL",
        &[
            (&step.purpose.name(), Type::TEXT),
            (&i64::from(step.key_id), Type::INT8),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// What one batch met.
#[derive(Debug, Default)]
pub struct Batch {
    /// The last place looked at; `None` when there was nothing left after `after`.
    pub reached: Option<String>,
    pub resealed: u64,
    /// Rows that a request held or changed meanwhile. They are to be looked at again.
    pub passed_over: u64,
    /// Values that do not open where they stand. They are left as they are.
    pub unreadable: Vec<String>,
}

/// Moves the next `limit` values of the column after the place `after` to the key.
pub async fn batch(
    client: &impl GenericClient,
    (column, key_id): (&SealedColumn, u32),
    (after, limit): (Option<&str>, i64),
    ring: &KeyRing,
    (now, random): (OffsetDateTime, &Random),
) -> Result<Batch, ResealError> {
    let bound = beginning(key_id);
    let found = query(
        client,
        column.next,
        &[(&after, Type::TEXT), (&bound.as_slice(), Type::BYTEA), (&limit, Type::INT8)],
    )
    .await?;
    let mut batch = Batch::default();
    let (mut places, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for row in &found {
        let (place, sealed): (&str, &[u8]) = (row.get("place"), row.get("sealed"));
        let mut bytes = Vec::new();
        let opened =
            column.field(place, &mut bytes).and_then(|field| Some((field, ring.open(field, sealed).ok()?)));
        let Some((field, plaintext)) = opened else {
            batch.unreadable.push(place.to_owned());
            continue;
        };
        let resealed = ring.seal(field, plaintext.expose(), now, random).map_err(ResealError::Seal)?;
        if !resealed.starts_with(&bound) {
            return Err(ResealError::NotTheWritingKey);
        }
        places.push(place);
        old.push(sealed);
        new.push(resealed);
    }
    let Some(last) = found.last() else { return Ok(batch) };
    let reached: &str = last.get("place");
    let put = query_one(
        client,
        column.put,
        &[
            (&places, Type::TEXT_ARRAY),
            (&old, Type::BYTEA_ARRAY),
            (&new, Type::BYTEA_ARRAY),
            (&reached, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&column.purpose.name(), Type::TEXT),
            (&i64::from(key_id), Type::INT8),
            (&column.table, Type::TEXT),
            (&column.column, Type::TEXT),
        ],
    )
    .await?;
    batch.resealed = put.get::<_, i64>(0).unsigned_abs();
    batch.passed_over = places.len() as u64 - batch.resealed;
    batch.reached = Some(reached.to_owned());
    Ok(batch)
}

/// Values of the column that are not under the key yet, malformed ones among them.
pub async fn count_older(
    client: &impl GenericClient,
    column: &SealedColumn,
    key_id: u32,
) -> Result<u64, DbError> {
    count(client, column.below, key_id).await
}

/// Values of any column that name the key.
pub async fn count_sealed_by(client: &impl GenericClient, key_id: u32) -> Result<u64, DbError> {
    let mut sum = 0;
    for column in SEALED_COLUMNS {
        sum += count(client, column.beginning, key_id).await?;
    }
    Ok(sum)
}

async fn count(client: &impl GenericClient, sql: &'static str, key_id: u32) -> Result<u64, DbError> {
    let row = query_one(client, sql, &[(&beginning(key_id).as_slice(), Type::BYTEA)]).await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

impl TryFrom<&Row> for Progress {
    type Error = DbError;

    fn try_from(row: &Row) -> Result<Self, DbError> {
        let unknown = |_| DbError::Other("reseal_progress names a purpose that this build lacks".into());
        let key_id = u32::try_from(row.get::<_, i64>("key_id"));
        Ok(Self {
            purpose: row.get::<_, &str>("purpose").parse().map_err(unknown)?,
            key_id: key_id.map_err(|_| DbError::Other("reseal_progress holds a strange key id".into()))?,
            table: row.get("table_name"),
            column: row.get("column_name"),
            reached: row.get("reached"),
            resealed: row.get("resealed"),
            found_at: row.get("found_at"),
            finished_at: row.get("finished_at"),
        })
    }
}
