//! Sessions as their owner, and an administrator, look at them and change them.
//!
//! An administrator's rows are open to whoever is one by the database; whose rows a statement may touch is said here by
//! [`Reach`] all the same, because a token may claim less than its account may.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Device, Ended, Platform, Session};
use crate::crypto::{Field, Purpose};
use crate::db::{DbError, GenericClient, Row, Type, execute, query, query_opt};

/// Whose sessions may be touched.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    Own(Uuid),
    Anybodys,
}

impl Reach {
    /// What the session may look at and end.
    pub fn of(session: &Session) -> Self {
        if session.is_admin { Self::Anybodys } else { Self::Own(session.user_id) }
    }

    fn owner(self) -> Option<Uuid> {
        match self {
            Self::Own(user_id) => Some(user_id),
            Self::Anybodys => None,
        }
    }
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    Revoked,
    Expired,
}

/// All that is told of a session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    pub id: Uuid,
    pub user_id: Uuid,
    pub status: Status,
    pub device_id: Option<String>,
    pub platform: Option<String>,
    /// How its owner signed in: `did`, `email` and so on.
    pub identity_kind: String,
    /// The session this one was made from.
    pub parent_id: Option<Uuid>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub has_push_token: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub idle_expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub absolute_expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
    pub revoked_reason: Option<String>,
}

macro_rules! columns {
    () => {
        "id, user_id, device_id, platform, identity_kind, parent_id, ip, user_agent,
         push_token_sealed IS NOT NULL AS has_push_token, created_at, last_seen_at, idle_expires_at,
         absolute_expires_at, revoked_at, revoked_reason"
    };
}
pub(super) use columns;

impl SessionInfo {
    pub(super) fn of(row: &Row, now: OffsetDateTime) -> Self {
        let (idle, absolute): (OffsetDateTime, OffsetDateTime) =
            (row.get("idle_expires_at"), row.get("absolute_expires_at"));
        let revoked_at: Option<OffsetDateTime> = row.get("revoked_at");
        let status = match revoked_at {
            Some(_) => Status::Revoked,
            None if idle.min(absolute) <= now => Status::Expired,
            None => Status::Active,
        };
        Self {
            id: row.get("id"),
            user_id: row.get("user_id"),
            status,
            device_id: row.get("device_id"),
            platform: row.get("platform"),
            identity_kind: row.get("identity_kind"),
            parent_id: row.get("parent_id"),
            ip: row.get("ip"),
            user_agent: row.get("user_agent"),
            has_push_token: row.get("has_push_token"),
            created_at: row.get("created_at"),
            last_seen_at: row.get("last_seen_at"),
            idle_expires_at: idle,
            absolute_expires_at: absolute,
            revoked_at,
            revoked_reason: row.get("revoked_reason"),
        }
    }
}

pub async fn find(
    client: &impl GenericClient,
    id: Uuid,
    reach: Reach,
    now: OffsetDateTime,
) -> Result<Option<SessionInfo>, DbError> {
    let row = query_opt(
        client,
        concat!("SELECT ", columns!(), " FROM sessions WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)"),
        &[(&id, Type::UUID), (&reach.owner(), Type::UUID)],
    )
    .await?;
    Ok(row.map(|row| SessionInfo::of(&row, now)))
}

/// The account's sessions behind a place, newest first.
pub async fn list(
    client: &impl GenericClient,
    user_id: Uuid,
    (after, rows): (Option<(OffsetDateTime, Uuid)>, i64),
    now: OffsetDateTime,
) -> Result<Vec<SessionInfo>, DbError> {
    let (created_at, id) = after.unzip();
    let rows = query(
        client,
        concat!(
            "SELECT ",
            columns!(),
            " FROM sessions
             WHERE user_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
             ORDER BY created_at DESC, id DESC LIMIT $4"
        ),
        &[(&user_id, Type::UUID), (&created_at, Type::TIMESTAMPTZ), (&id, Type::UUID), (&rows, Type::INT8)],
    )
    .await?;
    Ok(rows.iter().map(|row| SessionInfo::of(row, now)).collect())
}

