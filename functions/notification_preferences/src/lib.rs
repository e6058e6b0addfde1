//! `/v1/notifications/preferences/{userId}` — what somebody wants to be told, and by which way.
//!
//! | Route | What it does |
//! |---|---|
//! | `GET /v1/notifications/preferences/{userId}` | says how they stand |
//! | `PUT /v1/notifications/preferences/{userId}` | changes those that are named |
//! | `POST /v1/notifications/preferences/{userId}/reset` | makes them the defaults again |
//!
//! For the owner and for administrators. What concerns an account's safety is told whatever stands here.

use serde::Deserialize;
use shared::audit::{Auditor, Entry};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::http::auth::{self, Authenticator};
use shared::http::{ApiError, ErrorCode, Reply, Request, account_deleted, unrouted, version};
use shared::preferences::{self, Change, DEFAULTS, Preferences, SomeTopics};
use shared::user;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    audit: Auditor,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: Authenticator::wire(config),
            audit: Auditor::wire(config),
            clock: config.clock(),
        }
    }
}

#[derive(Default, Deserialize)]
struct Body {
    email: Option<SomeTopics>,
    push: Option<SomeTopics>,
    version: Option<i64>,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "GET /v1/notifications/preferences/{userId}" => read(deps, request).await,
        "PUT /v1/notifications/preferences/{userId}" => {
            auth::bearer(request)?;
            let body: Body = request.json()?;
            let (email, push) = (body.email.unwrap_or_default(), body.push.unwrap_or_default());
            write(deps, request, (email, push), body.version).await
        }
        "POST /v1/notifications/preferences/{userId}/reset" => {
            auth::bearer(request)?;
            let body: Body = if request.body.is_empty() { Body::default() } else { request.json()? };
            write(deps, request, (DEFAULTS.into(), DEFAULTS.into()), body.version).await
        }
        _ => Err(unrouted(request)),
    }
}

async fn read(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("userId")?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    auth::owner_or_admin(&session, user_id)?;
    let found = preferences::find(&tx, user_id).await?;
    db::commit(tx).await?;
    Ok(answer(&found.ok_or_else(not_found)?))
}

/// With a version it is changed only if it is still that one. Without, what is named holds whatever else was changed:
/// the rest is left alone, so nobody's change is lost unseen.
async fn write(
    deps: &Deps,
    request: &Request,
    (email, push): (SomeTopics, SomeTopics),
    in_body: Option<i64>,
) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("userId")?;
    let expected = version::expected(request, in_body)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    auth::owner_or_admin(&session, user_id)?;
    user::act_for(&tx, user_id).await?;
    let changed = preferences::change(&tx, user_id, &Change { email, push, expected }, now).await?;
    if let Some(preferences) = changed {
        if session.user_id != user_id {
            let entry = Entry {
                user_id: Some(user_id),
                action: "preferences.changed",
                resource: ("user", &user_id.to_string()),
                details: serde_json::json!({ "by": session.user_id }),
                origin: request.origin(),
                now,
            };
            deps.audit.append(&tx, &entry).await?;
        }
        db::commit(tx).await?;
        return Ok(answer(&preferences));
    }
    let user = user::find(&tx, user_id).await?.ok_or_else(not_found)?;
    Err(if user.deleted_at.is_some() { account_deleted() } else { version::conflict("Preferences") })
}

fn answer(preferences: &Preferences) -> Reply {
    version::tagged(Reply::ok(preferences), preferences.version)
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "no such account")
}
