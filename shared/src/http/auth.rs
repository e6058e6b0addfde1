//! Who is asking: a bearer token that is ours, a session that still stands, and what it may.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiError, ErrorCode, Request, limit};
use crate::config::Config;
use crate::db::{Connection, GenericClient, Transaction};
use crate::rate_limit::Limit;
use crate::session::{self, Session};
use crate::token::{self, AccessClaims, TokenVerifier};

/// Turns a request's bearer token into a standing session.
pub struct Authenticator {
    tokens: TokenVerifier,
    per_session: u32,
}

/// As [`Authenticator`], for what changes how the account is signed in to: they must have proven who they are just now.
pub struct RecentAuthenticator {
    /// For what the same function does without asking so much.
    pub sessions: Authenticator,
    max_age: Duration,
}

/// As [`Authenticator`], for what changes where money goes: the node must have signed just now.
pub struct NodeAuthenticator {
    /// For what the same function does without asking so much.
    pub sessions: Authenticator,
    max_age: Duration,
}

/// A token that looks like one of ours; [`Authenticator::enter`] finds out whether it is.
pub struct Bearer<'a>(&'a str);

/// The bearer token of a request, refused before any work when it cannot be one of ours.
pub fn bearer(request: &Request) -> Result<Bearer<'_>, ApiError> {
    let value = request.header("authorization").unwrap_or_default();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    if token::key_id(token).is_some() { Ok(Bearer(token)) } else { Err(unauthenticated()) }
}

impl Authenticator {
    /// Wires `ISSUER_URL`, `TOKEN_AUDIENCE` and `RATE_LIMIT_PER_SESSION` (600).
    pub fn wire(config: &mut Config) -> Self {
        let per_session = config.number("RATE_LIMIT_PER_SESSION", 600, 1..=1_000_000);
        Self { tokens: TokenVerifier::wire(config), per_session }
    }

    /// Counts the request, by itself so that one that fails is counted all the same, and begins the transaction of
    /// the token's session, which sees that account's rows only.
    pub async fn begin<'c>(
        &self,
        connection: &'c mut Connection,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<(Transaction<'c>, Session), ApiError> {
        let claims = self.count(connection.client(), bearer, now).await?;
        let tx = connection.transaction().await?;
        let session = enter(&tx, &claims, now).await?;
        Ok((tx, session))
    }

    /// Counts the request against its session, for what begins its transactions itself.
    pub async fn count(
        &self,
        client: &impl GenericClient,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<AccessClaims, ApiError> {
        let claims = self.claims(client, bearer, now).await?;
        limit::check(client, &[self.limit(&claims)], now).await?;
        Ok(claims)
    }

    /// What the token says, if it is good. Whether its session stands is not asked.
    pub async fn claims(
        &self,
        client: &impl GenericClient,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<AccessClaims, ApiError> {
        Ok(self.tokens.access(client, bearer.0, now).await?)
    }

    /// What the requests of one session count against.
    pub fn limit(&self, claims: &AccessClaims) -> Limit {
        Limit::new("session", &claims.sid.to_string(), self.per_session)
    }

    /// Begins the work of the token's session in this transaction, which from here sees that account's rows
    /// only.
    pub async fn enter(
        &self,
        client: &impl GenericClient,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<Session, ApiError> {
        enter(client, &self.claims(client, bearer, now).await?, now).await
    }
}

async fn enter(
    client: &impl GenericClient,
    claims: &AccessClaims,
    now: OffsetDateTime,
) -> Result<Session, ApiError> {
    let ids = (claims.sub, claims.sid);
    session::enter(client, ids, claims.is_admin(), now).await?.ok_or_else(unauthenticated)
}

impl RecentAuthenticator {
    /// Wires `SIGN_IN_MAX_AGE_SECONDS` (900) and the [`Authenticator`].
    pub fn wire(config: &mut Config) -> Self {
        let max_age = config.seconds("SIGN_IN_MAX_AGE_SECONDS", 900, 60..=86_400);
        Self { sessions: Authenticator::wire(config), max_age }
    }

    /// As [`Authenticator::begin`], unless the session's last sign-in is too old.
    pub async fn begin<'c>(
        &self,
        connection: &'c mut Connection,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<(Transaction<'c>, Session), ApiError> {
        let (tx, session) = self.sessions.begin(connection, bearer, now).await?;
        self.check(&session, now)?;
        Ok((tx, session))
    }

    /// Refuses a session whose last sign-in is too old.
    pub fn check(&self, session: &Session, now: OffsetDateTime) -> Result<(), ApiError> {
        if session.sign_in_is_fresh(now, self.max_age) {
            Ok(())
        } else {
            Err(ApiError::new(ErrorCode::StepUpRequired, "sign in again, then repeat this"))
        }
    }
}

/// Lets administrators pass, and nobody else.
pub fn admin(session: &Session) -> Result<(), ApiError> {
    if session.is_admin { Ok(()) } else { Err(forbidden("this is for administrators")) }
}

/// Lets the account itself and administrators pass. Whether the account exists is not told to anybody else.
pub fn owner_or_admin(session: &Session, user_id: Uuid) -> Result<(), ApiError> {
    let may = session.user_id == user_id || session.is_admin;
    if may { Ok(()) } else { Err(forbidden("this is not yours")) }
}

fn forbidden(why: &'static str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, why)
}

impl NodeAuthenticator {
    /// Wires `NODE_AUTH_MAX_AGE_SECONDS` (900) and the [`Authenticator`].
    pub fn wire(config: &mut Config) -> Self {
        let max_age = config.seconds("NODE_AUTH_MAX_AGE_SECONDS", 900, 60..=86_400);
        Self { sessions: Authenticator::wire(config), max_age }
    }

    /// As [`Authenticator::begin`], unless the node's last signature is too old.
    pub async fn begin<'c>(
        &self,
        connection: &'c mut Connection,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<(Transaction<'c>, Session), ApiError> {
        let (tx, session) = self.sessions.begin(connection, bearer, now).await?;
        self.check(session, now).map(|session| (tx, session))
    }

    /// As [`Authenticator::enter`], unless the node's last signature is too old.
    pub async fn enter(
        &self,
        client: &impl GenericClient,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<Session, ApiError> {
        self.check(self.sessions.enter(client, bearer, now).await?, now)
    }

    fn check(&self, session: Session, now: OffsetDateTime) -> Result<Session, ApiError> {
        if session.node_auth_is_fresh(now, self.max_age) {
            Ok(session)
        } else {
            Err(ApiError::new(ErrorCode::StepUpRequired, "sign in with your node again, then repeat this"))
        }
    }
}

/// The answer to whoever is not signed in.
pub fn unauthenticated() -> ApiError {
    ApiError::new(ErrorCode::Unauthenticated, "a valid access token is needed")
}
