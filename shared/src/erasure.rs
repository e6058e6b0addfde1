//! What was personal in accounts that were deleted a while ago, removed. The account's row stays, for what must outlive
//! it: payments, where money may still arrive, and the audit log.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::audit::{AuditError, Auditor, Entry, Origin};
use crate::db::{self, Connection, DbError, GenericClient, Transaction, Type, execute, query_opt};

/// Rows of one account removed in a statement, where there may be many.
const BATCH: i64 = 10_000;

/// Why an account was not erased. Nothing of it is gone then but what it did.
#[derive(Debug)]
pub enum ErasureError {
    Audit(AuditError),
    Db(DbError),
}

impl From<DbError> for ErasureError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl std::fmt::Display for ErasureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an account could not be erased")
    }
}

impl std::error::Error for ErasureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Audit(AuditError::Secret(source)) => Some(source),
            Self::Audit(AuditError::Db(source)) | Self::Db(source) => Some(source),
        }
    }
}

/// An account's place among those that are to be erased, the longest deleted first.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    deleted_at: OffsetDateTime,
    pub user_id: Uuid,
}

/// One account that had its turn, and what became of it.
#[derive(Debug)]
pub struct Turn {
    pub place: Place,
    /// `false` when it did so much that the rest is for another call.
    pub outcome: Result<bool, ErasureError>,
}

/// Erases the next account behind a place that was deleted before `before`, in a transaction of its own. `None` when
/// there is no such account, or others have them in hand.
pub async fn erase_one(
    connection: &mut Connection,
    (before, behind): (OffsetDateTime, Option<Place>),
    audit: (&Auditor, Origin<'_>),
    now: OffsetDateTime,
) -> Result<Option<Turn>, DbError> {
    let tx = connection.transaction().await?;
    let Some(place) = take(&tx, before, behind).await? else { return Ok(None) };
    let outcome = erase_taken(tx, place.user_id, audit, now).await;
    Ok(Some(Turn { place, outcome }))
}

async fn erase_taken(
    tx: Transaction<'_>,
    user_id: Uuid,
    (audit, origin): (&Auditor, Origin<'_>),
    now: OffsetDateTime,
) -> Result<bool, ErasureError> {
    if delete_activities(&tx, user_id).await? {
        // There is more than one transaction should take; the account comes up again.
        db::commit(tx).await?;
        return Ok(false);
    }
    erase(&tx, user_id, now).await?;
    let entry = Entry {
        user_id: Some(user_id),
        action: "account.erased",
        resource: ("user", &user_id.to_string()),
        details: json!({}),
        origin,
        now,
    };
    audit.append(&tx, &entry).await.map_err(ErasureError::Audit)?;
    db::commit(tx).await?;
    Ok(true)
}

async fn take(
    tx: &Transaction<'_>,
    before: OffsetDateTime,
    behind: Option<Place>,
) -> Result<Option<Place>, DbError> {
    let (deleted_at, user_id) = behind.map(|place| (place.deleted_at, place.user_id)).unzip();
    let row = query_opt(
        tx,
        "SELECT deleted_at, id FROM users
         WHERE deleted_at < $1 AND erased_at IS NULL AND ($2 IS NULL OR (deleted_at, id) > ($2, $3))
         ORDER BY deleted_at, id LIMIT 1 FOR UPDATE SKIP LOCKED",
        &[(&before, Type::TIMESTAMPTZ), (&deleted_at, Type::TIMESTAMPTZ), (&user_id, Type::UUID)],
    )
    .await?;
    Ok(row.map(|row| Place { deleted_at: row.get("deleted_at"), user_id: row.get("id") }))
}

/// Deletes a batch of what the account did, and says whether there may be more.
async fn delete_activities(client: &impl GenericClient, user_id: Uuid) -> Result<bool, DbError> {
    let deleted = execute(
        client,
        "DELETE FROM activity_logs
         WHERE user_id = $1 AND (created_at, id) IN (
             SELECT created_at, id FROM activity_logs WHERE user_id = $1 ORDER BY created_at, id LIMIT $2)",
        &[(&user_id, Type::UUID), (&BATCH, Type::INT8)],
    )
    .await?;
    Ok(deleted == BATCH.unsigned_abs())
}

async fn erase(tx: &Transaction<'_>, user_id: Uuid, now: OffsetDateTime) -> Result<(), DbError> {
    for sql in [
        // What is retired stays, so that its subject is nobody else's, ever. The rest may come back as a new account.
        "DELETE FROM identities WHERE user_id = $1 AND retired_at IS NULL",
        "DELETE FROM passwords WHERE user_id = $1",
        "DELETE FROM one_time_tokens WHERE user_id = $1",
        "DELETE FROM oauth_states WHERE user_id = $1",
        "DELETE FROM mails WHERE user_id = $1",
        "DELETE FROM wallets WHERE user_id = $1",
        "DELETE FROM notification_preferences WHERE user_id = $1",
        "DELETE FROM admins WHERE user_id = $1",
        // With where they were opened, from what, and where to push to.
        "DELETE FROM sessions WHERE user_id = $1",
        // With its address and its macaroon. Its key must be free for whoever comes back with the node.
        "DELETE FROM nodes WHERE user_id = $1",
        "DELETE FROM idempotency_keys WHERE user_id = $1",
        "DELETE FROM challenges WHERE user_id = $1",
    ] {
        execute(tx, sql, &[(&user_id, Type::UUID)]).await?;
    }
    execute(
        tx,
        "UPDATE users SET username = NULL, display_name = NULL, last_login_at = NULL, last_active_at = NULL,
             version = version + 1, updated_at = $2, erased_at = $2
         WHERE id = $1",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}
