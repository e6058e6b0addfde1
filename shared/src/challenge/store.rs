use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{ChallengeType, MAX_WRONG_ANSWERS, NewChallenge, Purpose};
use crate::db::{DbError, GenericClient, Row, Type, delete_in_batches, execute, query_opt};
use crate::lightning::{Did, Pubkey};

/// Stores a challenge with the text its signature will be checked against.
pub async fn create(
    client: &impl GenericClient,
    challenge: &NewChallenge<'_>,
    text: &str,
) -> Result<(), DbError> {
    let (amount_msat, destination) = match &challenge.purpose {
        Purpose::StepUp { amount_msat, destination } => (Some(amount_msat), Some(destination)),
        _ => (None, None),
    };
    let (user_id, new_pubkey) = match &challenge.purpose {
        Purpose::NodeLink { user_id, new, .. } | Purpose::NodeRebind { user_id, new, .. } => {
            (Some(user_id), Some(new.to_string()))
        }
        _ => (None, None),
    };
    execute(
        client,
        "INSERT INTO challenges
             (id, did, challenge_type, title, amount_msat, destination, user_id, new_pubkey, issued_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            (&challenge.id, Type::UUID),
            (&challenge.did.to_string(), Type::TEXT),
            (&challenge.purpose.challenge_type().name(), Type::TEXT),
            (&text, Type::TEXT),
            (&amount_msat, Type::INT8),
            (&destination, Type::TEXT),
            (&user_id, Type::UUID),
            (&new_pubkey, Type::TEXT),
            (&challenge.issued_at, Type::TIMESTAMPTZ),
            (&challenge.expires_at(), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    if let Purpose::NodeLink { session_id, .. } = &challenge.purpose {
        execute(
            client,
            "UPDATE challenges SET session_id = $2 WHERE id = $1",
            &[(&challenge.id, Type::UUID), (session_id, Type::UUID)],
        )
        .await?;
    }
    Ok(())
}

/// A challenge as it was given out, together with the account its DID belongs to.
#[derive(Debug)]
pub struct Challenge {
    pub id: Uuid,
    pub did: String,
    pub kind: ChallengeType,
    pub title: String,
    pub amount_msat: Option<i64>,
    pub destination: Option<String>,
    pub user_id: Option<Uuid>,
    pub new_pubkey: Option<Pubkey>,
    pub wrong_answers: i32,
    pub account: Option<Account>,
}

/// The account a DID belongs to, and the key of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    pub user_id: Uuid,
    pub pubkey: Option<Pubkey>,
}

/// Why a challenge cannot be answered.
#[derive(Debug)]
pub enum ChallengeError {
    /// Unknown, another DID's, used, or expired: which of them is nobody's business.
    Gone,
    /// It had its [`MAX_WRONG_ANSWERS`].
    TooManyAnswers,
    Db(DbError),
}

impl From<DbError> for ChallengeError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// The open challenge `id`, if it was given to `did`.
pub async fn find_open(
    client: &impl GenericClient,
    id: Uuid,
    did: &Did,
    now: OffsetDateTime,
) -> Result<Challenge, ChallengeError> {
    let row = query_opt(
        client,
        "SELECT c.id, c.did, c.challenge_type, c.title, c.amount_msat, c.destination,
                c.user_id, c.new_pubkey, c.wrong_answers, i.user_id AS account_id, n.subject AS account_pubkey
         FROM challenges c
         LEFT JOIN identities i ON i.kind = 'did' AND i.subject = c.did AND i.retired_at IS NULL
         LEFT JOIN identities n ON n.user_id = i.user_id AND n.kind = 'node' AND n.retired_at IS NULL
         WHERE c.id = $1 AND c.did = $2 AND c.status = 'pending' AND c.expires_at > $3",
        &[(&id, Type::UUID), (&did.to_string(), Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?
    .ok_or(ChallengeError::Gone)?;
    let challenge = Challenge::try_from(row)?;
    if challenge.wrong_answers >= MAX_WRONG_ANSWERS {
        return Err(ChallengeError::TooManyAnswers);
    }
    Ok(challenge)
}

/// Notes a signature that was not the one asked for.
pub async fn note_wrong_answer(client: &impl GenericClient, id: Uuid) -> Result<(), DbError> {
    execute(
        client,
        "UPDATE challenges SET wrong_answers = wrong_answers + 1 WHERE id = $1",
        &[(&id, Type::UUID)],
    )
    .await?;
    Ok(())
}

/// Spends the challenge. Of any number of valid answers, one gets here first; to the others it is gone.
pub async fn confirm(
    client: &impl GenericClient,
    challenge: &Challenge,
    now: OffsetDateTime,
) -> Result<(), ChallengeError> {
    let spent = execute(
        client,
        "UPDATE challenges SET status = 'confirmed', confirmed_at = $3
         WHERE id = $1 AND did = $2 AND status = 'pending' AND expires_at > $3 AND wrong_answers < $4",
        &[
            (&challenge.id, Type::UUID),
            (&challenge.did, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&MAX_WRONG_ANSWERS, Type::INT4),
        ],
    )
    .await?;
    if spent == 1 { Ok(()) } else { Err(ChallengeError::Gone) }
}

/// Removes challenges that expired before `before` and returns how many.
pub async fn delete_expired(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM challenges
         WHERE expires_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM challenges WHERE expires_at < $1 LIMIT $2))",
        before,
    )
    .await
}

impl TryFrom<Row> for Challenge {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let kind: &str = row.get("challenge_type");
        let account_id: Option<Uuid> = row.get("account_id");
        let account_pubkey = key(&row, "account_pubkey")?;
        Ok(Self {
            id: row.get("id"),
            did: row.get("did"),
            kind: kind
                .parse()
                .map_err(|problem| DbError::Other(format!("challenge_type {problem}").into()))?,
            title: row.get("title"),
            amount_msat: row.get("amount_msat"),
            destination: row.get("destination"),
            user_id: row.get("user_id"),
            new_pubkey: key(&row, "new_pubkey")?,
            wrong_answers: row.get("wrong_answers"),
            account: account_id.map(|user_id| Account { user_id, pubkey: account_pubkey }),
        })
    }
}

fn key(row: &Row, column: &str) -> Result<Option<Pubkey>, DbError> {
    let text: Option<&str> = row.get(column);
    text.map(Pubkey::from_str).transpose().map_err(|error| DbError::Other(Box::new(error)))
}
