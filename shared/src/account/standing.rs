use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, query_opt};
use crate::email::Email;

/// An account that may be signed in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It is an administrator's.
    pub admin: bool,
}

/// Notes that somebody signed in to the account; `None` when it was deleted. Until the transaction ends nobody can
/// delete it: a deletion comes before, or ends the session that comes of this.
pub async fn note_sign_in(
    client: &impl GenericClient,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Standing>, DbError> {
    let row = query_opt(
        client,
        "UPDATE users SET last_login_at = $2 WHERE id = $1 AND deleted_at IS NULL
         RETURNING EXISTS (SELECT 1 FROM admins WHERE user_id = $1) AS admin",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.map(|row| Standing { admin: row.get("admin") }))
}

/// Locks the account's row, which comes before all else of it: until the transaction ends nobody links, unlinks, resets or
/// deletes. False when it was deleted.
pub async fn hold(client: &impl GenericClient, user_id: Uuid) -> Result<bool, DbError> {
    let row = query_opt(
        client,
        "SELECT 1 FROM users WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(row.is_some())
}

/// Whether the account is an administrator's.
pub async fn is_admin(client: &impl GenericClient, user_id: Uuid) -> Result<bool, DbError> {
    let row = query_opt(client, "SELECT 1 FROM admins WHERE user_id = $1", &[(&user_id, Type::UUID)]).await?;
    Ok(row.is_some())
}

/// Whether the account of an e-mail address was ever signed in to from this network, which is an address or, as
/// `2001:db8::/64`, a range of them.
pub async fn is_known_from(
    client: &impl GenericClient,
    email: &Email,
    network: &str,
) -> Result<bool, DbError> {
    let row = query_opt(
        client,
        "SELECT 1 FROM identities i JOIN sessions s ON s.user_id = i.user_id
         WHERE i.kind = 'email' AND i.subject = $1 AND i.retired_at IS NULL
           AND s.ip <<= NULLIF($2, '')::inet
         LIMIT 1",
        &[(&email.as_str(), Type::TEXT), (&network, Type::TEXT)],
    )
    .await?;
    Ok(row.is_some())
}
