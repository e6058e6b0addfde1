use serde::Serialize;
use shared::account;
use shared::db::{self, DbError};
use shared::discord::challenge;
use shared::http::{ApiError, HeaderValue, Reply, Request, StatusCode, auth, header, limit};
use shared::oauth_state;

use crate::{Deps, cookie};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    authorization_url: &'a str,
}

pub async fn start(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let discord = deps.discord()?;
    let asked = request.query_parameter("redirect_uri");
    let asked_more_than_once = asked.is_none() && request.query.contains("redirect_uri");
    let redirect_uri = discord.redirect_uri(asked.as_deref()).filter(|_| !asked_more_than_once);
    let redirect_uri =
        redirect_uri.ok_or_else(|| ApiError::invalid("redirect_uri", "is not one this deployment knows"))?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    limit::check(connection.client(), &[deps.limit(request)], now).await?;
    // With a token the identity is to be linked, and whether it may is known before anybody travels.
    let user_id = if request.header("authorization").is_some() {
        let bearer = auth::bearer(request)?;
        let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
        account::may_link(&tx, session.user_id).await?;
        tx.rollback().await.map_err(DbError::from)?;
        Some(session.user_id)
    } else {
        None
    };
    let tx = connection.transaction().await?;
    let departure = oauth_state::depart(&tx, (user_id, redirect_uri), &deps.random, now).await?;
    db::commit(tx).await?;
    drop(connection);

    let verifier = oauth_state::verifier(departure.cookie.expose());
    let challenge = challenge(verifier.expose());
    let url = discord.authorize_url(departure.state.expose(), &challenge, redirect_uri).await?;
    let reply = if wants_json(request) {
        Reply::ok(&Answer { authorization_url: &url })
    } else {
        let location = HeaderValue::try_from(&url).map_err(ApiError::internal)?;
        Reply { status: StatusCode::FOUND, headers: Vec::new(), cookies: Vec::new(), body: String::new() }
            .with_header(header::LOCATION, location)
    };
    Ok(reply.with_cookie(cookie::set(&departure.cookie)))
}

/// A page that reads the address and goes there by itself, because a redirect of a script's request leads nowhere.
fn wants_json(request: &Request) -> bool {
    request.header("accept").is_some_and(|accept| {
        let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        kinds.into_iter().any(|kind| kind.eq_ignore_ascii_case("application/json"))
    })
}
