use shared::db;
use shared::http::auth;
use shared::http::page::{Cursor, Page};
use shared::http::{ApiError, Reply, Request};
use shared::user;

use crate::Deps;

pub async fn list(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let page = Page::of(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    auth::admin(&session)?;
    let after = page.after.map(|place| (place.created_at, place.id));
    let users = user::list(&tx, after, page.rows()).await?;
    db::commit(tx).await?;

    let place = |user: &user::User| Cursor { created_at: user.created_at, id: user.id };
    Ok(Reply::ok(&page.cut(users, place)))
}
