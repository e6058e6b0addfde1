use serde::Serialize;
use shared::account::{External, IdentityKind};
use shared::db;
use shared::discord::DiscordUser;
use shared::email::Email;
use shared::http::vouched::proven_email;
use shared::http::{ApiError, ErrorCode, Reply, Request, StatusCode, auth, device, limit, signed_in};
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
    let now = deps.clock.now();
    let outcome = match returned(deps, request, now).await {
        Ok(returned) if returned.user_id.is_some() => link(deps, request, &returned, now).await,
        Ok(returned) => counted(sign_in(deps, request, &returned, now).await),
        Err(refusal) => counted(Err(refusal)),
    };
    outcome.map(|reply| reply.with_cookie(cookie::cleared()))
}

/// A link is no sign-in, and is not counted as one.
fn counted(outcome: Result<Reply, ApiError>) -> Result<Reply, ApiError> {
    signed_in::count(&outcome);
    outcome
}

async fn sign_in(
    deps: &Deps,
    request: &Request,
    returned: &Returned,
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let device_id = request.query_parameter("deviceId");
    let device = device(device_id.as_deref(), asked_platform(request)?)?;
    let user = exchange(deps, request, returned).await?;
    let email = proven_email(user.email.as_deref(), user.email_verified);
    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    let vouched = (&external(&user, email.as_ref()), device);
    let signed_in = deps.vouched.sign_in(&tx, request, vouched, now).await?;
    db::commit(tx).await?;
    Ok(signed_in.reply(StatusCode::OK))
}

async fn link(
    deps: &Deps,
    request: &Request,
    returned: &Returned,
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    // What links needs a token of the account it was begun with; looked at here, so that no code is spent without.
    let bearer = auth::bearer(request)?;
    let user = exchange(deps, request, returned).await?;
    let email = proven_email(user.email.as_deref(), user.email_verified);
    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    if returned.user_id != Some(session.user_id) {
        return Err(ApiError::new(ErrorCode::Forbidden, "another account began this"));
    }
    let external = external(&user, email.as_ref());
    deps.vouched.linker.link(&tx, request, (&session, &external), now).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&Linked { kind: IdentityKind::Discord, label: &user.username }))
}

/// Who came back.
async fn exchange(deps: &Deps, request: &Request, returned: &Returned) -> Result<DiscordUser, ApiError> {
    let code = request.query_parameter("code").ok_or_else(|| rejected("Discord sent nobody along"))?;
    let cookie = cookie::of(request).unwrap_or_default();
    let verifier = oauth_state::verifier(cookie);
    Ok(deps.discord()?.exchange(&code, &returned.redirect_uri, verifier.expose()).await?)
}

fn external<'a>(user: &'a DiscordUser, proven_email: Option<&'a Email>) -> External<'a> {
    External { kind: IdentityKind::Discord, subject: &user.id, label: Some(&user.username), proven_email }
}

/// What was noted when the browser left. It is spent with this, so what can be refused before is. A state that is
/// unknown, used or expired, and one of another browser, are one refusal.
async fn returned(deps: &Deps, request: &Request, now: OffsetDateTime) -> Result<Returned, ApiError> {
    deps.discord()?;
    device(request.query_parameter("deviceId").as_deref(), asked_platform(request)?)?;
    let connection = deps.db.connection().await?;
    limit::check(connection.client(), &[deps.limit(request)], now).await?;
    let refused = || rejected("this sign-in was not begun in this browser, or is over: begin again");
    let state = request.query_parameter("state").ok_or_else(refused)?;
    let cookie = cookie::of(request).ok_or_else(refused)?;
    oauth_state::take(connection.client(), (&state, cookie), now).await?.ok_or_else(refused)
}

fn asked_platform(request: &Request) -> Result<Option<Platform>, ApiError> {
    let Some(name) = request.query_parameter("platform") else { return Ok(None) };
    let known = [Platform::Web, Platform::Ios, Platform::Android];
    let found = known.into_iter().find(|platform| platform.name() == name);
    found.map(Some).ok_or_else(|| ApiError::invalid("platform", "must be web, ios or android"))
}

fn rejected(why: &'static str) -> ApiError {
    ApiError::new(ErrorCode::IdentityRejected, why)
}
