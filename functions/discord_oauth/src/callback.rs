use serde::Serialize;
use shared::account::{External, IdentityKind};
use shared::db;
use shared::http::vouched::proven_email;
use shared::http::{ApiError, ErrorCode, Reply, Request, StatusCode, auth, device, limit};
use shared::metrics;
use shared::oauth_state::{self, Returned};
use shared::session::Platform;
use time::OffsetDateTime;

use crate::{Deps, cookie};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linked<'a> {
    kind: IdentityKind,
    label: &'a str,
}

/// However it ends, the cookie has served.
pub async fn callback(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let outcome = come_back(deps, request).await;
    match &outcome {
        Ok(_) => metrics::count("SignInAccepted"),
        Err(error) if error.code.parts().1.is_client_error() => metrics::count("SignInRefused"),
        Err(_) => {}
    }
    outcome.map(|reply| reply.with_cookie(cookie::cleared()))
}

async fn come_back(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let discord = deps.discord()?;
    let device_id = request.query_parameter("deviceId");
    let platform = request.query_parameter("platform").map(|name| platform(&name)).transpose()?;
    let device = device(device_id.as_deref(), platform)?;
    let now = deps.clock.now();

    let returned = returned(deps, request, now).await?;
    // What links needs a token of the account it was begun with; looked at here, so that no code is spent without.
    let bearer = returned.user_id.map(|_| auth::bearer(request)).transpose()?;
    let code = request.query_parameter("code").ok_or_else(|| rejected("Discord sent nobody along"))?;
    let cookie = cookie::of(request).unwrap_or_default();
    let verifier = oauth_state::verifier(cookie);
    let user = discord.exchange(&code, &returned.redirect_uri, verifier.expose()).await?;

    let email = proven_email(user.email.as_deref(), user.email_verified);
    let external = External {
        kind: IdentityKind::Discord,
        subject: &user.id,
        label: Some(&user.username),
        proven_email: email.as_ref(),
    };
    let mut connection = deps.db.connection().await?;
    let Some(bearer) = bearer else {
        let tx = connection.transaction().await?;
        let signed_in = deps.vouched.sign_in(&tx, request, (&external, device), now).await?;
        db::commit(tx).await?;
        return Ok(signed_in.reply(StatusCode::OK));
    };
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    if returned.user_id != Some(session.user_id) {
        return Err(ApiError::new(ErrorCode::Forbidden, "another account began this"));
    }
    deps.vouched.linker.link(&tx, request, (&session, &external), now).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&Linked { kind: IdentityKind::Discord, label: &user.username }))
}

/// What was noted when the browser left. A state that is unknown, used or expired, and one of another browser, are one
/// refusal.
async fn returned(deps: &Deps, request: &Request, now: OffsetDateTime) -> Result<Returned, ApiError> {
    let connection = deps.db.connection().await?;
    limit::check(connection.client(), &[deps.limit(request)], now).await?;
    let refused = || rejected("this sign-in was not begun in this browser, or is over: begin again");
    let state = request.query_parameter("state").ok_or_else(refused)?;
    let cookie = cookie::of(request).ok_or_else(refused)?;
    oauth_state::take(connection.client(), (&state, cookie), now).await?.ok_or_else(refused)
}

fn platform(name: &str) -> Result<Platform, ApiError> {
    let known = [Platform::Web, Platform::Ios, Platform::Android];
    let found = known.into_iter().find(|platform| platform.name() == name);
    found.ok_or_else(|| ApiError::invalid("platform", "must be web, ios or android"))
}

fn rejected(why: &'static str) -> ApiError {
    ApiError::new(ErrorCode::IdentityRejected, why)
}
