use time::OffsetDateTime;
use uuid::Uuid;

use super::identity::{ClaimError, NewIdentity, add};
use super::link::LinkError;
use super::{IdentityKind, Standing};
use crate::db::{DbError, GenericClient, Type, execute, query, query_opt};
use crate::lightning::{Did, Pubkey};

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
    // That a key signed, or a DID was bound to one, is all the proof these have.
    add(client, user_id, &NewIdentity { kind, subject, label: None, verified_at: Some(now) }, now).await
}

/// Gives the account that asked for it the node key that signed, by the rules of [`super::may_link`] and in one
/// statement; `None` when the session that asked for the challenge has ended, as those of a deleted account have.
pub async fn link_node(
    client: &impl GenericClient,
    (user_id, challenge_id): (Uuid, Uuid),
    pubkey: Pubkey,
    now: OffsetDateTime,
) -> Result<Option<Standing>, LinkError> {
    let linked = query_opt(
        client,
        // Both rows are held: whoever is just ending the session is waited for.
        "WITH account AS (
             SELECT u.id, account_is_unproven(u.id) AS unproven,
                    EXISTS (SELECT 1 FROM admins WHERE user_id = $1) AS admin
             FROM users u JOIN sessions s ON s.user_id = u.id JOIN challenges c ON c.session_id = s.id
             WHERE u.id = $1 AND u.deleted_at IS NULL AND c.id = $4 AND s.revoked_at IS NULL
               AND s.idle_expires_at > $3 AND s.absolute_expires_at > $3
             FOR NO KEY UPDATE OF u FOR SHARE OF s
         ), claimed AS (
             INSERT INTO identities (user_id, kind, subject, created_at, verified_at)
             SELECT id, 'node', $2, $3, $3 FROM account WHERE NOT unproven
         )
         SELECT unproven, admin FROM account",
        &[
            (&user_id, Type::UUID),
            (&pubkey.to_string(), Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&challenge_id, Type::UUID),
        ],
    )
    .await;
    match linked {
        Err(error) => Err(LinkError::Claim(ClaimError::of(error, IdentityKind::Node))),
        Ok(None) => Ok(None),
        Ok(Some(row)) if row.get("unproven") => Err(LinkError::EmailNotVerified),
        Ok(Some(row)) => Ok(Some(Standing { admin: row.get("admin") })),
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

/// The identities an account can be signed in to with by node, as far as the caller's role may see them.
pub struct Identities {
    dids: Vec<String>,
    pubkey: Option<String>,
    /// Nothing but an address whose mailbox has not answered: see [`super::may_link`].
    pub unproven: bool,
}

impl Identities {
    pub fn has_did(&self, did: &Did) -> bool {
        let did = did.to_string();
        self.dids.contains(&did)
    }

    /// The account never signed in with a node.
    pub fn has_no_did(&self) -> bool {
        self.dids.is_empty()
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
        "SELECT kind, subject, account_is_unproven($1) AS unproven FROM identities
         WHERE user_id = $1 AND retired_at IS NULL",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    let of_kind =
        |kind: IdentityKind| rows.iter().filter(move |row| row.get::<_, &str>("kind") == kind.name());
    Ok(Identities {
        dids: of_kind(IdentityKind::Did).map(|row| row.get("subject")).collect(),
        pubkey: of_kind(IdentityKind::Node).map(|row| row.get("subject")).next(),
        unproven: rows.first().is_some_and(|row| row.get("unproven")),
    })
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

/// What became of a sign-in whose signature was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeLogin {
    Noted(Standing),
    /// The key is not the account's any more.
    NotItsNode,
    /// The account was deleted.
    Deleted,
}

/// Notes that the account's node signed, if `pubkey` is its node still and the account stands. Until the transaction
/// ends nobody can retire the key or delete the account: a rebind or a deletion comes before, or ends what this one
/// begins.
pub async fn note_login(
    client: &impl GenericClient,
    user_id: Uuid,
    pubkey: Pubkey,
    now: OffsetDateTime,
) -> Result<NodeLogin, DbError> {
    let row = query_opt(
        client,
        "WITH node AS (
             SELECT user_id FROM identities
             WHERE user_id = $1 AND kind = 'node' AND subject = $3 AND retired_at IS NULL FOR SHARE
         )
         UPDATE users SET last_login_at = CASE WHEN deleted_at IS NULL THEN $2 ELSE last_login_at END
         FROM node WHERE id = node.user_id
         RETURNING deleted_at IS NOT NULL AS deleted, EXISTS (SELECT 1 FROM admins WHERE user_id = $1) AS admin",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ), (&pubkey.to_string(), Type::TEXT)],
    )
    .await?;
    Ok(match row {
        None => NodeLogin::NotItsNode,
        Some(row) if row.get("deleted") => NodeLogin::Deleted,
        Some(row) => NodeLogin::Noted(Standing { admin: row.get("admin") }),
    })
}
