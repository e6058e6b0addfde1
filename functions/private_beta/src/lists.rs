use shared::db;
use shared::http::auth;
use shared::http::page::{Cursor, Page};
use shared::http::{ApiError, Reply, Request};
use shared::private_beta::{self, Referral, Which};

use crate::Deps;

pub async fn unused(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    list(deps, request, Which::Unused).await
}

pub async fn users(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    list(deps, request, Which::Used).await
}

async fn list(deps: &Deps, request: &Request, which: Which) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let page = Page::of(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    auth::admin(&session)?;
    let after = page.after.map(|place| (place.created_at, place.id));
    let found = private_beta::list(&tx, which, after, page.rows()).await?;
    db::commit(tx).await?;

    let place = |key: &Referral| Cursor { created_at: key.created_at, id: key.id };
    Ok(Reply::ok(&page.cut(found, place)))
}

/// Counts, and nobody's name.
pub async fn debug(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    auth::admin(&session)?;
    let counts = private_beta::counts(&tx).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&counts))
}
