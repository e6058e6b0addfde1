//! A session made from another one, for a second device or process of the same owner: no sign-in, so no proof of one, and
//! no longer life than its parent's.

use std::net::IpAddr;

use time::OffsetDateTime;
use uuid::Uuid;

use super::open::{OpenSessionError, Sessions, bounded};
use super::own::{SessionInfo, Status, columns};
use super::refresh::RefreshError;
use super::refresh_token;
use super::{Device, Platform};
use crate::crypto::Secret;
use crate::db::{DbError, GenericClient, Type, query_opt};

/// A session about to be made from another.
pub struct NewChild<'a> {
    pub id: Uuid,
    pub user_id: Uuid,
    pub parent_id: Uuid,
    pub device: Device<'a>,
    /// The same key is the same session.
    pub idempotency_key: Option<&'a str>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<&'a str>,
    pub now: OffsetDateTime,
}

/// A session and the refresh token that is good for it now.
pub struct Child {
    pub session: SessionInfo,
    pub refresh_token: Secret<String>,
    /// It was there before.
    pub is_replayed: bool,
}

/// Why there is no such session.
#[derive(Debug)]
pub enum ChildError {
    /// The one it was to be made from has ended.
    NoParent,
    /// The key's session has ended.
    Ended,
    /// Another session of the account made the key's session. Its tokens may live longer than this one's may.
    Anothers,
    Open(OpenSessionError),
    Read(RefreshError),
    Db(DbError),
}

impl From<DbError> for ChildError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl Sessions {
    /// Makes the session, or finds the one that this key made before.
    pub async fn open_child(
        &self,
        client: &impl GenericClient,
        child: &NewChild<'_>,
    ) -> Result<Child, ChildError> {
        // Most keys are new, and a repeat needs no key of its own; so look first only when there is one to look for.
        if let Some(key) = child.idempotency_key
            && let Some(found) = self.find_child(client, child, key).await?
        {
            return Ok(found);
        }
        if let Some(made) = self.insert_child(client, child).await? {
            return Ok(made);
        }
        // Somebody with the same key was quicker, and is done: the insert waited for them.
        let Some(key) = child.idempotency_key else { return Err(ChildError::NoParent) };
        let found = self.find_child(client, child, key).await?;
        found.ok_or(ChildError::NoParent)
    }

    async fn insert_child(
        &self,
        client: &impl GenericClient,
        child: &NewChild<'_>,
    ) -> Result<Option<Child>, ChildError> {
        let (key, sealed) = self.new_key(child.id, child.now).await.map_err(ChildError::Open)?;
        // The parent is held until the child is there, so that whoever ends all sessions finds both.
        let row = query_opt(
            client,
            concat!(
                "WITH parent AS (
                     SELECT identity_kind, identity_subject, absolute_expires_at FROM sessions
                     WHERE id = $3 AND user_id = $2 AND revoked_at IS NULL FOR SHARE
                 )
                 INSERT INTO sessions
                     (id, user_id, parent_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                      created_at, last_seen_at, idle_expires_at, absolute_expires_at, ip, user_agent, device_id,
                      platform, idempotency_key)
                 SELECT $1, $2, $3, identity_kind, identity_subject, $4, $5, $5, $5,
                        LEAST($6, $7, absolute_expires_at), LEAST($7, absolute_expires_at), $8, $9, $10, $11, $12
                 FROM parent
                 ON CONFLICT ON CONSTRAINT sessions_user_id_idempotency_key_key DO NOTHING
                 RETURNING ",
                columns!()
            ),
            &[
                (&child.id, Type::UUID),
                (&child.user_id, Type::UUID),
                (&child.parent_id, Type::UUID),
                (&sealed, Type::BYTEA),
                (&child.now, Type::TIMESTAMPTZ),
                (&(child.now + self.lifetimes.idle), Type::TIMESTAMPTZ),
                (&(child.now + self.lifetimes.absolute), Type::TIMESTAMPTZ),
                (&child.ip, Type::INET),
                (&child.user_agent.map(bounded), Type::TEXT),
                (&child.device.id, Type::TEXT),
                (&child.device.platform.map(Platform::name), Type::TEXT),
                (&child.idempotency_key, Type::TEXT),
            ],
        )
        .await?;
        Ok(row.map(|row| Child {
            session: SessionInfo::of(&row, child.now),
            refresh_token: refresh_token::make(child.id, 0, &key),
            is_replayed: false,
        }))
    }

    async fn find_child(
        &self,
        client: &impl GenericClient,
        child: &NewChild<'_>,
        key: &str,
    ) -> Result<Option<Child>, ChildError> {
        let row = query_opt(
            client,
            concat!(
                "SELECT refresh_key_sealed, refresh_counter, ",
                columns!(),
                " FROM sessions WHERE user_id = $1 AND idempotency_key = $2"
            ),
            &[(&child.user_id, Type::UUID), (&key, Type::TEXT)],
        )
        .await?;
        let Some(row) = row else { return Ok(None) };
        let session = SessionInfo::of(&row, child.now);
        if session.parent_id != Some(child.parent_id) {
            return Err(ChildError::Anothers);
        }
        if session.status != Status::Active {
            return Err(ChildError::Ended);
        }
        let key = self.open_key(session.id, row.get("refresh_key_sealed")).await.map_err(ChildError::Read)?;
        let refresh_token = refresh_token::make(session.id, row.get("refresh_counter"), &key);
        Ok(Some(Child { session, refresh_token, is_replayed: true }))
    }
}
