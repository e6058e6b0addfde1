//! What a sign-in is answered with: a session's tokens, the refresh token in the body or in a cookie as the caller asked.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiError, Reply, Request, StatusCode};
use crate::account::IdentityKind;
use crate::config::Config;
use crate::crypto::Secret;
use crate::db::GenericClient;
use crate::lightning::Pubkey;
use crate::metrics;
use crate::random::Random;
use crate::session::{self, Device, NewSession, Sessions};
use crate::token::{AccessGrant, TokenIssuer};

/// Counts how a sign-in went. What failed on our side is neither accepted nor refused.
pub fn count<T>(outcome: &Result<T, ApiError>) {
    match outcome {
        Ok(_) => metrics::count("SignInAccepted"),
        Err(error) if error.code.parts().1.is_client_error() => metrics::count("SignInRefused"),
        Err(_) => {}
    }
}

/// Opens sessions and issues their tokens.
pub struct SignIns {
    pub sessions: Sessions,
    pub issuer: TokenIssuer,
    random: Random,
}

/// Who has just proven who they are, and how.
pub struct Arrival<'a> {
    pub user_id: Uuid,
    pub identity: (IdentityKind, &'a str),
    /// The node key that signed, if one did.
    pub pubkey: Option<Pubkey>,
    pub device: Device<'a>,
    /// The account is an administrator's.
    pub admin: bool,
}

/// A session's tokens, on their way out.
pub struct SignedIn {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub access_token: Secret<String>,
    pub refresh_token: Secret<String>,
    pub admin: bool,
    pub expires_in: u64,
    /// How long the cookie lives, for a caller who asked for one.
    cookie_for: Option<Duration>,
}

impl SignIns {
    /// Wires [`Sessions`] and the [`TokenIssuer`].
    pub fn wire(config: &mut Config) -> Self {
        Self { sessions: Sessions::wire(config), issuer: TokenIssuer::wire(config), random: config.random() }
    }

    /// Opens a session and issues its first tokens. Commit before they are sent.
    pub async fn open(
        &self,
        client: &impl GenericClient,
        request: &Request,
        arrival: &Arrival<'_>,
        now: OffsetDateTime,
    ) -> Result<SignedIn, ApiError> {
        let session = NewSession {
            id: self.random.id(now),
            user_id: arrival.user_id,
            identity: arrival.identity,
            pubkey: arrival.pubkey,
            ip: request.source_ip,
            user_agent: request.header("user-agent"),
            device: arrival.device,
            now,
        };
        let refresh_token = self.sessions.open(client, &session).await?;
        let in_cookie = session::refresh_in_cookie(request.header(session::REFRESH_TRANSPORT_HEADER));
        Ok(SignedIn {
            user_id: arrival.user_id,
            session_id: session.id,
            access_token: self.access(client, (arrival.user_id, session.id), arrival.admin, now).await?,
            refresh_token,
            admin: arrival.admin,
            expires_in: self.issuer.access_ttl.as_secs(),
            cookie_for: in_cookie.then_some(self.sessions.lifetimes.absolute),
        })
    }

    /// The tokens of a session that was there before. `cookie_for` is how long the cookie lives, for a caller whose
    /// refresh token came in one.
    pub fn again(
        &self,
        (user_id, session_id): (Uuid, Uuid),
        (access_token, admin): (Secret<String>, bool),
        refresh_token: Secret<String>,
        cookie_for: Option<Duration>,
    ) -> SignedIn {
        let expires_in = self.issuer.access_ttl.as_secs();
        SignedIn { user_id, session_id, access_token, refresh_token, admin, expires_in, cookie_for }
    }

    /// An access token of a session.
    pub async fn access(
        &self,
        client: &impl GenericClient,
        (user_id, session_id): (Uuid, Uuid),
        admin: bool,
        now: OffsetDateTime,
    ) -> Result<Secret<String>, ApiError> {
        let grant = AccessGrant { user_id, session_id, token_id: self.random.id(now), admin };
        Ok(self.issuer.access(client, &grant, now).await?)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a, T> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    token_type: &'static str,
    expires_in: u64,
    session_id: Uuid,
    user_id: Uuid,
    #[serde(flatten)]
    more: &'a T,
}

/// Nothing beside the tokens.
#[derive(Serialize)]
struct Nothing {}

/// The names of RFC 6749.
#[derive(Serialize)]
struct OAuthAnswer<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    token_type: &'static str,
    expires_in: u64,
    scope: &'static str,
}

impl SignedIn {
    pub fn reply(&self, status: StatusCode) -> Reply {
        self.reply_with(status, &Nothing {})
    }

    /// As [`SignedIn::reply`], with the fields of `more` beside the tokens.
    pub fn reply_with(&self, status: StatusCode, more: &impl Serialize) -> Reply {
        self.with_cookie(Reply::json(
            status,
            &Answer {
                access_token: self.access_token.expose(),
                refresh_token: self.in_body(),
                token_type: "Bearer",
                expires_in: self.expires_in,
                session_id: self.session_id,
                user_id: self.user_id,
                more,
            },
        ))
    }

    /// The answer an `OAuth` client expects of a token endpoint.
    pub fn oauth_reply(&self) -> Reply {
        self.with_cookie(Reply::ok(&OAuthAnswer {
            access_token: self.access_token.expose(),
            refresh_token: self.in_body(),
            token_type: "bearer",
            expires_in: self.expires_in,
            scope: AccessGrant::scope_of(self.admin),
        }))
    }

    /// The refresh token, for a caller who did not ask for a cookie.
    pub fn in_body(&self) -> Option<&str> {
        self.cookie_for.is_none().then(|| self.refresh_token.expose().as_str())
    }

    /// Adds the refresh token's cookie, for a caller who asked for one.
    pub fn with_cookie(&self, reply: Reply) -> Reply {
        let cookie = self.cookie_for.map(|left| session::refresh_cookie(&self.refresh_token, left));
        cookie.into_iter().fold(reply, Reply::with_cookie)
    }
}
