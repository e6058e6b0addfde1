//! Events that are to be gone through again.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Filter, State, chosen};
use crate::db::{DbError, GenericClient, Type, execute, query};
use crate::webhook::queue::LEASE;

/// How many events there are in each state, but those that were dismissed.
pub async fn count(client: &impl GenericClient, filter: &Filter) -> Result<Vec<(String, i64)>, DbError> {
    let sql = chosen!(
        "SELECT state, count(*) AS events FROM webhook_events ",
        "AND last_error_code IS DISTINCT FROM 'DISMISSED' GROUP BY state ORDER BY state"
    );
    let rows = query(client, sql, &filter.chosen().params(&[])).await?;
    Ok(rows.iter().map(|row| (row.get("state"), row.get("events"))).collect())
}

/// The next ids after `after`, at most `limit`, but those of what was dismissed.
pub async fn next_ids(
    client: &impl GenericClient,
    filter: &Filter,
    (after, limit): (Uuid, i64),
) -> Result<Vec<Uuid>, DbError> {
    let sql = chosen!(
        "SELECT id FROM webhook_events ",
        "AND last_error_code IS DISTINCT FROM 'DISMISSED' AND id > $8 ORDER BY id LIMIT $9"
    );
    let chosen = filter.chosen();
    let rows = query(client, sql, &chosen.params(&[(&after, Type::UUID), (&limit, Type::INT8)])).await?;
    Ok(rows.iter().map(|row| row.get("id")).collect())
}

/// Sets these back to the beginning, those of them that are in one of `states` still, and says how many.
///
/// Whoever works on an event is known by the number of its attempts. One that may be in somebody's hands keeps it, so
/// that what they write then is not taken for the word of whoever takes it up next.
pub async fn replay(
    client: &impl GenericClient,
    ids: &[Uuid],
    states: &[State],
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    let states: Vec<&str> = states.iter().map(|state| state.name()).collect();
    execute(
        client,
        "WITH held AS (
             SELECT id FROM webhook_events WHERE id = ANY($1) AND state = ANY($2) ORDER BY id FOR UPDATE)
         UPDATE webhook_events e
         SET state = 'received', due_at = $3, last_error_code = NULL, finished_at = NULL,
             attempts = CASE WHEN e.state = 'received' AND e.due_at BETWEEN $3 AND $4 THEN e.attempts ELSE 0 END
         FROM held WHERE e.id = held.id",
        &[
            (&ids, Type::UUID_ARRAY),
            (&states, Type::TEXT_ARRAY),
            (&now, Type::TIMESTAMPTZ),
            (&(now + LEASE), Type::TIMESTAMPTZ),
        ],
    )
    .await
}
