//! What is mailed to somebody and brought back once: it proves the mailbox it was sent to.

use data_encoding::BASE64URL_NOPAD;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::crypto::{Secret, sha256};
use crate::db::{DbError, GenericClient, Type, delete_in_batches, execute, query_opt};
use crate::email::Email;
use crate::random::Random;

/// What a token may be brought back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    VerifyEmail,
    LinkEmail,
    ResetPassword,
}

impl Purpose {
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::LinkEmail => "link_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// How long it is good for.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::VerifyEmail | Self::LinkEmail => Duration::hours(24),
            Self::ResetPassword => Duration::hours(1),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::VerifyEmail, Self::LinkEmail, Self::ResetPassword].into_iter().find(|it| it.name() == name)
    }
}

/// A token that came back.
#[derive(Debug)]
pub struct Taken {
    pub user_id: Uuid,
    pub purpose: Purpose,
    /// The mailbox it was sent to.
    pub email: Email,
}

/// Makes a token, of which only the hash is kept. It replaces the account's older ones for the same purpose. For an
/// account that is not there nothing is written, by the same statement.
pub async fn issue(
    client: &impl GenericClient,
    (user_id, purpose, email): (Uuid, Purpose, &Email),
    random: &Random,
    now: OffsetDateTime,
) -> Result<Secret<String>, DbError> {
    let token = Secret::new(BASE64URL_NOPAD.encode(&random.bytes::<32>()));
    execute(
        client,
        "WITH older AS (DELETE FROM one_time_tokens WHERE user_id = $2 AND purpose = $3)
         INSERT INTO one_time_tokens (hash, user_id, purpose, email, created_at, expires_at)
         SELECT $1, u.id, $3, $4, $5, $6 FROM users u WHERE u.id = $2",
        &[
            (&hash(token.expose()), Type::BYTEA),
            (&user_id, Type::UUID),
            (&purpose.name(), Type::TEXT),
            (&email.as_str(), Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&(now + purpose.lifetime()), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(token)
}

/// Whether the token is good for one of the purposes. It stays so until it is taken.
pub async fn is_good(
    client: &impl GenericClient,
    token: &str,
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let row = query_opt(
        client,
        "SELECT 1 FROM one_time_tokens WHERE hash = $1 AND purpose = ANY ($2) AND expires_at > $3",
        &[(&hash(token), Type::BYTEA), (&names(purposes), Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.is_some())
}

/// Takes the token away, if it is good for one of the purposes. Of any number who bring it, one gets it; to the
/// others, and when the transaction is not committed to nobody, it is gone.
pub async fn take(
    client: &impl GenericClient,
    token: &str,
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Option<Taken>, DbError> {
    let row = query_opt(
        client,
        "DELETE FROM one_time_tokens WHERE hash = $1 AND purpose = ANY ($2) AND expires_at > $3
         RETURNING user_id, purpose, email",
        &[(&hash(token), Type::BYTEA), (&names(purposes), Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    row.map(|row| {
        let unreadable = || DbError::Other("a one-time token's row is not readable".into());
        Ok(Taken {
            user_id: row.get("user_id"),
            purpose: Purpose::from_name(row.get("purpose")).ok_or_else(unreadable)?,
            email: row.get::<_, &str>("email").parse().map_err(|_| unreadable())?,
        })
    })
    .transpose()
}

/// Takes all tokens of the account away: what they would prove no longer counts.
pub async fn delete_all(client: &impl GenericClient, user_id: Uuid) -> Result<(), DbError> {
    execute(client, "DELETE FROM one_time_tokens WHERE user_id = $1", &[(&user_id, Type::UUID)]).await?;
    Ok(())
}

/// Removes tokens that expired before `before` and returns how many.
pub async fn delete_expired(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM one_time_tokens
         WHERE expires_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM one_time_tokens WHERE expires_at < $1 LIMIT $2))",
        before,
    )
    .await
}

fn names(purposes: &[Purpose]) -> Vec<&'static str> {
    purposes.iter().map(|purpose| purpose.name()).collect()
}

/// Tokens hold 256 random bits, so that a plain hash of one tells nothing.
fn hash(token: &str) -> Vec<u8> {
    sha256(token.as_bytes()).to_vec()
}
