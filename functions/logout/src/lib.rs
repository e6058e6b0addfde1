//! `POST /v1/auth/logout` — ends the session at once, and takes its cookie away.

use serde::Serialize;
use serde_json::json;
use shared::audit::{Auditor, Entry};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::http::auth::{self, Authenticator};
use shared::http::{ApiError, Reply, Request};
use shared::session::own::{self, Reach};
use shared::session::{self, Ended};
use uuid::Uuid;

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    success: bool,
    /// The session that has ended.
    session_id: Uuid,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    // Of two at once, the one that came second has nothing left to write down.
    if own::end(&tx, session.id, Reach::Own(session.user_id), (Ended::Logout, now)).await? {
        let entry = Entry {
            user_id: Some(session.user_id),
            action: "session.ended",
            resource: ("session", &session.id.to_string()),
            details: json!({ "reason": Ended::Logout }),
            origin: request.origin(),
            now,
        };
        deps.audit.append(&tx, &entry).await?;
    }
    db::commit(tx).await?;

    let answer = Answer { success: true, session_id: session.id };
    Ok(Reply::ok(&answer).with_cookie(session::no_refresh_cookie()))
}
