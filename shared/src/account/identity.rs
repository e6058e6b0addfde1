use time::OffsetDateTime;
use uuid::Uuid;

use super::IdentityKind;
use crate::db::{DbError, GenericClient, Row, Type, execute, query, query_opt};
use crate::email::Email;

const ONE_OWNER: &str = "identities_kind_subject_key";
const ONE_NODE: &str = "identities_one_node_per_user";
const ONE_OF_A_KIND: &str = "identities_one_of_a_kind";

/// Longer names are cut: they are for people to read.
const MAX_LABEL_CHARS: usize = 128;

/// Why an identity could not be given to an account.
#[derive(Debug)]
pub enum ClaimError {
    /// The DID is another account's.
    DidTaken,
    /// The node key is, or was, another account's.
    NodeTaken,
    /// The account has a node already.
    HasNode,
    /// The address is an account's, verified or not.
    EmailTaken,
    /// Another account is signed in to with it.
    IdentityTaken,
    /// The account has another one of its kind.
    HasOne,
    Db(DbError),
}

impl From<DbError> for ClaimError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl ClaimError {
    /// What the refusal of a statement that claims an identity of this kind means.
    pub(super) fn of(error: DbError, kind: IdentityKind) -> Self {
        match (error.constraint(), kind) {
            (Some(ONE_OWNER), IdentityKind::Did) => Self::DidTaken,
            (Some(ONE_OWNER), IdentityKind::Node) => Self::NodeTaken,
            (Some(ONE_OWNER), IdentityKind::Email) => Self::EmailTaken,
            (Some(ONE_OWNER), IdentityKind::Discord | IdentityKind::Privy) => Self::IdentityTaken,
            (Some(ONE_NODE), _) => Self::HasNode,
            (Some(ONE_OF_A_KIND), _) => Self::HasOne,
            _ => Self::Db(error),
        }
    }
}

/// An identity about to be an account's.
#[derive(Clone, Copy, Debug)]
pub struct NewIdentity<'a> {
    pub kind: IdentityKind,
    pub subject: &'a str,
    /// What its provider calls them.
    pub label: Option<&'a str>,
    /// When it was proven; `None` for an address whose mailbox has not answered.
    pub verified_at: Option<OffsetDateTime>,
}

/// An identity as its account sees it.
#[derive(Debug)]
pub struct Identity {
    pub kind: String,
    pub subject: String,
    pub label: Option<String>,
    pub created_at: OffsetDateTime,
    pub verified_at: Option<OffsetDateTime>,
}

/// Whose an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub user_id: Uuid,
    pub verified_at: Option<OffsetDateTime>,
    pub deleted_at: Option<OffsetDateTime>,
}

/// Gives an identity to an account.
pub async fn add(
    client: &impl GenericClient,
    user_id: Uuid,
    identity: &NewIdentity<'_>,
    now: OffsetDateTime,
) -> Result<(), ClaimError> {
    let label = identity.label.map(readable).filter(|label| !label.is_empty());
    let added = execute(
        client,
        "INSERT INTO identities (user_id, kind, subject, label, created_at, verified_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            (&user_id, Type::UUID),
            (&identity.kind.name(), Type::TEXT),
            (&identity.subject, Type::TEXT),
            (&label, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&identity.verified_at, Type::TIMESTAMPTZ),
        ],
    )
    .await;
    match added {
        Ok(_) => Ok(()),
        Err(error) => Err(ClaimError::of(error, identity.kind)),
    }
}

/// A provider's name for somebody, without what a terminal or a page could be led astray with.
fn readable(label: &str) -> String {
    label.chars().filter(|character| !character.is_control()).take(MAX_LABEL_CHARS).collect()
}

/// Makes an account that is signed in to by e-mail.
pub async fn create_with_email(
    client: &impl GenericClient,
    user_id: Uuid,
    email: &Email,
    verified_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), ClaimError> {
    let created = execute(
        client,
        "WITH account AS (INSERT INTO users (id, created_at, updated_at) VALUES ($1, $3, $3) RETURNING id)
         INSERT INTO identities (user_id, kind, subject, created_at, verified_at)
         SELECT id, 'email', $2, $3, $4 FROM account",
        &[
            (&user_id, Type::UUID),
            (&email.as_str(), Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&verified_at, Type::TIMESTAMPTZ),
        ],
    )
    .await;
    match created {
        Ok(_) => Ok(()),
        Err(error) => Err(ClaimError::of(error, IdentityKind::Email)),
    }
}

/// Notes that the mailbox answered, and says whether the address is the account's.
pub async fn verify_email(
    client: &impl GenericClient,
    user_id: Uuid,
    email: &Email,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let verified = execute(
        client,
        "UPDATE identities SET verified_at = coalesce(verified_at, $3)
         WHERE user_id = $1 AND kind = 'email' AND subject = $2 AND retired_at IS NULL",
        &[(&user_id, Type::UUID), (&email.as_str(), Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(verified == 1)
}

/// Whose an identity is; `None` when it is nobody's, or was retired.
pub async fn find(
    client: &impl GenericClient,
    kind: IdentityKind,
    subject: &str,
) -> Result<Option<Found>, DbError> {
    let row = query_opt(
        client,
        "SELECT i.user_id, i.verified_at, u.deleted_at FROM identities i JOIN users u ON u.id = i.user_id
         WHERE i.kind = $1 AND i.subject = $2 AND i.retired_at IS NULL",
        &[(&kind.name(), Type::TEXT), (&subject, Type::TEXT)],
    )
    .await?;
    Ok(row.map(|row| Found {
        user_id: row.get("user_id"),
        verified_at: row.get("verified_at"),
        deleted_at: row.get("deleted_at"),
    }))
}

/// How the account can be signed in to, oldest first.
pub async fn list(client: &impl GenericClient, user_id: Uuid) -> Result<Vec<Identity>, DbError> {
    let rows = query(
        client,
        "SELECT kind, subject, label, created_at, verified_at FROM identities
         WHERE user_id = $1 AND retired_at IS NULL ORDER BY created_at, kind, subject",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(rows.into_iter().map(Identity::from).collect())
}

impl From<Row> for Identity {
    fn from(row: Row) -> Self {
        Self {
            kind: row.get("kind"),
            subject: row.get("subject"),
            label: row.get("label"),
            created_at: row.get("created_at"),
            verified_at: row.get("verified_at"),
        }
    }
}
