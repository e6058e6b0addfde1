//! What people did, as their clients tell it: written, read by themselves and by administrators, never changed. It is
//! kept month by month ([`partitions`]) and goes with its month. What must be provable is in the audit log instead.

pub mod partitions;

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Row, Type, query, query_one};

/// Of Unicode characters.
pub const MAX_ACTION_CHARS: usize = 64;

const ACTION_LENGTH: &str = "activity_logs_action_length";
const DETAILS_SIZE: &str = "activity_logs_details_size";

/// One thing somebody did, about to be written.
pub struct NewActivity<'a> {
    pub id: Uuid,
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub action: &'a str,
    pub details: &'a Map<String, Value>,
    pub ip: Option<IpAddr>,
    pub now: OffsetDateTime,
}

/// One thing somebody did.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    pub id: Uuid,
    pub user_id: Uuid,
    /// The session it was told in, which may be gone by now.
    pub session_id: Option<Uuid>,
    pub action: String,
    pub details: Value,
    pub ip: Option<IpAddr>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Why an activity was not written.
#[derive(Debug)]
pub enum ActivityError {
    /// It has no name of 1 to [`MAX_ACTION_CHARS`] characters that can be shown.
    Action,
    /// A text in the details has the one character that the database cannot hold.
    Unwritable,
    /// The details are larger than 8 KiB, as the database writes them.
    TooLarge,
    Db(DbError),
}

impl From<DbError> for ActivityError {
    fn from(error: DbError) -> Self {
        match error.constraint() {
            Some(ACTION_LENGTH) => Self::Action,
            Some(DETAILS_SIZE) => Self::TooLarge,
            _ => Self::Db(error),
        }
    }
}

/// Writes it down.
pub async fn append(
    client: &impl GenericClient,
    activity: &NewActivity<'_>,
) -> Result<Activity, ActivityError> {
    if activity.action.chars().any(char::is_control) {
        return Err(ActivityError::Action);
    }
    if activity.details.iter().any(|(name, value)| name.contains('\0') || has_nul(value)) {
        return Err(ActivityError::Unwritable);
    }
    let row = query_one(
        client,
        "INSERT INTO activity_logs (id, user_id, session_id, action, details, ip, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         RETURNING id, user_id, session_id, action, details, ip, created_at",
        &[
            (&activity.id, Type::UUID),
            (&activity.user_id, Type::UUID),
            (&activity.session_id, Type::UUID),
            (&activity.action, Type::TEXT),
            (&Value::Object(activity.details.clone()), Type::JSONB),
            (&activity.ip, Type::INET),
            (&activity.now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(Activity::from(&row))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The account's activities, newest first, behind the place given.
pub async fn list(
    client: &impl GenericClient,
    user_id: Uuid,
    after: Option<(OffsetDateTime, Uuid)>,
    rows: i64,
) -> Result<Vec<Activity>, DbError> {
    let (at, id) = after.unzip();
    let rows = query(
        client,
        "SELECT id, user_id, session_id, action, details, ip, created_at FROM activity_logs
         WHERE user_id = $1 AND ($2 IS NULL OR (created_at, id) < ($2, $3))
         ORDER BY created_at DESC, id DESC LIMIT $4",
        &[(&user_id, Type::UUID), (&at, Type::TIMESTAMPTZ), (&id, Type::UUID), (&rows, Type::INT8)],
    )
    .await?;
    Ok(rows.iter().map(Activity::from).collect())
}

impl From<&Row> for Activity {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            user_id: row.get("user_id"),
            session_id: row.get("session_id"),
            action: row.get("action"),
            details: row.get("details"),
            ip: row.get("ip"),
            created_at: row.get("created_at"),
        }
    }
}