/// The account's standing session that was used last.
pub async fn last_used(
    client: &impl GenericClient,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<SessionInfo>, DbError> {
    let row = query_opt(
        client,
        concat!(
            "SELECT ",
            columns!(),
            " FROM sessions
             WHERE user_id = $1 AND revoked_at IS NULL AND idle_expires_at > $2 AND absolute_expires_at > $2
             ORDER BY last_seen_at DESC, created_at DESC, id DESC LIMIT 1"
        ),
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.map(|row| SessionInfo::of(&row, now)))
}

/// A change that a session's owner may make to it while it stands.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// What is named is changed, the rest is left.
    Device(Device<'a>),
    /// It is in use.
    Seen,
    /// Its idle lifetime begins anew; the absolute one goes on.
    Extend(Duration),
    /// Where its device is reached, sealed; `None` takes it away.
    PushToken(Option<Vec<u8>>),
}

/// Changes the account's own session. `None` when it has none of this id, or it has ended.
pub async fn change(
    client: &impl GenericClient,
    (user_id, id): (Uuid, Uuid),
    change: &Change<'_>,
    now: OffsetDateTime,
) -> Result<Option<SessionInfo>, DbError> {
    let mut device = Device::default();
    let (mut extended, mut push_token, mut sets_push_token) = (None, None, false);
    match change {
        Change::Device(named) => device = *named,
        Change::Seen => {}
        Change::Extend(idle) => extended = Some(now + *idle),
        Change::PushToken(sealed) => (push_token, sets_push_token) = (sealed.as_deref(), true),
    }
    let row = query_opt(
        client,
        concat!(
            "UPDATE sessions
             SET last_seen_at = GREATEST(last_seen_at, $3),
                 device_id = COALESCE($4, device_id), platform = COALESCE($5, platform),
                 idle_expires_at = LEAST(GREATEST(idle_expires_at, $6), absolute_expires_at),
                 push_token_sealed = CASE WHEN $8 THEN $7 ELSE push_token_sealed END
             WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL
               AND idle_expires_at > $3 AND absolute_expires_at > $3
             RETURNING ",
            columns!()
        ),
        &[
            (&user_id, Type::UUID),
            (&id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
            (&device.id, Type::TEXT),
            (&device.platform.map(Platform::name), Type::TEXT),
            (&extended, Type::TIMESTAMPTZ),
            (&push_token, Type::BYTEA),
            (&sets_push_token, Type::BOOL),
        ],
    )
    .await?;
    Ok(row.map(|row| SessionInfo::of(&row, now)))
}

/// Where a session's push token stands, sealed.
pub fn push_token_field(session_id: &Uuid) -> Field<'_> {
    Field {
        purpose: Purpose::PushToken,
        table: "sessions",
        column: "push_token_sealed",
        row: session_id.as_bytes(),
    }
}

/// Ends one session at once, with every session made from it, and says whether it stood until then. What reaches their
/// devices goes with them. Whoever had a copy of its tokens may have made one; one that is just being made holds its
/// parent until it is there, and is found on the next round.
pub async fn end(
    client: &impl GenericClient,
    id: Uuid,
    reach: Reach,
    (why, now): (Ended, OffsetDateTime),
) -> Result<bool, DbError> {
    let mut stood = false;
    loop {
        let ended = query(
            client,
            "WITH RECURSIVE family AS (
                 SELECT id, user_id FROM sessions WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)
                 UNION
                 SELECT s.id, s.user_id FROM sessions s
                 JOIN family f ON s.parent_id = f.id AND s.user_id = f.user_id
             )
             UPDATE sessions s SET revoked_at = $4, revoked_reason = $3, push_token_sealed = NULL
             FROM family f WHERE s.id = f.id AND s.revoked_at IS NULL
             RETURNING s.id",
            &[
                (&id, Type::UUID),
                (&reach.owner(), Type::UUID),
                (&why.name(), Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
        if ended.is_empty() {
            return Ok(stood);
        }
        stood |= ended.iter().any(|row| row.get::<_, Uuid>("id") == id);
    }
}

/// Ends every session of the account, and says how many.
pub async fn end_all(
    client: &impl GenericClient,
    user_id: Uuid,
    why: Ended,
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    end_all_but(client, (user_id, None), why, now).await
}

/// Ends every session of the account but one. One that is just being made from another of them holds that one until it
/// is there, and is found on the next round.
pub(super) async fn end_all_but(
    client: &impl GenericClient,
    (user_id, kept): (Uuid, Option<Uuid>),
    why: Ended,
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    let mut total = 0;
    loop {
        let ended = execute(
            client,
            "UPDATE sessions SET revoked_at = $4, revoked_reason = $3, push_token_sealed = NULL
             WHERE user_id = $1 AND ($2::uuid IS NULL OR id <> $2) AND revoked_at IS NULL",
            &[
                (&user_id, Type::UUID),
                (&kept, Type::UUID),
                (&why.name(), Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
        total += ended;
        if ended == 0 {
            return Ok(total);
        }
    }
}
