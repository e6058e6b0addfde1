//! Who is asking: a bearer token that is ours, and a session that still stands.

use std::time::Duration;

use time::OffsetDateTime;

use super::{ApiError, ErrorCode, Request};
use crate::config::Config;
use crate::db::GenericClient;
use crate::session::{self, Session};
use crate::token::{self, TokenVerifier};

/// Turns a request's bearer token into a standing session.
pub struct Authenticator(TokenVerifier);

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
    /// Wires `ISSUER_URL` and `TOKEN_AUDIENCE`.
    pub fn wire(config: &mut Config) -> Self {
        Self(TokenVerifier::wire(config))
    }

    /// Begins the work of the token's session in this transaction, which from here sees that account's rows
    /// only.
    pub async fn enter(
        &self,
        client: &impl GenericClient,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<Session, ApiError> {
        let claims = self.0.access(client, bearer.0, now).await?;
        session::enter(client, claims.sub, claims.sid, now).await?.ok_or_else(unauthenticated)
    }
}

impl NodeAuthenticator {
    /// Wires `NODE_AUTH_MAX_AGE_SECONDS` (900) and the [`Authenticator`].
    pub fn wire(config: &mut Config) -> Self {
        let max_age = config.seconds("NODE_AUTH_MAX_AGE_SECONDS", 900, 60..=86_400);
        Self { sessions: Authenticator::wire(config), max_age }
    }

    /// As [`Authenticator::enter`], unless the node's last signature is too old.
    pub async fn enter(
        &self,
        client: &impl GenericClient,
        bearer: &Bearer<'_>,
        now: OffsetDateTime,
    ) -> Result<Session, ApiError> {
        let session = self.sessions.enter(client, bearer, now).await?;
        if session.node_auth_is_fresh(now, self.max_age) {
            Ok(session)
        } else {
            Err(ApiError::new(ErrorCode::StepUpRequired, "sign in with your node again, then repeat this"))
        }
    }
}

fn unauthenticated() -> ApiError {
    ApiError::new(ErrorCode::Unauthenticated, "a valid access token is needed")
}
