use time::OffsetDateTime;
use uuid::Uuid;

use crate::crypto::Secret;
use crate::db::{DbError, GenericClient, Row, Type, execute, query_opt};
use crate::email::Email;

/// An account as an e-mail address leads to it.
#[derive(Debug)]
pub struct Account {
    pub user_id: Uuid,
    /// When the mailbox answered; `None` until it has.
    pub verified_at: Option<OffsetDateTime>,
    pub deleted_at: Option<OffsetDateTime>,
    /// An account that came with Discord has an address and no password.
    pub hash: Option<Secret<String>>,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        Self {
            user_id: row.get("user_id"),
            verified_at: row.get("verified_at"),
            deleted_at: row.get("deleted_at"),
            hash: row.get::<_, Option<String>>("hash").map(Secret::new),
        }
    }
}

/// The account that the address is an identity of, verified or not, deleted or not.
pub async fn find_by_email(client: &impl GenericClient, email: &Email) -> Result<Option<Account>, DbError> {
    let row = query_opt(
        client,
        "SELECT i.user_id, i.verified_at, u.deleted_at, p.hash
         FROM identities i
         JOIN users u ON u.id = i.user_id
         LEFT JOIN passwords p ON p.user_id = i.user_id
         WHERE i.kind = 'email' AND i.subject = $1 AND i.retired_at IS NULL",
        &[(&email.as_str(), Type::TEXT)],
    )
    .await?;
    Ok(row.map(Account::from))
}

/// The hash of the account's password, if it has one.
pub async fn find(client: &impl GenericClient, user_id: Uuid) -> Result<Option<Secret<String>>, DbError> {
    let row =
        query_opt(client, "SELECT hash FROM passwords WHERE user_id = $1", &[(&user_id, Type::UUID)]).await?;
    Ok(row.map(|row| Secret::new(row.get("hash"))))
}

/// Whether the account's password is the one that was hashed to this, which it stays until the transaction ends.
pub async fn hold(
    client: &impl GenericClient,
    user_id: Uuid,
    hash: &Secret<String>,
) -> Result<bool, DbError> {
    let row = query_opt(
        client,
        "SELECT 1 FROM passwords WHERE user_id = $1 AND hash = $2 FOR SHARE",
        &[(&user_id, Type::UUID), (&hash.expose(), Type::TEXT)],
    )
    .await?;
    Ok(row.is_some())
}

/// Gives the account a password, in place of any it had.
pub async fn set(
    client: &impl GenericClient,
    user_id: Uuid,
    hash: &Secret<String>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    execute(
        client,
        "INSERT INTO passwords (user_id, hash, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT passwords_pkey
         DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
        &[(&user_id, Type::UUID), (&hash.expose(), Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}

/// Puts `new` in the place of `old`, unless the password was changed in between, and says whether it did. With
/// `changed_at` it is another password, and without it is the same one hashed anew.
pub async fn replace(
    client: &impl GenericClient,
    user_id: Uuid,
    (old, new): (&Secret<String>, &Secret<String>),
    changed_at: Option<OffsetDateTime>,
) -> Result<bool, DbError> {
    let replaced = execute(
        client,
        "UPDATE passwords SET hash = $3, changed_at = coalesce($4, changed_at) WHERE user_id = $1 AND hash = $2",
        &[
            (&user_id, Type::UUID),
            (&old.expose(), Type::TEXT),
            (&new.expose(), Type::TEXT),
            (&changed_at, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(replaced == 1)
}

/// Notes that whoever chose the account's password has just shown that they read its mailbox.
pub async fn vouch(client: &impl GenericClient, user_id: Uuid, now: OffsetDateTime) -> Result<(), DbError> {
    execute(
        client,
        "UPDATE passwords SET changed_at = $2 WHERE user_id = $1",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}

/// Takes the account's password away if it is older than the proof of the address, and says whether it was: whoever chose
/// it had not read the mailbox then, and may not be who did.
pub async fn delete_unproven(client: &impl GenericClient, user_id: Uuid) -> Result<bool, DbError> {
    let deleted = execute(
        client,
        "DELETE FROM passwords p USING identities i
         WHERE p.user_id = $1 AND i.user_id = p.user_id AND i.kind = 'email' AND i.retired_at IS NULL
           AND p.changed_at < i.verified_at",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(deleted == 1)
}

/// Takes the account's password away.
pub async fn delete(client: &impl GenericClient, user_id: Uuid) -> Result<(), DbError> {
    execute(client, "DELETE FROM passwords WHERE user_id = $1", &[(&user_id, Type::UUID)]).await?;
    Ok(())
}
