//! Sessions that are over. Their owner may look at them for a while; then they go.

use time::OffsetDateTime;

use crate::db::{DbError, GenericClient, delete_in_batches};

/// Removes sessions that were ended or idled out before `before`, and returns how many. No session stays idle beyond
/// its absolute end, so that needs no look of its own.
pub async fn delete(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM sessions
         WHERE (idle_expires_at < $1 OR revoked_at < $1)
           AND ctid = ANY (ARRAY(SELECT ctid FROM sessions
                                 WHERE idle_expires_at < $1 OR revoked_at < $1 LIMIT $2))",
        before,
    )
    .await
}
