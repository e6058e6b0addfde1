//! What somebody wants to be told, and by which way. An account without a row has the defaults.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Row, Type, query_opt};

/// What is told by one way, mail or push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Topics {
    pub payments: bool,
    pub sessions: bool,
    pub news: bool,
}

/// Nobody asked for news.
pub const DEFAULTS: Topics = Topics { payments: true, sessions: true, news: false };

/// An account's preferences as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preferences {
    pub email: Topics,
    pub push: Topics,
    /// 0 for the defaults of an account that never said anything.
    pub version: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

/// Any part of [`Topics`]; what is not said stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SomeTopics {
    pub payments: Option<bool>,
    pub sessions: Option<bool>,
    pub news: Option<bool>,
}

impl From<Topics> for SomeTopics {
    fn from(topics: Topics) -> Self {
        Self { payments: Some(topics.payments), sessions: Some(topics.sessions), news: Some(topics.news) }
    }
}

/// A change to preferences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub email: SomeTopics,
    pub push: SomeTopics,
    /// What the caller read before; `None` when what they say holds whatever else was said.
    pub expected: Option<i64>,
}

/// What an account's preferences are now; `None` without such an account.
pub async fn find(client: &impl GenericClient, user_id: Uuid) -> Result<Option<Preferences>, DbError> {
    let row = query_opt(
        client,
        "SELECT p.email_payments, p.email_sessions, p.email_news, p.push_payments, p.push_sessions, p.push_news,
                p.version, p.updated_at
         FROM users u LEFT JOIN notification_preferences p ON p.user_id = u.id WHERE u.id = $1",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(row.as_ref().map(read))
}

/// Makes the change in one statement, so that two that say different things both hold. `None` when the version is
/// another by now, and when there is no such account, or it is deleted.
pub async fn change(
    client: &impl GenericClient,
    user_id: Uuid,
    change: &Change,
    now: OffsetDateTime,
) -> Result<Option<Preferences>, DbError> {
    let (email, push) = (change.email, change.push);
    let row = query_opt(
        client,
        "INSERT INTO notification_preferences AS p
             (user_id, email_payments, email_sessions, email_news, push_payments, push_sessions, push_news,
              version, updated_at)
         SELECT u.id, COALESCE($2, $10), COALESCE($3, $11), COALESCE($4, $12),
                COALESCE($5, $10), COALESCE($6, $11), COALESCE($7, $12), 1, $9
         FROM users u
         WHERE u.id = $1 AND u.deleted_at IS NULL
           AND ($8 IS NULL OR $8 = 0 OR EXISTS (SELECT 1 FROM notification_preferences WHERE user_id = $1))
         ON CONFLICT ON CONSTRAINT notification_preferences_pkey DO UPDATE SET
             email_payments = COALESCE($2, p.email_payments), email_sessions = COALESCE($3, p.email_sessions),
             email_news = COALESCE($4, p.email_news), push_payments = COALESCE($5, p.push_payments),
             push_sessions = COALESCE($6, p.push_sessions), push_news = COALESCE($7, p.push_news),
             version = p.version + 1, updated_at = $9
         WHERE $8 IS NULL OR p.version = $8
         RETURNING email_payments, email_sessions, email_news, push_payments, push_sessions, push_news,
                   version, updated_at",
        &[
            (&user_id, Type::UUID),
            (&email.payments, Type::BOOL),
            (&email.sessions, Type::BOOL),
            (&email.news, Type::BOOL),
            (&push.payments, Type::BOOL),
            (&push.sessions, Type::BOOL),
            (&push.news, Type::BOOL),
            (&change.expected, Type::INT8),
            (&now, Type::TIMESTAMPTZ),
            (&DEFAULTS.payments, Type::BOOL),
            (&DEFAULTS.sessions, Type::BOOL),
            (&DEFAULTS.news, Type::BOOL),
        ],
    )
    .await?;
    Ok(row.as_ref().map(read))
}

fn read(row: &Row) -> Preferences {
    let or = |column: &str, default| row.get::<_, Option<bool>>(column).unwrap_or(default);
    Preferences {
        email: Topics {
            payments: or("email_payments", DEFAULTS.payments),
            sessions: or("email_sessions", DEFAULTS.sessions),
            news: or("email_news", DEFAULTS.news),
        },
        push: Topics {
            payments: or("push_payments", DEFAULTS.payments),
            sessions: or("push_sessions", DEFAULTS.sessions),
            news: or("push_news", DEFAULTS.news),
        },
        version: row.get::<_, Option<i64>>("version").unwrap_or_default(),
        updated_at: row.get("updated_at"),
    }
}
