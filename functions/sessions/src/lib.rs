//! `/v1/sessions` — the sessions of an account, for its owner to look after.
//!
//! | Route | What it does |
//! |---|---|
//! | `POST /v1/sessions` | makes a session from the caller's own, for another device; the same key is the same session |
//! | `GET /v1/sessions/{id}` | one session |
//! | `PUT /v1/sessions/{id}` | names its device and platform |
//! | `DELETE /v1/sessions/{id}` | ends it at once |
//! | `POST /v1/sessions/{id}/activity` | notes that it is in use |
//! | `PUT /v1/sessions/{id}/push-token` | keeps, sealed, where its device is reached |
//! | `POST /v1/sessions/{id}/extend` | begins its idle lifetime anew |
//! | `GET /v1/sessions/user/{userId}` | the account's sessions, in pages |
//! | `GET /v1/sessions/user/{userId}/active` | the standing one that was used last |
//! | `GET /v1/sessions/user/{userId}/stats` | what they come to |
//! | `DELETE /v1/sessions/user/{userId}/all` | ends all of them, the caller's own included |
//!
//! An administrator may look at anybody's sessions and end them; making and changing them is their owner's alone.

mod change;
mod create;
mod end;
mod read;

use serde::Serialize;
use serde_json::Value;
use shared::audit::{Auditor, Entry};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{Db, Transaction};
use shared::http::auth::{self, Authenticator};
use shared::http::{ApiError, ErrorCode, Reply, Request, unrouted};
use shared::random::Random;
use shared::session::own::SessionInfo;
use shared::session::{Session, Sessions};
use shared::user;
use time::OffsetDateTime;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    sessions: Sessions,
    audit: Auditor,
    clock: Clock,
    random: Random,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: Authenticator::wire(config),
            sessions: Sessions::wire(config),
            audit: Auditor::wire(config),
            clock: config.clock(),
            random: config.random(),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    // What is asked is read before anything is done for it.
    let asked = Asked::of(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    let call = Call { deps, request, session: &session, now };
    match asked {
        Asked::Create(asked) => create::handle(&call, tx, &asked).await,
        Asked::One(id) => read::one(&call, tx, id).await,
        Asked::List(user_id, page) => read::list(&call, tx, (user_id, page)).await,
        Asked::LastUsed(user_id) => read::last_used(&call, tx, user_id).await,
        Asked::Statistics(user_id) => read::counts(&call, tx, user_id).await,
        Asked::Change(id, wish) => change::handle(&call, tx, (id, &wish)).await,
        Asked::End(id) => end::one(&call, tx, id).await,
        Asked::EndAll(user_id) => end::all(&call, tx, user_id).await,
    }
}

/// What the routes ask for.
enum Asked {
    Create(create::Asked),
    One(Uuid),
    List(Uuid, shared::http::page::Page),
    LastUsed(Uuid),
    Statistics(Uuid),
    Change(Uuid, change::Wish),
    End(Uuid),
    EndAll(Uuid),
}

impl Asked {
    fn of(request: &Request) -> Result<Self, ApiError> {
        Ok(match request.route.as_str() {
            "POST /v1/sessions" => Self::Create(create::Asked::of(request)?),
            "GET /v1/sessions/{id}" => Self::One(request.path_id("id")?),
            "PUT /v1/sessions/{id}" => Self::Change(request.path_id("id")?, change::Wish::device(request)?),
            "DELETE /v1/sessions/{id}" => Self::End(request.path_id("id")?),
            "POST /v1/sessions/{id}/activity" => Self::Change(request.path_id("id")?, change::Wish::Seen),
            "PUT /v1/sessions/{id}/push-token" => {
                Self::Change(request.path_id("id")?, change::Wish::push_token(request)?)
            }
            "POST /v1/sessions/{id}/extend" => Self::Change(request.path_id("id")?, change::Wish::Extend),
            "GET /v1/sessions/user/{userId}" => {
                Self::List(request.path_id("userId")?, shared::http::page::Page::of(request)?)
            }
            "GET /v1/sessions/user/{userId}/active" => Self::LastUsed(request.path_id("userId")?),
            "GET /v1/sessions/user/{userId}/stats" => Self::Statistics(request.path_id("userId")?),
            "DELETE /v1/sessions/user/{userId}/all" => Self::EndAll(request.path_id("userId")?),
            _ => return Err(unrouted(request)),
        })
    }
}

/// A request whose session stands.
struct Call<'a> {
    deps: &'a Deps,
    request: &'a Request,
    session: &'a Session,
    now: OffsetDateTime,
}

impl Call<'_> {
    /// Writes down what was done to a session: in the chain of who did it.
    async fn note(
        &self,
        tx: &Transaction<'_>,
        action: &'static str,
        (kind, id): (&'static str, Uuid),
        details: Value,
    ) -> Result<(), ApiError> {
        let entry = Entry {
            user_id: Some(self.session.user_id),
            action,
            resource: (kind, &id.to_string()),
            details,
            origin: self.request.origin(),
            now: self.now,
        };
        Ok(self.deps.audit.append(tx, &entry).await?)
    }

    /// Lets the account itself pass, and administrators if there is such an account.
    async fn may_reach(&self, tx: &Transaction<'_>, user_id: Uuid) -> Result<(), ApiError> {
        auth::owner_or_admin(self.session, user_id)?;
        if self.session.user_id == user_id || user::exists(tx, user_id).await? {
            Ok(())
        } else {
            Err(ApiError::new(ErrorCode::NotFound, "no account has this id"))
        }
    }

    fn shown(&self, session: SessionInfo) -> Shown {
        Shown { is_current: session.id == self.session.id, session }
    }
}

/// A session as callers see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    session: SessionInfo,
    /// It is the one that asks.
    is_current: bool,
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "no session of yours has this id")
}
