//! Accounts as their owners and administrators see them, and what these change about them.
//!
//! What an account is signed in to with is `account`'s; here it is only read. Row-level security decides whose
//! accounts a transaction sees.

mod change;
pub mod export;

pub use change::{NewUser, create, delete, rename, touch};

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Row, Type, execute, query, query_opt};
use crate::wallet::Address;

/// Selects whole users; what follows says which.
macro_rules! select_users {
    ($which:literal) => {
        concat!(
            "SELECT u.id, u.display_name, u.username, u.version, u.created_at, u.updated_at, u.last_login_at,
                    u.last_active_at, u.deleted_at, i.*, w.*
             FROM users u
             CROSS JOIN LATERAL (
                 SELECT max(subject) FILTER (WHERE kind = 'email') AS email,
                        COALESCE(bool_or(verified_at IS NOT NULL) FILTER (WHERE kind = 'email'), false)
                            AS email_verified,
                        max(subject) FILTER (WHERE kind = 'discord') AS discord_id,
                        max(label) FILTER (WHERE kind = 'discord') AS discord_username,
                        max(subject) FILTER (WHERE kind = 'privy') AS privy_id,
                        max(subject) FILTER (WHERE kind = 'node') AS pubkey,
                        COALESCE(array_agg(subject ORDER BY created_at, subject) FILTER (WHERE kind = 'did'), '{}')
                            AS dids
                 FROM identities WHERE user_id = u.id AND retired_at IS NULL) i
             CROSS JOIN LATERAL (
                 SELECT COALESCE(array_agg(address ORDER BY created_at, address), '{}') AS addresses,
                        COALESCE(array_agg(verified_at IS NOT NULL ORDER BY created_at, address), '{}')
                            AS addresses_verified
                 FROM wallets WHERE user_id = u.id) w ",
            $which
        )
    };
}

/// An account and what hangs on it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: Uuid,
    pub display_name: Option<String>,
    pub username: Option<String>,
    pub email: Option<String>,
    pub email_verified: bool,
    pub discord_id: Option<String>,
    pub discord_username: Option<String>,
    pub privy_id: Option<String>,
    /// The key of the account's node.
    pub pubkey: Option<String>,
    pub dids: Vec<String>,
    pub wallets: Vec<Wallet>,
    pub version: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_login_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_active_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub deleted_at: Option<OffsetDateTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wallet {
    pub address: String,
    /// A provider checked that it is theirs.
    pub verified: bool,
}

/// From here the rest of the transaction sees the rows of this account, as that account itself would. For what an
/// administrator does to somebody else, so that no policy has to open everybody's rows to them.
pub async fn act_for(client: &impl GenericClient, user_id: Uuid) -> Result<(), DbError> {
    execute(client, "SELECT set_config('app.user_id', $1, true)", &[(&user_id.to_string(), Type::TEXT)])
        .await?;
    Ok(())
}

/// Whether there is such an account, deleted or not, as far as the transaction may see.
pub async fn exists(client: &impl GenericClient, user_id: Uuid) -> Result<bool, DbError> {
    let row = query_opt(client, "SELECT 1 FROM users WHERE id = $1", &[(&user_id, Type::UUID)]).await?;
    Ok(row.is_some())
}

pub async fn find(client: &impl GenericClient, user_id: Uuid) -> Result<Option<User>, DbError> {
    let row = query_opt(client, select_users!("WHERE u.id = $1"), &[(&user_id, Type::UUID)]).await?;
    Ok(row.as_ref().map(read))
}

/// Whoever signs in with this id at Privy.
pub async fn find_by_privy(client: &impl GenericClient, privy_id: &str) -> Result<Option<User>, DbError> {
    let row = query_opt(
        client,
        select_users!(
            "WHERE u.id = (SELECT user_id FROM identities
                           WHERE kind = 'privy' AND subject = $1 AND retired_at IS NULL)"
        ),
        &[(&privy_id, Type::TEXT)],
    )
    .await?;
    Ok(row.as_ref().map(read))
}

/// Whose wallet this is. Of several who say so, the one who proved it, else who said it first.
pub async fn find_by_wallet(client: &impl GenericClient, address: &Address) -> Result<Option<User>, DbError> {
    let row = query_opt(
        client,
        select_users!(
            "WHERE u.id = (SELECT user_id FROM wallets WHERE address = $1
                           ORDER BY verified_at IS NULL, created_at, user_id LIMIT 1)"
        ),
        &[(&address.as_str(), Type::TEXT)],
    )
    .await?;
    Ok(row.as_ref().map(read))
}

/// Accounts, newest first, behind the place given; deleted ones say so.
pub async fn list(
    client: &impl GenericClient,
    after: Option<(OffsetDateTime, Uuid)>,
    rows: i64,
) -> Result<Vec<User>, DbError> {
    let (at, id) = after.unzip();
    let rows = query(
        client,
        select_users!(
            "WHERE $1 IS NULL OR (u.created_at, u.id) < ($1, $2) ORDER BY u.created_at DESC, u.id DESC LIMIT $3"
        ),
        &[(&at, Type::TIMESTAMPTZ), (&id, Type::UUID), (&rows, Type::INT8)],
    )
    .await?;
    Ok(rows.iter().map(read).collect())
}

fn read(row: &Row) -> User {
    let addresses: Vec<String> = row.get("addresses");
    let verified: Vec<bool> = row.get("addresses_verified");
    let wallets = addresses.into_iter().zip(verified);
    User {
        id: row.get("id"),
        display_name: row.get("display_name"),
        username: row.get("username"),
        email: row.get("email"),
        email_verified: row.get("email_verified"),
        discord_id: row.get("discord_id"),
        discord_username: row.get("discord_username"),
        privy_id: row.get("privy_id"),
        pubkey: row.get("pubkey"),
        dids: row.get("dids"),
        wallets: wallets.map(|(address, verified)| Wallet { address, verified }).collect(),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        last_login_at: row.get("last_login_at"),
        last_active_at: row.get("last_active_at"),
        deleted_at: row.get("deleted_at"),
    }
}
