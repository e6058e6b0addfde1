//! `POST /v1/auth/password/change` — another password, for whoever knows the one there is.
//!
//! Every other session of the account ends with it, and the account's owner is told by mail.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::account;
use shared::audit::{Auditor, Entry};
use shared::breaches::Breaches;
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::Secret;
use shared::db::{self, Db};
use shared::http::auth::{self, Bearer, RecentAuthenticator};
use shared::http::{ApiError, ErrorCode, Reply, Request, account_deleted, limit, not_breached};
use shared::mail::{Kind, Sender, Written};
use shared::one_time_token::{self, Purpose};
use shared::password::{self, NewPassword, Password, Verdict};
use shared::random::Random;
use shared::rate_limit::Limit;
use shared::session::{self, Ended, Session};
use time::OffsetDateTime;

pub struct Deps {
    db: Db,
    auth: RecentAuthenticator,
    sender: Sender,
    audit: Auditor,
    breaches: Breaches,
    clock: Clock,
    random: Random,
    per_account: u32,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: RecentAuthenticator::wire(config),
            sender: Sender::wire(config),
            audit: Auditor::wire(config),
            breaches: Breaches::wire(config),
            clock: config.clock(),
            random: config.random(),
            per_account: config.number("RATE_LIMIT_LOGIN_PER_ADDRESS_AND_ACCOUNT", 10, 1..=1_000_000),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    current_password: Password,
    new_password: NewPassword,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    sessions_ended: u64,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let body: Body = request.json()?;
    let now = deps.clock.now();

    let old = verified(deps, request, (&bearer, &body), now).await?;
    not_breached(&deps.breaches, ("newPassword", &body.new_password)).await?;
    let new = password::hash(&body.new_password, &deps.random).await?;
    let (answer, told) = put(deps, (request, &bearer), (&old, &new), now).await?;

    deps.sender.send_now(&deps.db, told).await;
    Ok(Reply::ok(&answer))
}

/// The hash of the current password, which the caller knows. No connection is held while it is found out.
async fn verified(
    deps: &Deps,
    request: &Request,
    (bearer, body): (&Bearer<'_>, &Body),
    now: OffsetDateTime,
) -> Result<Secret<String>, ApiError> {
    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, bearer, now).await?;
    let stored = password::find(&tx, session.user_id).await?;
    db::commit(tx).await?;
    // Whoever found a session open may not guess on.
    let limits = [Limit::new("change_password", &session.user_id.to_string(), deps.per_account)];
    limit::check(connection.client(), &limits, now).await?;
    drop(connection);
    let stored = stored.ok_or_else(|| ApiError::new(ErrorCode::Conflict, "the account has no password"))?;
    match password::verify(&body.current_password, Some(&stored)).await? {
        Verdict::Right | Verdict::RightButOutdated => Ok(stored),
        Verdict::Wrong => {
            failed(deps, (request, &session), now).await?;
            Err(wrong())
        }
    }
}

/// Writes down that somebody who is signed in did not know the password.
async fn failed(
    deps: &Deps,
    (request, session): (&Request, &Session),
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let user_id = session.user_id;
    let mut connection = deps.db.connection().await?;
    let failure = ("change_password:failed", &*user_id.to_string());
    if !limit::is_noted(connection.client(), failure, now).await? {
        return Ok(());
    }
    let tx = connection.transaction().await?;
    let entry = Entry {
        user_id: Some(user_id),
        action: "password.change_failed",
        resource: ("session", &session.id.to_string()),
        details: json!({}),
        origin: request.origin(),
        now,
    };
    deps.audit.append(&tx, &entry).await?;
    Ok(db::commit(tx).await?)
}

async fn put(
    deps: &Deps,
    (request, bearer): (&Request, &Bearer<'_>),
    (old, new): (&Secret<String>, &Secret<String>),
    now: OffsetDateTime,
) -> Result<(Answer, Option<Written>), ApiError> {
    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    let Session { id, user_id, .. } = deps.auth.sessions.enter(&tx, bearer, now).await?;
    if !account::hold(&tx, user_id).await? {
        return Err(account_deleted());
    }
    // The password before the sessions: a sign-in with the old one is over before, or finds it gone.
    if !password::replace(&tx, user_id, (old, new), Some(now)).await? {
        return Err(wrong());
    }
    let sessions_ended = session::end_others(&tx, user_id, id, Ended::PasswordChanged, now).await?;
    // What somebody else asked for while they could must not outlive it.
    one_time_token::delete(&tx, user_id, &[Purpose::ResetPassword, Purpose::LinkEmail]).await?;
    let entry = Entry {
        user_id: Some(user_id),
        action: "password.changed",
        resource: ("user", &user_id.to_string()),
        details: json!({ "sessionsEnded": sessions_ended }),
        origin: request.origin(),
        now,
    };
    deps.audit.append(&tx, &entry).await?;
    let told = deps.sender.mails.tell(&tx, (user_id, Kind::PasswordChanged, None), now).await?;
    db::commit(tx).await?;
    Ok((Answer { sessions_ended }, told))
}

fn wrong() -> ApiError {
    ApiError::new(ErrorCode::InvalidCredentials, "the current password is another one")
}
