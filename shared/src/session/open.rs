use std::net::IpAddr;
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::own::push_token_field;
use super::refresh_token::{self, RefreshKey, key_field};
use super::{Device, Lifetimes, Platform};
use crate::account::IdentityKind;
use crate::config::Config;
use crate::crypto::{KeyRing, SealError, SealingKeys, Secret};
use crate::db::{DbError, GenericClient, Type, execute};
use crate::lightning::Pubkey;
use crate::random::Random;
use crate::secrets::{SecretError, SecretHandle};

const MAX_USER_AGENT_CHARS: usize = 256;

/// A sign-in about to become a session.
pub struct NewSession<'a> {
    pub id: Uuid,
    pub user_id: Uuid,
    pub identity: (IdentityKind, &'a str),
    /// The node key that signed, if one did.
    pub pubkey: Option<Pubkey>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<&'a str>,
    pub device: Device<'a>,
    pub now: OffsetDateTime,
}

/// Opens sessions for a function, and rotates their refresh tokens.
pub struct Sessions {
    pub lifetimes: Lifetimes,
    sealing: SecretHandle<KeyRing>,
    random: Random,
}

impl Sessions {
    /// Wires `SEALING_SECRET` and the [`Lifetimes`].
    pub fn wire(config: &mut Config) -> Self {
        Self {
            lifetimes: Lifetimes::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            random: config.random(),
        }
    }

    /// Opens the session and returns its first refresh token.
    pub async fn open(
        &self,
        client: &impl GenericClient,
        session: &NewSession<'_>,
    ) -> Result<Secret<String>, OpenSessionError> {
        let (key, sealed) = self.new_key(session.id, session.now).await?;
        insert(client, (session, self.lifetimes), &sealed).await.map_err(OpenSessionError::Db)?;
        Ok(refresh_token::make(session.id, 0, &key))
    }

    /// What a session's refresh tokens are made with: fresh, and as it is kept.
    pub(super) async fn new_key(
        &self,
        session_id: Uuid,
        now: OffsetDateTime,
    ) -> Result<(RefreshKey, Vec<u8>), OpenSessionError> {
        let ring = self.ring().await.map_err(OpenSessionError::Secret)?;
        let key: RefreshKey = Secret::new(self.random.bytes());
        let sealed = ring.seal(key_field(&session_id), key.expose(), now, &self.random);
        Ok((key, sealed.map_err(OpenSessionError::Seal)?))
    }

    /// Where a session's device is reached, as it is kept.
    pub async fn seal_push_token(
        &self,
        session_id: Uuid,
        token: &Secret<String>,
        now: OffsetDateTime,
    ) -> Result<Vec<u8>, OpenSessionError> {
        let ring = self.ring().await.map_err(OpenSessionError::Secret)?;
        let sealed = ring.seal(push_token_field(&session_id), token.expose().as_bytes(), now, &self.random);
        sealed.map_err(OpenSessionError::Seal)
    }

    pub(super) async fn ring(&self) -> Result<Arc<KeyRing>, SecretError> {
        self.sealing.get().await
    }
}

/// Why a session was not opened.
#[derive(Debug)]
pub enum OpenSessionError {
    Secret(SecretError),
    Seal(SealError),
    Db(DbError),
}

async fn insert(
    client: &impl GenericClient,
    (session, lifetimes): (&NewSession<'_>, Lifetimes),
    sealed: &[u8],
) -> Result<(), DbError> {
    let (kind, subject) = session.identity;
    execute(
        client,
        "INSERT INTO sessions
             (id, user_id, identity_kind, identity_subject, pubkey, node_auth_at, refresh_key_sealed,
              refreshed_at, created_at, last_seen_at, idle_expires_at, absolute_expires_at, ip, user_agent,
              device_id, platform)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8, $9, $10, $11, $12, $13, $14)",
        &[
            (&session.id, Type::UUID),
            (&session.user_id, Type::UUID),
            (&kind.name(), Type::TEXT),
            (&subject, Type::TEXT),
            (&session.pubkey.map(|key| key.to_string()), Type::TEXT),
            (&session.pubkey.map(|_| session.now), Type::TIMESTAMPTZ),
            (&sealed, Type::BYTEA),
            (&session.now, Type::TIMESTAMPTZ),
            (&(session.now + lifetimes.idle.min(lifetimes.absolute)), Type::TIMESTAMPTZ),
            (&(session.now + lifetimes.absolute), Type::TIMESTAMPTZ),
            (&session.ip, Type::INET),
            (&session.user_agent.map(bounded), Type::TEXT),
            (&session.device.id, Type::TEXT),
            (&session.device.platform.map(Platform::name), Type::TEXT),
        ],
    )
    .await?;
    Ok(())
}

/// As much of what a client calls itself as is kept.
pub(super) fn bounded(user_agent: &str) -> String {
    user_agent.chars().take(MAX_USER_AGENT_CHARS).collect()
}
