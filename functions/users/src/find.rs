use shared::db::{self, Transaction};
use shared::http::auth;
use shared::http::{ApiError, Reply, Request};
use shared::session::Session;
use shared::user::{self, User};
use shared::wallet::Address;

use crate::{Deps, answer, not_found, parse};

pub async fn by_id(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("id")?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    auth::owner_or_admin(&session, user_id)?;
    let found = user::find(&tx, user_id).await?;
    show(tx, found).await
}

pub async fn by_privy(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let privy_id = request.path_parameter("privyId");
    let privy_id = parse::privy_id(&privy_id)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    let found = user::find_by_privy(&tx, privy_id).await?;
    show(tx, found.filter(|user| may_see(&session, user))).await
}

pub async fn by_wallet(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let address = request.path_parameter("walletAddress").parse::<Address>();
    let address = address.map_err(|error| ApiError::invalid("walletAddress", error.to_string()))?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    let found = user::find_by_wallet(&tx, &address).await?;
    show(tx, found.filter(|user| may_see(&session, user))).await
}

/// Row-level security hides others' accounts from whoever is no administrator. Somebody who became one since their token
/// was issued sees them in the database, and not here yet.
fn may_see(session: &Session, user: &User) -> bool {
    auth::owner_or_admin(session, user.id).is_ok()
}

async fn show(tx: Transaction<'_>, found: Option<User>) -> Result<Reply, ApiError> {
    db::commit(tx).await?;
    Ok(answer(Reply::ok, &found.ok_or_else(not_found)?))
}
