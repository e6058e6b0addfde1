//! Accounts and the identities they are signed in to with.
//!
//! Which identity belongs to whom is decided by one constraint, `identities_kind_subject_key`; every function
//! here that claims one reports the constraint's refusal as the error it means.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, execute, query, query_opt};
use crate::lightning::{Did, Pubkey};

const ONE_OWNER: &str = "identities_kind_subject_key";
const ONE_NODE: &str = "identities_one_node_per_user";

/// How an account is signed in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    Did,
    Node,
    Email,
    Discord,
    Privy,
}

impl IdentityKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Did => "did",
            Self::Node => "node",
            Self::Email => "email",
            Self::Discord => "discord",
            Self::Privy => "privy",
        }
    }
}

/// Why an identity could not be given to an account.
#[derive(Debug)]
pub enum ClaimError {
    /// The DID is another account's.
    DidTaken,
    /// The node key is, or was, another account's.
    NodeTaken,
    /// The account has a node already.
    HasNode,
    Db(DbError),
}

impl From<DbError> for ClaimError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// Makes an account with its first DID and its node's key.
pub async fn create(
    client: &impl GenericClient,
    user_id: Uuid,
    did: &Did,
    pubkey: Pubkey,
    now: OffsetDateTime,
) -> Result<(), ClaimError> {
    execute(
        client,
        "INSERT INTO users (id, created_at, updated_at, last_login_at) VALUES ($1, $2, $2, $2)",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    claim_node(client, user_id, pubkey, now).await?;
    claim_did(client, user_id, did, now).await
}

/// Adds a DID to an account.
pub async fn claim_did(
    client: &impl GenericClient,
    user_id: Uuid,
    did: &Did,
    now: OffsetDateTime,
) -> Result<(), ClaimError> {
    claim(client, user_id, IdentityKind::Did, &did.to_string(), now).await
}

/// Gives an account the node key it is signed in to with.
pub async fn claim_node(
    client: &impl GenericClient,
    user_id: Uuid,
    pubkey: Pubkey,
    now: OffsetDateTime,
) -> Result<(), ClaimError> {
    claim(client, user_id, IdentityKind::Node, &pubkey.to_string(), now).await
}

async fn claim(
    client: &impl GenericClient,
    user_id: Uuid,
    kind: IdentityKind,
    subject: &str,
    now: OffsetDateTime,
) -> Result<(), ClaimError> {
    let claimed = execute(
        client,
        "INSERT INTO identities (user_id, kind, subject, created_at) VALUES ($1, $2, $3, $4)",
        &[
            (&user_id, Type::UUID),
            (&kind.name(), Type::TEXT),
            (&subject, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await;
    match claimed {
        Ok(_) => Ok(()),
        Err(error) => Err(match (error.constraint(), kind) {
            (Some(ONE_OWNER), IdentityKind::Did) => ClaimError::DidTaken,
            (Some(ONE_OWNER), IdentityKind::Node) => ClaimError::NodeTaken,
            (Some(ONE_NODE), _) => ClaimError::HasNode,
            _ => ClaimError::Db(error),
        }),
    }
}

/// The account a node key belongs to. A key that was retired belongs to nobody any more.
pub async fn find_by_node(client: &impl GenericClient, pubkey: Pubkey) -> Result<Option<Uuid>, DbError> {
    let row = query_opt(
        client,
        "SELECT user_id FROM identities WHERE kind = 'node' AND subject = $1 AND retired_at IS NULL",
        &[(&pubkey.to_string(), Type::TEXT)],
    )
    .await?;
    Ok(row.map(|row| row.get("user_id")))
}

/// The identities an account can be signed in to with, as far as the caller's role may see them.
pub struct Identities {
    dids: Vec<String>,
    pubkey: Option<String>,
}

impl Identities {
    pub fn has_did(&self, did: &Did) -> bool {
        let did = did.to_string();
        self.dids.contains(&did)
    }

    pub fn has_node(&self, pubkey: Pubkey) -> bool {
        self.pubkey.as_deref() == Some(pubkey.to_string().as_str())
    }

    /// The key of the account's node.
    pub fn pubkey(&self) -> Option<Pubkey> {
        self.pubkey.as_deref().and_then(|text| text.parse().ok())
    }
}

pub async fn identities(client: &impl GenericClient, user_id: Uuid) -> Result<Identities, DbError> {
    let rows = query(
        client,
        "SELECT kind, subject FROM identities
         WHERE user_id = $1 AND retired_at IS NULL AND kind IN ('did', 'node')",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    let of_kind = |kind: IdentityKind| {
        rows.iter().filter(move |row| row.get::<_, &str>("kind") == kind.name()).map(|row| row.get("subject"))
    };
    Ok(Identities { dids: of_kind(IdentityKind::Did).collect(), pubkey: of_kind(IdentityKind::Node).next() })
}

/// Whether an identity that is not this account's is somebody else's. Row-level security hides other
/// accounts, so the answer comes from trying to take it; the caller rolls its transaction back.
pub async fn is_taken(
    client: &impl GenericClient,
    user_id: Uuid,
    kind: IdentityKind,
    subject: &str,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let taken = execute(
        client,
        "INSERT INTO identities (user_id, kind, subject, created_at, retired_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT ON CONSTRAINT identities_kind_subject_key DO NOTHING",
        &[
            (&user_id, Type::UUID),
            (&kind.name(), Type::TEXT),
            (&subject, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(taken == 0)
}

/// Retires the account's node key, and every DID that names it, for ever.
pub async fn retire_node(
    client: &impl GenericClient,
    user_id: Uuid,
    pubkey: Pubkey,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let named = [Did::Lightning(pubkey).to_string(), Did::Key(pubkey).to_string()];
    execute(
        client,
        "UPDATE identities SET retired_at = $4
         WHERE user_id = $1 AND retired_at IS NULL
           AND ((kind = 'node' AND subject = $2) OR (kind = 'did' AND subject = ANY ($3)))",
        &[
            (&user_id, Type::UUID),
            (&pubkey.to_string(), Type::TEXT),
            (&named.as_slice(), Type::TEXT_ARRAY),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Notes that the account's node signed, if `pubkey` is its node still, and says whether it is. Until the
/// transaction ends nobody can retire the key: a rebind comes before, or ends what this one begins.
pub async fn note_login(
    client: &impl GenericClient,
    user_id: Uuid,
    pubkey: Pubkey,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let noted = execute(
        client,
        "WITH node AS (
             SELECT user_id FROM identities
             WHERE user_id = $1 AND kind = 'node' AND subject = $3 AND retired_at IS NULL FOR SHARE
         )
         UPDATE users SET last_login_at = $2 FROM node WHERE id = node.user_id",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ), (&pubkey.to_string(), Type::TEXT)],
    )
    .await?;
    Ok(noted == 1)
}

/// Whether the account is an administrator's.
pub async fn is_admin(client: &impl GenericClient, user_id: Uuid) -> Result<bool, DbError> {
    let row = query_opt(client, "SELECT 1 FROM admins WHERE user_id = $1", &[(&user_id, Type::UUID)]).await?;
    Ok(row.is_some())
}
