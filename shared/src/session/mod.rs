//! Sessions: one row per sign-in, and a refresh token that only that row can have made.

pub mod child;
mod cookie;
pub mod current;
pub mod ended;
mod lifetimes;
mod open;
pub mod own;
pub mod refresh;
pub mod refresh_token;
pub mod statistics;

pub use cookie::{
    REFRESH_COOKIE, REFRESH_TRANSPORT_HEADER, no_refresh_cookie, refresh_cookie, refresh_in_cookie,
};
pub use ended::Ended;
pub use lifetimes::Lifetimes;
pub use open::{NewSession, OpenSessionError, Sessions};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, query_opt};

/// What a session runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Web,
    Ios,
    Android,
}

impl Platform {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Ios => "ios",
            Self::Android => "android",
        }
    }
}

/// Where a session is held, as its holder says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Device<'a> {
    /// 1 to 128 characters of the client's own choosing.
    pub id: Option<&'a str>,
    pub platform: Option<Platform>,
}

/// A standing session, which the rest of its transaction acts for.
#[derive(Debug)]
pub struct Session {
    pub id: Uuid,
    pub user_id: Uuid,
    /// When the account's node last signed in this session.
    pub node_auth_at: Option<OffsetDateTime>,
    /// When whoever holds the session proved who they are; `None` when it was made from another session.
    pub signed_in_at: Option<OffsetDateTime>,
    /// An administrator's, by the token and by the database.
    pub is_admin: bool,
}

impl Session {
    /// Whether the node signed recently enough for what changes where money goes.
    pub fn node_auth_is_fresh(&self, now: OffsetDateTime, max_age: Duration) -> bool {
        self.node_auth_at.is_some_and(|at| now - at <= max_age)
    }

    /// Whether they proved who they are recently enough for what changes how the account is signed in to.
    pub fn sign_in_is_fresh(&self, now: OffsetDateTime, max_age: Duration) -> bool {
        let proven = [self.signed_in_at, self.node_auth_at];
        proven.into_iter().flatten().any(|at| now - at <= max_age)
    }
}

/// Begins the work of a signed-in user: from here the transaction sees their rows and no others. `None` when
/// the session is revoked, expired, or another account's. Whether the account is an administrator's is looked up
/// when the token claims it, and not otherwise.
pub async fn enter(
    client: &impl GenericClient,
    (user_id, session_id): (Uuid, Uuid),
    claims_admin: bool,
    now: OffsetDateTime,
) -> Result<Option<Session>, DbError> {
    let row = query_opt(
        client,
        "SELECT node_auth_at, signed_in_at, is_admin FROM enter_session($1, $2, $3, $4)",
        &[
            (&user_id, Type::UUID),
            (&session_id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
            (&claims_admin, Type::BOOL),
        ],
    )
    .await?;
    Ok(row.map(|row| Session {
        id: session_id,
        user_id,
        node_auth_at: row.get("node_auth_at"),
        signed_in_at: row.get("signed_in_at"),
        is_admin: row.get("is_admin"),
    }))
}

/// Ends every session of the account but `kept`, and returns how many.
pub async fn end_others(
    client: &impl GenericClient,
    user_id: Uuid,
    kept: Uuid,
    why: Ended,
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    own::end_all_but(client, (user_id, Some(kept)), why, now).await
}
