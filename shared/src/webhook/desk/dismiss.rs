//! Dead letters that nobody will go through again.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, query};
use crate::webhook::reason;

/// A dead letter no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dismissed {
    pub id: Uuid,
    /// What it died of, which its row says no longer.
    pub code: Option<String>,
}

/// Lays those of these to rest that are dead. They are ignored from now on and go when ignored ones go.
pub async fn dismiss(
    client: &impl GenericClient,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Dismissed>, DbError> {
    let rows = query(
        client,
        "WITH held AS (
             SELECT id, last_error_code FROM webhook_events WHERE id = ANY($1) AND state = 'dead' ORDER BY id FOR UPDATE)
         UPDATE webhook_events e
         SET state = 'ignored', last_error_code = $2, finished_at = $3
         FROM held WHERE e.id = held.id
         RETURNING e.id, held.last_error_code AS code",
        &[(&ids, Type::UUID_ARRAY), (&reason::DISMISSED, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(rows.iter().map(|row| Dismissed { id: row.get("id"), code: row.get("code") }).collect())
}
