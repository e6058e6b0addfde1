use time::OffsetDateTime;
use uuid::Uuid;

use super::{ClaimError, IdentityKind, NewIdentity, add, find, verify_email};
use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::email::Email;

/// Why an account takes no identity in.
#[derive(Debug)]
pub enum LinkError {
    /// Its own address has not been proven: whoever registered with somebody else's would otherwise keep a way in
    /// once the mailbox's owner comes.
    EmailNotVerified,
    /// It was deleted.
    Deleted,
    Claim(ClaimError),
}

impl From<DbError> for LinkError {
    fn from(error: DbError) -> Self {
        Self::Claim(error.into())
    }
}

/// Whether identities may be linked to the account. Until the transaction ends nobody links or unlinks another.
pub async fn may_link(client: &impl GenericClient, user_id: Uuid) -> Result<(), LinkError> {
    let row = query_opt(
        client,
        "SELECT account_is_unproven($1) AS unproven
         FROM users WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    match row {
        None => Err(LinkError::Deleted),
        Some(row) if row.get("unproven") => Err(LinkError::EmailNotVerified),
        Some(_) => Ok(()),
    }
}

/// Links an identity that was just proven, and says whether it is new to the account.
pub async fn link(
    client: &impl GenericClient,
    user_id: Uuid,
    identity: &NewIdentity<'_>,
    now: OffsetDateTime,
) -> Result<bool, LinkError> {
    may_link(client, user_id).await?;
    match find(client, identity.kind, identity.subject).await? {
        Some(found) if found.user_id == user_id => Ok(false),
        _ => {
            add(client, user_id, identity, now).await.map_err(LinkError::Claim)?;
            welcome_again(client, user_id, identity.kind).await?;
            Ok(true)
        }
    }
}

/// Who links a kind anew takes back that it was unlinked.
async fn welcome_again(
    client: &impl GenericClient,
    user_id: Uuid,
    kind: IdentityKind,
) -> Result<(), DbError> {
    execute(
        client,
        "UPDATE users SET unlinked_kinds = array_remove(unlinked_kinds, $2)
         WHERE id = $1 AND $2 = ANY (unlinked_kinds)",
        &[(&user_id, Type::UUID), (&kind.name(), Type::TEXT)],
    )
    .await
    .map(drop)
}

/// Links an address whose mailbox has just answered, in place of one whose mailbox never did.
pub async fn link_email(
    client: &impl GenericClient,
    user_id: Uuid,
    email: &Email,
    now: OffsetDateTime,
) -> Result<(), LinkError> {
    may_link(client, user_id).await?;
    if verify_email(client, user_id, email, now).await? {
        return Ok(());
    }
    execute(
        client,
        "DELETE FROM identities WHERE user_id = $1 AND kind = 'email' AND verified_at IS NULL",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    let identity = NewIdentity {
        kind: IdentityKind::Email,
        subject: email.as_str(),
        label: None,
        verified_at: Some(now),
    };
    add(client, user_id, &identity, now).await.map_err(LinkError::Claim)
}
