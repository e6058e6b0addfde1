//! The token that was mailed comes back with a new password. Whoever brings it reads the mailbox, and so the account is
//! theirs: the old password and every session are gone, and so is what somebody linked who had never proven the address.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::account;
use shared::audit::Entry;
use shared::crypto::Secret;
use shared::db::{self, Transaction};
use shared::http::by_mail::token_gone;
use shared::http::{ApiError, Reply, Request, account_deleted, limit, not_breached};
use shared::mail::{Kind, Written};
use shared::metrics;
use shared::one_time_token::{self, Purpose};
use shared::password::{self, NewPassword};
use shared::session::{Ended, own};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

const PURPOSES: [Purpose; 1] = [Purpose::ResetPassword];

#[derive(Deserialize)]
struct Body {
    token: Secret<String>,
    password: NewPassword,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    user_id: Uuid,
    sessions_ended: u64,
}

pub async fn reset(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let Body { token, password } = request.json()?;
    let now = deps.clock.now();

    let connection = deps.db.connection().await?;
    let limits = [limit::per_address("reset_password", request, deps.per_address)];
    limit::check(connection.client(), &limits, now).await?;
    // Hashing is dear, and a password that is refused must not cost the token.
    one_time_token::find(connection.client(), token.expose(), &PURPOSES, now)
        .await?
        .ok_or_else(token_gone)?;
    drop(connection);
    not_breached(&deps.breaches, ("password", &password)).await?;
    let hash = password::hash(&password, &deps.random).await?;

    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    let (answer, told) = carry_out(deps, &tx, (request, &token), &hash, now).await?;
    db::commit(tx).await?;
    drop(connection);

    metrics::count("PasswordReset");
    deps.by_mail.sender.send_now(&deps.db, told).await;
    Ok(Reply::ok(&answer))
}

async fn carry_out(
    deps: &Deps,
    tx: &Transaction<'_>,
    (request, token): (&Request, &Secret<String>),
    hash: &Secret<String>,
    now: OffsetDateTime,
) -> Result<(Answer, Option<Written>), ApiError> {
    let brought = one_time_token::take(tx, token.expose(), &PURPOSES, now).await?.ok_or_else(token_gone)?;
    let user_id = brought.user_id;
    let proven = account::prove_by_mail(tx, user_id, &brought.email, now).await?.ok_or_else(token_gone)?;
    if proven.is_deleted {
        return Err(account_deleted());
    }
    // The password before the sessions: a sign-in with the old one is over before, or finds it gone.
    password::set(tx, user_id, hash, now).await?;
    let sessions_ended = own::end_all(tx, user_id, Ended::PasswordReset, now).await?;
    one_time_token::delete_all(tx, user_id).await?;
    let entry = Entry {
        user_id: Some(user_id),
        action: "password.reset",
        resource: ("user", &user_id.to_string()),
        details: json!({ "sessionsEnded": sessions_ended, "identitiesRemoved": proven.identities_removed }),
        origin: request.origin(),
        now,
    };
    deps.by_mail.audit.append(tx, &entry).await?;
    let told = deps.by_mail.sender.mails.tell(tx, (user_id, Kind::PasswordChanged, None), now).await?;
    Ok((Answer { user_id, sessions_ended }, told))
}
