//! `GET /v1/auth/me` — get me.

use serde::Serialize;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::http::auth::{self, Authenticator};
use shared::http::{ApiError, Reply, Request};
use uuid::Uuid;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { db: Db::wire(config), auth: Authenticator::wire(config), clock: config.clock() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    user_id: Uuid,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    db::commit(tx).await?;

    Ok(Reply::ok(&Answer { user_id: session.user_id }))
}
