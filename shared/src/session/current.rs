//! The account that is signed in, read, counted and checked in one round trip.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Row, Type, query_one};
use crate::rate_limit::{self, Exceeded, Limit};

/// A row of `current_account`: the account of a session that stands.
pub struct CurrentAccount(Row);

impl CurrentAccount {
    /// A column of text that may be missing, as it stands in the row.
    pub fn text(&self, column: Text) -> Option<&str> {
        self.0.get(column as usize)
    }

    pub fn time(&self, column: Time) -> Option<OffsetDateTime> {
        self.0.get(column as usize)
    }

    pub fn created_at(&self) -> OffsetDateTime {
        self.0.get(5)
    }

    pub fn updated_at(&self) -> OffsetDateTime {
        self.0.get(6)
    }

    pub fn version(&self) -> i64 {
        self.0.get(4)
    }

    pub fn is_admin(&self) -> bool {
        self.0.get(9)
    }

    pub fn email_verified(&self) -> bool {
        self.0.get(11)
    }

    pub fn dids(&self) -> Vec<&str> {
        self.0.get(16)
    }
}

/// The texts of an account, by their place in the row.
#[derive(Clone, Copy)]
pub enum Text {
    Username = 2,
    DisplayName = 3,
    Email = 10,
    DiscordId = 12,
    DiscordUsername = 13,
    PrivyId = 14,
    Pubkey = 15,
}

/// The times of an account that need not have come.
#[derive(Clone, Copy)]
pub enum Time {
    LastLogin = 7,
    LastActive = 8,
}

/// Counts the request against the session's limit and reads the account. `None` when the session does not stand, or its
/// account is deleted.
pub async fn account(
    client: &impl GenericClient,
    (user_id, session_id): (Uuid, Uuid),
    claims_admin: bool,
    limit: &Limit,
    now: OffsetDateTime,
) -> Result<Result<Option<CurrentAccount>, Exceeded>, DbError> {
    let row = query_one(
        client,
        "SELECT requests, id, username, display_name, version, created_at, updated_at, last_login_at, last_active_at,
                is_admin, email, email_verified, discord_id, discord_username, privy_id, pubkey, dids
         FROM current_account($1, $2, $3, $4, $5, $6, $7)",
        &[
            (&user_id, Type::UUID),
            (&session_id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
            (&claims_admin, Type::BOOL),
            (&limit.key(), Type::BYTEA),
            (&rate_limit::window_at(now), Type::TIMESTAMPTZ),
            (&limit.quota(), Type::INT4),
        ],
    )
    .await?;
    Ok(limit.judge(row.get(0), now).map(|()| {
        let stands = row.get::<_, Option<Uuid>>(1).is_some();
        stands.then_some(CurrentAccount(row))
    }))
}
