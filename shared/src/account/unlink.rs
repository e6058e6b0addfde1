use time::OffsetDateTime;
use uuid::Uuid;

use super::{Identity, IdentityKind};
use crate::db::{DbError, GenericClient, Type, execute, query, query_opt};
use crate::session::Ended;
use crate::{one_time_token, password};

/// Why an identity stays.
#[derive(Debug)]
pub enum UnlinkError {
    /// A node and the names it goes by are moved by a rebind, and never taken away.
    Permanent,
    /// The account has none of the kind.
    NotThere,
    /// Nobody could sign in to the account any more.
    Last,
    Db(DbError),
}

impl From<DbError> for UnlinkError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// What went.
#[derive(Debug)]
pub struct Unlinked {
    pub identity: Identity,
    /// How many sessions ended that it had opened.
    pub sessions_ended: u64,
}

/// Takes a way to sign in from the account, with the sessions it opened except `kept`, and with the password if it
/// was the e-mail address. What was unlinked is not joined to the account again: see [`super::come`].
pub async fn unlink(
    client: &impl GenericClient,
    (user_id, kept): (Uuid, Uuid),
    kind: IdentityKind,
    now: OffsetDateTime,
) -> Result<Unlinked, UnlinkError> {
    if matches!(kind, IdentityKind::Node | IdentityKind::Did) {
        return Err(UnlinkError::Permanent);
    }
    // Two at once would each take the other for what is left.
    let locking = "SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE";
    query_opt(client, locking, &[(&user_id, Type::UUID)]).await?;
    let removed = query(
        client,
        "WITH ways AS (
             SELECT kind FROM identities
             WHERE user_id = $1 AND retired_at IS NULL
               AND (kind IN ('node', 'discord', 'privy') OR kind = 'email' AND (
                        verified_at IS NOT NULL OR EXISTS (SELECT 1 FROM passwords WHERE user_id = $1)))
         ), gone AS (
             DELETE FROM identities
             WHERE user_id = $1 AND kind = $2 AND retired_at IS NULL
               AND EXISTS (SELECT 1 FROM ways WHERE kind <> $2)
             RETURNING kind, subject, label, created_at, verified_at
         ), noted AS (
             UPDATE users SET unlinked_kinds = array_append(array_remove(unlinked_kinds, $2), $2)
             WHERE id = $1 AND $2 IN ('discord', 'privy') AND EXISTS (SELECT 1 FROM gone)
         )
         SELECT gone.* FROM gone
         UNION ALL
         SELECT $2, NULL, NULL, NULL, NULL
         WHERE NOT EXISTS (SELECT 1 FROM gone)
           AND EXISTS (SELECT 1 FROM identities WHERE user_id = $1 AND kind = $2 AND retired_at IS NULL)",
        &[(&user_id, Type::UUID), (&kind.name(), Type::TEXT)],
    )
    .await?;
    let row = removed.into_iter().next().ok_or(UnlinkError::NotThere)?;
    if row.get::<_, Option<&str>>("subject").is_none() {
        return Err(UnlinkError::Last);
    }
    let identity = Identity::from(row);
    if kind == IdentityKind::Email {
        password::delete(client, user_id).await?;
        one_time_token::delete_all(client, user_id).await?;
    }
    let sessions_ended = end_opened_by(client, (user_id, kept), kind, now).await?;
    Ok(Unlinked { identity, sessions_ended })
}

/// One that is just being made from another of them holds that one until it is there, and is found on the next round.
async fn end_opened_by(
    client: &impl GenericClient,
    (user_id, kept): (Uuid, Uuid),
    kind: IdentityKind,
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    let mut total = 0;
    loop {
        let ended = execute(
            client,
            "UPDATE sessions SET revoked_at = $4, revoked_reason = $5, push_token_sealed = NULL
             WHERE user_id = $1 AND identity_kind = $2 AND id <> $3 AND revoked_at IS NULL",
            &[
                (&user_id, Type::UUID),
                (&kind.name(), Type::TEXT),
                (&kept, Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&Ended::IdentityUnlinked.name(), Type::TEXT),
            ],
        )
        .await?;
        total += ended;
        if ended == 0 {
            return Ok(total);
        }
    }
}
