//! To repeat either form does no harm, so no `Idempotency-Key` is taken: a second mail replaces the first one's token,
//! and a Privy user who is linked already is answered as if it had just been done.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::account::{self, ClaimError, External, IdentityKind, LinkError};
use shared::audit::Entry;
use shared::crypto::Secret;
use shared::db;
use shared::email::Email;
use shared::http::auth::{self, Bearer};
use shared::http::vouched::proven_email;
use shared::http::{ApiError, Reply, Request, StatusCode, limit, sign_in_not_configured};
use shared::mail::{Kind, NewMail};
use shared::one_time_token::{self, Purpose};
use shared::rate_limit::{self, Limit};
use shared::wallet;

use crate::Deps;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    email: Option<Email>,
    privy_token: Option<Secret<String>>,
    identity_token: Option<Secret<String>>,
}

/// A mail is on its way; the address is linked once what it brings comes back.
#[derive(Serialize)]
struct Asked {
    status: &'static str,
}

#[derive(Serialize)]
struct Linked<'a> {
    kind: IdentityKind,
    subject: &'a str,
}

pub async fn link(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let body: Body = request.json()?;
    match (body.email, body.privy_token) {
        (Some(email), None) => by_mail(deps, request, (&bearer, &email)).await,
        (None, Some(token)) => {
            let identity = body.identity_token.as_ref().map(|token| token.expose().as_str());
            by_privy(deps, request, &bearer, (token.expose(), identity)).await
        }
        (Some(_), Some(_)) => Err(ApiError::invalid("privyToken", "cannot come with an e-mail address")),
        (None, None) => Err(ApiError::invalid("email", "is missing, and so is privyToken")),
    }
}

/// The mail is sent whoever has the address: its owner may know, and nobody else learns it.
async fn by_mail(
    deps: &Deps,
    request: &Request,
    (bearer, email): (&Bearer<'_>, &Email),
) -> Result<Reply, ApiError> {
    let now = deps.clock.now();
    let mut connection = deps.db.connection().await?;
    let claims = deps.auth.sessions.claims(connection.client(), bearer, now).await?;
    // Counted by itself, so that a request that fails is counted all the same.
    let mails = Limit::new("mail:account", &claims.sub.to_string(), deps.mails_per_account);
    limit::check(connection.client(), &[mails], now).await?;
    // However many accounts ask, nobody's mailbox is filled; and none of them learns what others asked.
    let to_one = Limit::new("link_email:email", email.as_str(), deps.mails_per_email);
    let is_sent = rate_limit::count(connection.client(), &[to_one], now).await?.is_ok();
    let (tx, session) = deps.auth.begin(&mut connection, bearer, now).await?;
    let user_id = session.user_id;
    account::may_link(&tx, user_id).await?;
    let has_one = account::list(&tx, user_id)
        .await?
        .iter()
        .any(|identity| identity.kind == IdentityKind::Email.name() && identity.verified_at.is_some());
    if has_one {
        return Err(LinkError::Claim(ClaimError::HasOne).into());
    }
    if !is_sent {
        return Ok(asked());
    }
    let token = one_time_token::issue(&tx, (user_id, Purpose::LinkEmail, email), &deps.random, now).await?;
    let mail = NewMail { user_id, kind: Kind::LinkEmail, to: email, token: Some(&token), about: None };
    let written = deps.sender.mails.put(&tx, &mail, now).await?;
    let entry = Entry {
        user_id: Some(user_id),
        action: "identity.link_requested",
        resource: ("user", &user_id.to_string()),
        details: json!({ "kind": IdentityKind::Email, "session": session.id }),
        origin: request.origin(),
        now,
    };
    deps.linker.audit.append(&tx, &entry).await?;
    db::commit(tx).await?;
    drop(connection);
    deps.sender.send_now(&deps.db, written).await;
    Ok(asked())
}

fn asked() -> Reply {
    Reply::json(StatusCode::ACCEPTED, &Asked { status: "mail_sent" })
}

async fn by_privy(
    deps: &Deps,
    request: &Request,
    bearer: &Bearer<'_>,
    (token, identity_token): (&str, Option<&str>),
) -> Result<Reply, ApiError> {
    let privy = deps.privy.as_ref().ok_or_else(|| sign_in_not_configured("privy"))?;
    let now = deps.clock.now();
    // The token first: Privy may have to be asked for its keys, and only for somebody who is signed in.
    let connection = deps.db.connection().await?;
    deps.auth.sessions.claims(connection.client(), bearer, now).await?;
    drop(connection);
    let user = privy.verify(token, identity_token, now).await?;

    let email = proven_email(user.email.as_deref(), user.email_verified);
    let external =
        External { kind: IdentityKind::Privy, subject: &user.id, label: None, proven_email: email.as_ref() };
    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, bearer, now).await?;
    deps.linker.link(&tx, request, (&session, &external), now).await?;
    wallet::prove(&tx, session.user_id, user.wallets.iter().map(|wallet| &*wallet.address), now).await?;
    db::commit(tx).await?;
    Ok(Reply::json(StatusCode::CREATED, &Linked { kind: IdentityKind::Privy, subject: &user.id }))
}
