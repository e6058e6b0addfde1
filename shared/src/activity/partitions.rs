//! The months that activities are kept in: made ahead, dropped when they are past. The steps are the database's own,
//! because only the owner of a table may do them; see `keep_activity_logs` in the migrations.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use crate::db::{DbError, GenericClient, Type, query_one, query_opt};

/// A step that finds a table in use gives way after a second, and tries again this often.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// What a run found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows that had no month when the run began.
    pub waiting: u64,
    /// Months that are there now and were not.
    pub made: u64,
    /// Rows that found their month.
    pub moved: u64,
    /// Rows without a month that were older than any that is kept.
    pub deleted: u64,
    pub detached: u64,
    pub dropped: u64,
}

/// Does everything there is to do at this moment, one step after the other, each in a transaction of its own.
pub async fn keep(
    client: &impl GenericClient,
    kept_days: i32,
    now: OffsetDateTime,
) -> Result<Report, DbError> {
    let waiting: i64 =
        query_one(client, "SELECT count_waiting_activity_logs() AS waiting", &[]).await?.get("waiting");
    let mut report = Report { waiting: waiting.unsigned_abs(), ..Report::default() };
    while let Some((step, rows)) = next(client, kept_days, now).await? {
        match step.as_str() {
            "made" => {
                report.made += 1;
                report.moved += rows;
            }
            "deleted" => report.deleted += rows,
            "detached" => report.detached += 1,
            "dropped" => report.dropped += 1,
            // Copies, on their way to a month that is made in a later step.
            _ => {}
        }
    }
    Ok(report)
}

/// One step and how many rows it was about; nothing when there is nothing to do.
async fn next(
    client: &impl GenericClient,
    kept_days: i32,
    now: OffsetDateTime,
) -> Result<Option<(String, u64)>, DbError> {
    let mut tries = 1;
    loop {
        let done = query_opt(
            client,
            "SELECT step, row_count FROM keep_activity_logs($1, $2)",
            &[(&now, Type::TIMESTAMPTZ), (&kept_days, Type::INT4)],
        )
        .await;
        match done {
            Err(error @ DbError::LockTimeout(_)) if tries < TRIES => {
                tracing::info!(error = %error, "a month is in use");
                tokio::time::sleep(PAUSE).await;
                tries += 1;
            }
            Err(error) => return Err(error),
            Ok(row) => {
                let step =
                    |row: crate::db::Row| (row.get("step"), row.get::<_, i64>("row_count").unsigned_abs());
                return Ok(row.map(step));
            }
        }
    }
}
