//! Challenges: a text of ours that a node signs, once, for one purpose, within minutes.
//!
//! The text is the whole agreement. It names our domain, so that a signature given here is worth nothing
//! elsewhere; its purpose, so that a sign-in cannot be spent on money; and for money, the amount and where it
//! goes. The server stores its copy and verifies over that, never over a text that came back.

use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::Config;
use crate::db::{DbError, GenericClient, Row, Type, execute, query_opt};
use crate::lightning::{Did, Pubkey};

/// Wrong answers a challenge bears before it takes no more.
pub const MAX_WRONG_ANSWERS: i32 = 10;
/// No text to sign is longer; the parts are bounded so that this always holds.
pub const MAX_TEXT_BYTES: usize = 1024;
pub const MAX_DOMAIN_BYTES: usize = 128;
pub const MAX_DESTINATION_BYTES: usize = 512;
/// All the bitcoin there will ever be.
pub const MAX_AMOUNT_MSAT: i64 = 21_000_000 * 100_000_000 * 1_000;

/// What a signature is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeType {
    DefaultRegistration,
    LitdAccountCreation,
    MnemonicLogin,
    QrcodeLogin,
    PrivkeyLogin,
    SecurestorageLogin,
    SendBtcOrInternalAccountRebalance,
    NodeLink,
    NodeRebind,
}

impl ChallengeType {
    pub const ALL: [Self; 9] = [
        Self::DefaultRegistration,
        Self::LitdAccountCreation,
        Self::MnemonicLogin,
        Self::QrcodeLogin,
        Self::PrivkeyLogin,
        Self::SecurestorageLogin,
        Self::SendBtcOrInternalAccountRebalance,
        Self::NodeLink,
        Self::NodeRebind,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::DefaultRegistration => "default_registration",
            Self::LitdAccountCreation => "litd_account_creation",
            Self::MnemonicLogin => "mnemonic_login",
            Self::QrcodeLogin => "qrcode_login",
            Self::PrivkeyLogin => "privkey_login",
            Self::SecurestorageLogin => "securestorage_login",
            Self::SendBtcOrInternalAccountRebalance => "send_btc_or_internal_account_rebalance",
            Self::NodeLink => "node_link",
            Self::NodeRebind => "node_rebind",
        }
    }
}

impl FromStr for ChallengeType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or("is not a challenge type")
    }
}

impl<'de> Deserialize<'de> for ChallengeType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Wires `APP_DOMAIN`, the host that stands in every text to sign.
pub fn domain(config: &mut Config) -> String {
    let domain = config.text("APP_DOMAIN");
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:".contains(&byte);
    if domain.len() > MAX_DOMAIN_BYTES || !domain.bytes().all(allowed) {
        config.problem("APP_DOMAIN is not a host name in lower case");
    }
    domain
}

/// What is asked for, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One of the types that end in a session.
    SignIn(ChallengeType),
    /// Approval of one payment.
    StepUp { amount_msat: i64, destination: String },
    /// A key for an account that has none.
    NodeLink { user_id: Uuid, new: Pubkey },
    /// Another key for an account that has one.
    NodeRebind { user_id: Uuid, old: Pubkey, new: Pubkey },
}

impl Purpose {
    pub const fn challenge_type(&self) -> ChallengeType {
        match self {
            Self::SignIn(kind) => *kind,
            Self::StepUp { .. } => ChallengeType::SendBtcOrInternalAccountRebalance,
            Self::NodeLink { .. } => ChallengeType::NodeLink,
            Self::NodeRebind { .. } => ChallengeType::NodeRebind,
        }
    }
}

/// A challenge about to be given out.
pub struct NewChallenge<'a> {
    pub id: Uuid,
    pub did: &'a Did,
    pub purpose: Purpose,
    pub nonce: [u8; 32],
    pub issued_at: OffsetDateTime,
    pub lifetime: Duration,
}

impl NewChallenge<'_> {
    pub fn expires_at(&self) -> OffsetDateTime {
        self.issued_at + self.lifetime
    }

    /// The exact text to sign: lines ended by LF, none at the end, printable ASCII.
    pub fn text(&self, domain: &str) -> String {
        let mut text = format!(
            "satchel-login:v1\ndomain: {domain}\npurpose: {}\ndid: {}\n",
            self.purpose.challenge_type().name(),
            self.did
        );
        // Writing to a string does not fail.
        let _ = match &self.purpose {
            Purpose::SignIn(_) => Ok(()),
            Purpose::StepUp { amount_msat, destination } => {
                writeln!(text, "amount_msat: {amount_msat}\ndestination: {destination}")
            }
            Purpose::NodeLink { new, .. } => writeln!(text, "new_lightning_pubkey: {new}"),
            Purpose::NodeRebind { old, new, .. } => {
                writeln!(text, "lightning_pubkey: {old}\nnew_lightning_pubkey: {new}")
            }
        };
        let _ = write!(
            text,
            "challenge: {}\nnonce: {}\nissued: {}\nexpires: {}",
            self.id,
            HEXLOWER.encode(&self.nonce),
            self.issued_at.unix_timestamp(),
            self.expires_at().unix_timestamp()
        );
        text
    }
}

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
        Purpose::NodeLink { user_id, new } | Purpose::NodeRebind { user_id, new, .. } => {
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
    execute(client, "DELETE FROM challenges WHERE expires_at < $1", &[(&before, Type::TIMESTAMPTZ)]).await
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
            kind: kind.parse().map_err(|problem| DbError::Other(format!("challenge_type {problem}").into()))?,
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
