use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, query_one};

/// What an account's sessions come to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    pub total: i64,
    pub active: i64,
    pub revoked: i64,
    pub expired: i64,
    /// How many devices have been named.
    pub devices: i64,
    pub by_platform: ByPlatform,
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_created_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_created_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
}

#[derive(Debug, Serialize)]
pub struct ByPlatform {
    pub web: i64,
    pub ios: i64,
    pub android: i64,
    pub unknown: i64,
}

pub async fn of_account(
    client: &impl GenericClient,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Statistics, DbError> {
    let row = query_one(
        client,
        "SELECT count(*) AS total,
                count(*) FILTER (WHERE revoked_at IS NOT NULL) AS revoked,
                count(*) FILTER (WHERE revoked_at IS NULL AND LEAST(idle_expires_at, absolute_expires_at) <= $2)
                    AS expired,
                count(DISTINCT device_id) AS devices,
                count(*) FILTER (WHERE platform = 'web') AS web,
                count(*) FILTER (WHERE platform = 'ios') AS ios,
                count(*) FILTER (WHERE platform = 'android') AS android,
                count(*) FILTER (WHERE platform IS NULL) AS unknown,
                min(created_at) AS first_created_at, max(created_at) AS last_created_at,
                max(last_seen_at) AS last_seen_at
         FROM sessions WHERE user_id = $1",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let count = |column: &str| row.get::<_, i64>(column);
    let (total, revoked, expired) = (count("total"), count("revoked"), count("expired"));
    Ok(Statistics {
        total,
        active: total - revoked - expired,
        revoked,
        expired,
        devices: count("devices"),
        by_platform: ByPlatform {
            web: count("web"),
            ios: count("ios"),
            android: count("android"),
            unknown: count("unknown"),
        },
        first_created_at: row.get("first_created_at"),
        last_created_at: row.get("last_created_at"),
        last_seen_at: row.get("last_seen_at"),
    })
}
