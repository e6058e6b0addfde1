//! Sessions that are over. Their owner may look at them for a while; then they go.

use serde::Serialize;
use time::OffsetDateTime;

use crate::db::{DbError, GenericClient, delete_in_batches};

/// Why a session was ended, as its row says. Rows of before this list have words of their own (`node.rebound`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its holder signed out.
    Logout,
    /// Its owner, from any session of theirs.
    ByOwner,
    ByAdmin,
    /// The operator, by `satchel`.
    ByOperator,
    /// A refresh token that was spent before was presented.
    RefreshTokenReused,
    PasswordChanged,
    PasswordReset,
    /// The way to sign in that opened it was taken from the account.
    IdentityUnlinked,
    /// The account was joined by the owner of its mailbox, and its password was of before that was proven.
    IdentityJoined,
    /// The account moved to another node key.
    NodeRebound,
    AccountDeleted,
}

impl Ended {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::ByOwner => "by_owner",
            Self::ByAdmin => "by_admin",
            Self::ByOperator => "by_operator",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::IdentityUnlinked => "identity_unlinked",
            Self::IdentityJoined => "identity_joined",
            Self::NodeRebound => "node_rebound",
            Self::AccountDeleted => "account_deleted",
        }
    }
}

/// Removes sessions that were ended or idled out before `before`, and returns how many. No session stays idle beyond
/// its absolute end, so that needs no look of its own.
pub async fn delete(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM sessions
         WHERE (idle_expires_at < $1 OR revoked_at < $1)
           AND ctid = ANY (ARRAY(SELECT ctid FROM sessions
                                 WHERE idle_expires_at < $1 OR revoked_at < $1 LIMIT $2))",
        before,
    )
    .await
}
