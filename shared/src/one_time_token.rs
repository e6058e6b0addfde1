//! What is mailed to somebody and brought back once: it proves the mailbox it was sent to.

use data_encoding::BASE64URL_NOPAD;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::crypto::{Secret, sha256};
use crate::db::{DbError, GenericClient, Row, Type, delete_in_batches, execute, query_opt};
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

    /// How many an account has at once. Where anybody may ask for one, several: else whoever asks again would make the
    /// mail in its owner's hands worthless.
    const fn kept(self) -> i64 {
        match self {
            Self::LinkEmail => 1,
            Self::VerifyEmail | Self::ResetPassword => 5,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::VerifyEmail, Self::LinkEmail, Self::ResetPassword].into_iter().find(|it| it.name() == name)
    }
}

/// A token that may be taken.
#[derive(Debug)]
pub struct Standing {
    pub user_id: Uuid,
    pub purpose: Purpose,
}

/// A token that came back.
#[derive(Debug)]
pub struct Taken {
    pub user_id: Uuid,
    pub purpose: Purpose,
    /// The mailbox it was sent to.
    pub email: Email,
}

/// Makes a token, of which only the hash is kept. The account keeps its newest ones of a purpose: one for linking, five
/// of what anybody may ask for. For an account that is not there nothing is written, by the same statement.
pub async fn issue(
    client: &impl GenericClient,
    (user_id, purpose, email): (Uuid, Purpose, &Email),
    random: &Random,
    now: OffsetDateTime,
) -> Result<Secret<String>, DbError> {
    let token = Secret::new(BASE64URL_NOPAD.encode(&random.bytes::<32>()));
    execute(
        client,
        "WITH older AS (DELETE FROM one_time_tokens WHERE hash = ANY (ARRAY(
             SELECT hash FROM one_time_tokens WHERE user_id = $2 AND purpose = $3
             ORDER BY created_at DESC, hash OFFSET $7)))
         INSERT INTO one_time_tokens (hash, user_id, purpose, email, created_at, expires_at)
         SELECT $1, u.id, $3, $4, $5, $6 FROM users u WHERE u.id = $2",
        &[
            (&hash(token.expose()), Type::BYTEA),
            (&user_id, Type::UUID),
            (&purpose.name(), Type::TEXT),
            (&email.as_str(), Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&(now + purpose.lifetime()), Type::TIMESTAMPTZ),
            (&(purpose.kept() - 1), Type::INT8),
        ],
    )
    .await?;
    Ok(token)
}

/// Whose the token is, if it is good for one of the purposes. It stays so until it is taken.
pub async fn find(
    client: &impl GenericClient,
    token: &str,
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Option<Standing>, DbError> {
    let row = query_opt(
        client,
        "SELECT user_id, purpose FROM one_time_tokens WHERE hash = $1 AND purpose = ANY ($2) AND expires_at > $3",
        &[(&hash(token), Type::BYTEA), (&names(purposes), Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    row.map(|row| Ok(Standing { user_id: row.get("user_id"), purpose: purpose_of(&row)? })).transpose()
}

/// Takes the token away, if it is good for one of the purposes, and with it every other of the account for the same one:
/// they would prove what is proven. Of any number who bring it, one gets it; to the others, and when the transaction is
/// not committed to nobody, it is gone.
///
/// The account's row is locked before its tokens are, as by everybody who needs both.
pub async fn take(
    client: &impl GenericClient,
    token: &str,
    purposes: &[Purpose],
    now: OffsetDateTime,
) -> Result<Option<Taken>, DbError> {
    let locked = query_opt(
        client,
        "SELECT 1 FROM users WHERE id = (SELECT user_id FROM one_time_tokens WHERE hash = $1)
         FOR NO KEY UPDATE",
        &[(&hash(token), Type::BYTEA)],
    )
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    let row = query_opt(
        client,
        "WITH taken AS (
             DELETE FROM one_time_tokens WHERE hash = $1 AND purpose = ANY ($2) AND expires_at > $3
             RETURNING user_id, purpose, email
         ), others AS (
             DELETE FROM one_time_tokens o USING taken t
             WHERE o.user_id = t.user_id AND o.purpose = t.purpose AND o.hash <> $1
         )
         SELECT user_id, purpose, email FROM taken",
        &[(&hash(token), Type::BYTEA), (&names(purposes), Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    row.map(|row| {
        Ok(Taken {
            user_id: row.get("user_id"),
            purpose: purpose_of(&row)?,
            email: row.get::<_, &str>("email").parse().map_err(|_| unreadable())?,
        })
    })
    .transpose()
}

/// Takes the account's tokens for these purposes away.
pub async fn delete(client: &impl GenericClient, user_id: Uuid, purposes: &[Purpose]) -> Result<(), DbError> {
    execute(
        client,
        "DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = ANY ($2)",
        &[(&user_id, Type::UUID), (&names(purposes), Type::TEXT_ARRAY)],
    )
    .await?;
    Ok(())
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

fn purpose_of(row: &Row) -> Result<Purpose, DbError> {
    Purpose::from_name(row.get("purpose")).ok_or_else(unreadable)
}

fn unreadable() -> DbError {
    DbError::Other("a one-time token's row is not readable".into())
}

fn names(purposes: &[Purpose]) -> Vec<&'static str> {
    purposes.iter().map(|purpose| purpose.name()).collect()
}

/// Tokens hold 256 random bits, so that a plain hash of one tells nothing.
fn hash(token: &str) -> Vec<u8> {
    sha256(token.as_bytes()).to_vec()
}
