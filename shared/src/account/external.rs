use time::OffsetDateTime;
use uuid::Uuid;

use super::{ClaimError, Found, IdentityKind, NewIdentity, add, find};
use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::email::Email;

/// Somebody a provider vouches for.
#[derive(Debug)]
pub struct External<'a> {
    /// Discord or Privy.
    pub kind: IdentityKind,
    pub subject: &'a str,
    pub label: Option<&'a str>,
    /// Their address, if the provider says that it proved it. What it has not proven is not passed on: it may be
    /// anybody's.
    pub proven_email: Option<&'a Email>,
}

/// How they came to their account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was theirs already.
    Back(Uuid),
    /// The address is that of an account whose mailbox answered, and both sides proved it.
    ToJoin(Uuid),
    /// A new one.
    Anew(Uuid),
}

impl Came {
    pub const fn user_id(self) -> Uuid {
        match self {
            Self::Back(user_id) | Self::ToJoin(user_id) | Self::Anew(user_id) => user_id,
        }
    }
}

/// Why they came to no account.
#[derive(Debug)]
pub enum ComeError {
    /// Theirs was deleted.
    Deleted,
    Claim(ClaimError),
}

impl From<DbError> for ComeError {
    fn from(error: DbError) -> Self {
        Self::Claim(error.into())
    }
}

impl From<ClaimError> for ComeError {
    fn from(error: ClaimError) -> Self {
        Self::Claim(error)
    }
}

/// Finds, joins or makes the account of somebody a provider vouches for. Of any number who come at once as the same
/// person, one makes it and the others find it.
pub async fn come(
    client: &impl GenericClient,
    external: &External<'_>,
    new_user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Came, ComeError> {
    if let Some(found) = find(client, external.kind, external.subject).await? {
        return back(found);
    }
    lock(client, external).await?;
    if let Some(found) = find(client, external.kind, external.subject).await? {
        return back(found);
    }
    let identity = NewIdentity {
        kind: external.kind,
        subject: external.subject,
        label: external.label,
        verified_at: Some(now),
    };
    if let Some(user_id) = host(client, external).await? {
        add(client, user_id, &identity, now).await?;
        return Ok(Came::ToJoin(user_id));
    }
    execute(
        client,
        // An address that is somebody's, proven or not, stays theirs: this account then has none.
        "WITH account AS (INSERT INTO users (id, created_at, updated_at) VALUES ($1, $2, $2) RETURNING id)
         INSERT INTO identities (user_id, kind, subject, created_at, verified_at)
         SELECT id, 'email', $3, $2, $2 FROM account WHERE $3 IS NOT NULL
         ON CONFLICT ON CONSTRAINT identities_kind_subject_key DO NOTHING",
        &[
            (&new_user_id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
            (&external.proven_email.map(Email::as_str), Type::TEXT),
        ],
    )
    .await?;
    add(client, new_user_id, &identity, now).await?;
    Ok(Came::Anew(new_user_id))
}

fn back(found: Found) -> Result<Came, ComeError> {
    if found.deleted_at.is_some() { Err(ComeError::Deleted) } else { Ok(Came::Back(found.user_id)) }
}

/// Held until the transaction ends, by whoever is about to make something of this subject or this address.
async fn lock(client: &impl GenericClient, external: &External<'_>) -> Result<(), DbError> {
    let subject = format!("{}\n{}", external.kind.name(), external.subject);
    let email = external.proven_email.map_or(subject.clone(), |email| format!("email\n{}", email.as_str()));
    query_opt(
        client,
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0)), pg_advisory_xact_lock(hashtextextended($2, 0))",
        &[(&subject, Type::TEXT), (&email, Type::TEXT)],
    )
    .await
    .map(drop)
}

/// The account to join: its address is proven, it has none of this kind yet, and its owner has unlinked none. Whoever took
/// over what was unlinked would otherwise be back at the next sign-in. Locked, so that it has not lost the address by the
/// time this one is added.
async fn host(client: &impl GenericClient, external: &External<'_>) -> Result<Option<Uuid>, ComeError> {
    let Some(email) = external.proven_email else { return Ok(None) };
    let row = query_opt(
        client,
        "SELECT i.user_id, u.deleted_at IS NOT NULL AS deleted,
                $2 = ANY (u.unlinked_kinds) OR EXISTS (SELECT 1 FROM identities o
                        WHERE o.user_id = i.user_id AND o.kind = $2 AND o.retired_at IS NULL) AS closed
         FROM identities i JOIN users u ON u.id = i.user_id
         WHERE i.kind = 'email' AND i.subject = $1 AND i.verified_at IS NOT NULL AND i.retired_at IS NULL
         FOR NO KEY UPDATE OF u, i",
        &[(&email.as_str(), Type::TEXT), (&external.kind.name(), Type::TEXT)],
    )
    .await?;
    match row {
        Some(row) if row.get("deleted") => Err(ComeError::Deleted),
        Some(row) if row.get("closed") => Ok(None),
        row => Ok(row.map(|row| row.get("user_id"))),
    }
}
