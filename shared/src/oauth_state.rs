//! Sign-ins that are away at a provider. Each comes back once, within ten minutes, to the browser it left from.

use data_encoding::BASE64URL_NOPAD;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::crypto::{Secret, sha256};
use crate::db::{DbError, GenericClient, Type, delete_in_batches, execute, query_opt};
use crate::random::Random;

/// How long somebody may take there.
pub const LIFETIME: Duration = Duration::minutes(10);

/// What goes along: one half through the provider, the other in the browser's cookie.
pub struct Departure {
    pub state: Secret<String>,
    pub cookie: Secret<String>,
}

/// What was noted of a sign-in that came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Returned {
    /// The account to link to; `None` signs in.
    pub user_id: Option<Uuid>,
    /// Where the provider was to send the browser.
    pub redirect_uri: String,
}

/// Notes that somebody leaves. Only hashes are kept: whoever reads the table can bring nothing back.
pub async fn depart(
    client: &impl GenericClient,
    (user_id, redirect_uri): (Option<Uuid>, &str),
    random: &Random,
    now: OffsetDateTime,
) -> Result<Departure, DbError> {
    let [state, cookie] = [(); 2].map(|()| Secret::new(BASE64URL_NOPAD.encode(&random.bytes::<32>())));
    execute(
        client,
        "INSERT INTO oauth_states (hash, cookie_hash, user_id, redirect_uri, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            (&hash(state.expose()), Type::BYTEA),
            (&hash(cookie.expose()), Type::BYTEA),
            (&user_id, Type::UUID),
            (&redirect_uri, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&(now + LIFETIME), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(Departure { state, cookie })
}

/// Takes back what was noted, if the state came to the browser it was given to. Of any number who bring it, one gets
/// it; a browser that brings no cookie, or another one, takes nothing from the browser that has it.
pub async fn take(
    client: &impl GenericClient,
    (state, cookie): (&str, &str),
    now: OffsetDateTime,
) -> Result<Option<Returned>, DbError> {
    let row = query_opt(
        client,
        "DELETE FROM oauth_states WHERE hash = $1 AND cookie_hash = $2 AND expires_at > $3
         RETURNING user_id, redirect_uri",
        &[(&hash(state), Type::BYTEA), (&hash(cookie), Type::BYTEA), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.map(|row| Returned { user_id: row.get("user_id"), redirect_uri: row.get("redirect_uri") }))
}

/// The PKCE verifier of the sign-in a cookie belongs to. It follows from the cookie, so that it is kept nowhere.
pub fn verifier(cookie: &str) -> Secret<String> {
    Secret::new(BASE64URL_NOPAD.encode(&sha256(format!("pkce{cookie}").as_bytes())))
}

/// Removes what expired before `before` and returns how many.
pub async fn delete_expired(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM oauth_states
         WHERE expires_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM oauth_states WHERE expires_at < $1 LIMIT $2))",
        before,
    )
    .await
}

/// Both hold 256 random bits, so that a plain hash of one tells nothing.
fn hash(token: &str) -> Vec<u8> {
    sha256(token.as_bytes()).to_vec()
}
