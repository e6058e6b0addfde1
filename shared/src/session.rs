//! Sessions: one row per sign-in, and a refresh token that only that row can have made.

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::account::IdentityKind;
use crate::config::Config;
use crate::crypto::{Field, KeyRing, Purpose, SealError, SealingKeys, Secret, mac};
use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::lightning::Pubkey;
use crate::random::Random;
use crate::secrets::{SecretError, SecretHandle};

const DAY_SECONDS: u64 = 86_400;
const TOKEN_VERSION: u8 = 1;
/// Half a MAC: 128 bits that nobody guesses.
const TOKEN_MAC_BYTES: usize = 16;
const MAX_USER_AGENT_CHARS: usize = 256;

/// How long a session lives without use, and at most.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub idle: Duration,
    pub absolute: Duration,
}

impl Lifetimes {
    /// Wires `SESSION_IDLE_DAYS` (7) and `SESSION_ABSOLUTE_DAYS` (30).
    pub fn wire(config: &mut Config) -> Self {
        let mut days = |name, default| {
            Duration::from_secs(u64::from(config.number(name, default, 1..=365)) * DAY_SECONDS)
        };
        Self { idle: days("SESSION_IDLE_DAYS", 7), absolute: days("SESSION_ABSOLUTE_DAYS", 30) }
    }
}

/// A request with this header set to `cookie` gets its refresh token in a cookie, and nowhere else.
pub const REFRESH_TRANSPORT_HEADER: &str = "x-refresh-transport";

pub fn refresh_in_cookie(transport: Option<&str>) -> bool {
    transport.is_some_and(|value| value.eq_ignore_ascii_case("cookie"))
}

/// The `Set-Cookie` value that holds a refresh token out of scripts' reach. `__Host-` makes browsers insist on
/// HTTPS, on this very host, and on the whole site as path.
pub fn refresh_cookie(token: &Secret<String>, lifetimes: Lifetimes) -> String {
    let max_age = lifetimes.absolute.as_secs();
    format!("__Host-rt={}; Path=/; Max-Age={max_age}; HttpOnly; Secure; SameSite=Strict", token.expose())
}

/// What a session runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Web,
    Ios,
    Android,
}

impl Platform {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Ios => "ios",
            Self::Android => "android",
        }
    }
}

/// Where a session is held, as its holder says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Device<'a> {
    /// 1 to 128 characters of the client's own choosing.
    pub id: Option<&'a str>,
    pub platform: Option<Platform>,
}

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

/// Opens sessions for a function.
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
        let ring = self.sealing.get().await.map_err(OpenSessionError::Secret)?;
        open(client, (session, self.lifetimes), &ring, &self.random).await
    }
}

/// Why a session was not opened.
#[derive(Debug)]
pub enum OpenSessionError {
    Secret(SecretError),
    Seal(SealError),
    Db(DbError),
}

async fn open(
    client: &impl GenericClient,
    (session, lifetimes): (&NewSession<'_>, Lifetimes),
    ring: &KeyRing,
    random: &Random,
) -> Result<Secret<String>, OpenSessionError> {
    let key: Secret<[u8; 32]> = Secret::new(random.bytes());
    let sealed = ring
        .seal(refresh_key_field(&session.id), key.expose(), session.now, random)
        .map_err(OpenSessionError::Seal)?;
    let (kind, subject) = session.identity;
    let user_agent =
        session.user_agent.map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect::<String>());
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
            (&(session.now + lifetimes.idle), Type::TIMESTAMPTZ),
            (&(session.now + lifetimes.absolute), Type::TIMESTAMPTZ),
            (&session.ip, Type::INET),
            (&user_agent, Type::TEXT),
            (&session.device.id, Type::TEXT),
            (&session.device.platform.map(Platform::name), Type::TEXT),
        ],
    )
    .await
    .map_err(OpenSessionError::Db)?;
    Ok(refresh_token(session.id, 0, &key))
}

/// `version | session id | counter | MAC`, in base64url. Opaque to everybody but us.
fn refresh_token(session_id: Uuid, counter: u64, key: &Secret<[u8; 32]>) -> Secret<String> {
    let counter = counter.to_be_bytes();
    let tag = mac(key, &[&[TOKEN_VERSION], session_id.as_bytes(), &counter]);
    let mut token = vec![TOKEN_VERSION];
    token.extend_from_slice(session_id.as_bytes());
    token.extend_from_slice(&counter);
    token.extend_from_slice(&tag[..TOKEN_MAC_BYTES]);
    Secret::new(BASE64URL_NOPAD.encode(&token))
}

fn refresh_key_field(session_id: &Uuid) -> Field<'_> {
    Field {
        purpose: Purpose::RefreshKey,
        table: "sessions",
        column: "refresh_key_sealed",
        row: session_id.as_bytes(),
    }
}

/// A standing session, which the rest of its transaction acts for.
#[derive(Debug)]
pub struct Session {
    pub id: Uuid,
    pub user_id: Uuid,
    /// When the account's node last signed in this session.
    pub node_auth_at: Option<OffsetDateTime>,
    /// When whoever holds the session proved who they are; `None` when it was made from another session.
    pub signed_in_at: Option<OffsetDateTime>,
    /// An administrator's, by the token and by the database.
    pub is_admin: bool,
}

impl Session {
    /// Whether the node signed recently enough for what changes where money goes.
    pub fn node_auth_is_fresh(&self, now: OffsetDateTime, max_age: Duration) -> bool {
        self.node_auth_at.is_some_and(|at| now - at <= max_age)
    }

    /// Whether they proved who they are recently enough for what changes how the account is signed in to.
    pub fn sign_in_is_fresh(&self, now: OffsetDateTime, max_age: Duration) -> bool {
        let proven = [self.signed_in_at, self.node_auth_at];
        proven.into_iter().flatten().any(|at| now - at <= max_age)
    }
}

/// Begins the work of a signed-in user: from here the transaction sees their rows and no others. `None` when
/// the session is revoked, expired, or another account's. Whether the account is an administrator's is looked up
/// when the token claims it, and not otherwise.
pub async fn enter(
    client: &impl GenericClient,
    (user_id, session_id): (Uuid, Uuid),
    claims_admin: bool,
    now: OffsetDateTime,
) -> Result<Option<Session>, DbError> {
    let row = query_opt(
        client,
        "SELECT node_auth_at, signed_in_at, is_admin FROM enter_session($1, $2, $3, $4)",
        &[
            (&user_id, Type::UUID),
            (&session_id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
            (&claims_admin, Type::BOOL),
        ],
    )
    .await?;
    Ok(row.map(|row| Session {
        id: session_id,
        user_id,
        node_auth_at: row.get("node_auth_at"),
        signed_in_at: row.get("signed_in_at"),
        is_admin: row.get("is_admin"),
    }))
}

/// Ends every session of the account but `kept`, and returns how many.
pub async fn end_others(
    client: &impl GenericClient,
    user_id: Uuid,
    kept: Uuid,
    reason: &str,
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    execute(
        client,
        "UPDATE sessions SET revoked_at = $4, revoked_reason = $3
         WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL",
        &[(&user_id, Type::UUID), (&kept, Type::UUID), (&reason, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await
}
