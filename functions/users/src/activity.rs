use serde::Serialize;
use shared::db;
use shared::http::auth;
use shared::http::{ApiError, Reply, Request};
use shared::user;
use time::OffsetDateTime;

use crate::{Deps, forbidden, not_found};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(with = "time::serde::rfc3339")]
    last_active_at: OffsetDateTime,
}

/// For the owner alone: nobody else knows whether they are there.
pub async fn note(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("id")?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    if session.user_id != user_id {
        return Err(forbidden());
    }
    let last_active_at = user::touch(&tx, user_id, now).await?.ok_or_else(not_found)?;
    db::commit(tx).await?;
    Ok(Reply::ok(&Answer { last_active_at }))
}
