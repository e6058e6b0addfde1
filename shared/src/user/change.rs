use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::account::{self, ClaimError, IdentityKind, NewIdentity};
use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::email::Email;
use crate::session::{Ended, own};

/// An account that is used all the time is written about once in so long.
const ACTIVITY_STEP: Duration = Duration::minutes(1);

/// An account an administrator makes for somebody who will sign in by Privy.
pub struct NewUser<'a> {
    pub id: Uuid,
    pub privy_id: &'a str,
    /// Kept as an identity that is not verified: it is the administrator's word, so it signs nobody in, and nobody who
    /// comes with the same address from elsewhere is joined to the account for it. The owner verifies it.
    pub email: Option<&'a Email>,
    pub display_name: Option<&'a str>,
}

/// Makes an account. After an error the transaction is of no more use.
pub async fn create(
    client: &impl GenericClient,
    user: &NewUser<'_>,
    now: OffsetDateTime,
) -> Result<(), ClaimError> {
    execute(
        client,
        "INSERT INTO users (id, display_name, created_at, updated_at) VALUES ($1, $2, $3, $3)",
        &[(&user.id, Type::UUID), (&user.display_name, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let privy = NewIdentity {
        kind: IdentityKind::Privy,
        subject: user.privy_id,
        label: None,
        verified_at: Some(now),
    };
    account::add(client, user.id, &privy, now).await?;
    if let Some(email) = user.email {
        let email = NewIdentity {
            kind: IdentityKind::Email,
            subject: email.as_str(),
            label: None,
            verified_at: None,
        };
        account::add(client, user.id, &email, now).await?;
    }
    Ok(())
}

/// Gives the account another display name, or none, if it is still as the caller read it. Says whether it was.
pub async fn rename(
    client: &impl GenericClient,
    (user_id, expected): (Uuid, i64),
    display_name: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let changed = execute(
        client,
        "UPDATE users SET display_name = $3, version = version + 1, updated_at = $4
         WHERE id = $1 AND version = $2 AND deleted_at IS NULL",
        &[
            (&user_id, Type::UUID),
            (&expected, Type::INT8),
            (&display_name, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(changed == 1)
}

/// Notes that the account is in use, unless that was noted a moment ago, and returns when it last was. It is no change
/// that somebody else's change could collide with, so the version stays.
pub async fn touch(
    client: &impl GenericClient,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, DbError> {
    let row = query_opt(
        client,
        "WITH touched AS (
             UPDATE users SET last_active_at = $2
             WHERE id = $1 AND deleted_at IS NULL AND (last_active_at IS NULL OR last_active_at <= $3)
             RETURNING last_active_at
         )
         SELECT COALESCE((SELECT last_active_at FROM touched), last_active_at) AS at FROM users
         WHERE id = $1 AND deleted_at IS NULL",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ), (&(now - ACTIVITY_STEP), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.and_then(|row| row.get("at")))
}

/// Deletes the account, to be erased later, and ends all its sessions. `false` when it was deleted before, or is not
/// there.
pub async fn delete(
    client: &impl GenericClient,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let deleted = execute(
        client,
        "UPDATE users SET deleted_at = $2, updated_at = $2, version = version + 1
         WHERE id = $1 AND deleted_at IS NULL",
        &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    if deleted == 0 {
        return Ok(false);
    }
    own::end_all(client, user_id, Ended::AccountDeleted, now).await?;
    Ok(true)
}
