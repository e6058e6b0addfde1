use time::OffsetDateTime;
use uuid::Uuid;

use super::verify_email;
use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::email::Email;

/// An account whose mailbox has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    pub is_deleted: bool,
    /// What was linked before the address was proven, by whoever had only claimed it.
    pub identities_removed: u64,
}

/// Gives the account to whoever reads its mailbox: the address is verified, and if it was not until now, every other
/// identity goes. `None` when the address is not the account's. Until the transaction ends nobody links anything.
pub async fn prove_by_mail(
    client: &impl GenericClient,
    user_id: Uuid,
    email: &Email,
    now: OffsetDateTime,
) -> Result<Option<Proven>, DbError> {
    let row = query_opt(
        client,
        "SELECT u.deleted_at IS NOT NULL AS is_deleted, i.verified_at IS NOT NULL AS was_verified
         FROM users u JOIN identities i ON i.user_id = u.id
         WHERE u.id = $1 AND i.kind = 'email' AND i.subject = $2 AND i.retired_at IS NULL
         FOR NO KEY UPDATE OF u",
        &[(&user_id, Type::UUID), (&email.as_str(), Type::TEXT)],
    )
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (is_deleted, was_verified): (bool, bool) = (row.get("is_deleted"), row.get("was_verified"));
    if is_deleted || was_verified {
        return Ok(Some(Proven { is_deleted, identities_removed: 0 }));
    }
    verify_email(client, user_id, email, now).await?;
    let retired = execute(
        client,
        "UPDATE identities SET retired_at = $2
         WHERE user_id = $1 AND kind IN ('did', 'node') AND retired_at IS NULL",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let deleted = execute(
        client,
        "DELETE FROM identities
         WHERE user_id = $1 AND retired_at IS NULL AND NOT (kind = 'email' AND subject = $2)",
        &[(&user_id, Type::UUID), (&email.as_str(), Type::TEXT)],
    )
    .await?;
    Ok(Some(Proven { is_deleted, identities_removed: retired + deleted }))
}
