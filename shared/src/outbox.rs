//! What later parts are to be told: written with the change it tells of, so that neither is without the other.
//!
//! A reader takes what is not published in the order of `version` for each key, and knows a repeat by the id.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, delete_in_batches, execute};

/// One thing to be told.
pub struct Message<'a> {
    pub topic: &'static str,
    /// What it is about. Messages of one key are told in order.
    pub key: &'a str,
    pub version: i64,
    pub payload: Value,
}

/// Writes the message down, unless this version of its key is.
pub async fn put(
    client: &impl GenericClient,
    id: Uuid,
    message: &Message<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    execute(
        client,
        "INSERT INTO outbox (id, topic, key, version, payload, created_at, next_attempt_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT ON CONSTRAINT outbox_key_version_key DO NOTHING",
        &[
            (&id, Type::UUID),
            (&message.topic, Type::TEXT),
            (&message.key, Type::TEXT),
            (&message.version, Type::INT8),
            (&message.payload, Type::JSONB),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Removes what was published before `before`.
pub async fn delete_published(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM outbox
         WHERE published_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM outbox WHERE published_at < $1 LIMIT $2))",
        before,
    )
    .await
}
