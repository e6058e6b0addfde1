//! How much there is to do, for those who do it and those who watch.

use std::time::Duration;

use time::OffsetDateTime;

use crate::db::{DbError, GenericClient, Type, query_one};

/// What is due and nobody has taken up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    pub due: u64,
    /// How long the one that has waited longest has been due.
    pub oldest: Duration,
}

/// Reads only what is due, however many are finished.
pub async fn read(client: &impl GenericClient, now: OffsetDateTime) -> Result<Queue, DbError> {
    let row = query_one(
        client,
        "SELECT count(*) AS due, min(due_at) AS oldest FROM lightning_setups WHERE state = 'running' AND due_at <= $1",
        &[(&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let oldest: Option<OffsetDateTime> = row.get("oldest");
    let oldest = oldest.map_or(Duration::ZERO, |due_at| (now - due_at).unsigned_abs());
    Ok(Queue { due: row.get::<_, i64>("due").unsigned_abs(), oldest })
}

/// When the next running setup is due, if any runs: when its wait is over, or the lease of whoever holds it.
pub async fn next_due(client: &impl GenericClient) -> Result<Option<OffsetDateTime>, DbError> {
    let row =
        query_one(client, "SELECT min(due_at) AS next FROM lightning_setups WHERE state = 'running'", &[])
            .await?;
    Ok(row.get("next"))
}
