//! The token that was mailed comes back: the address is the account's, or becomes one of its ways to sign in.
//!
//! An address that an account registered with is proven by whoever reads the mailbox, on whatever device. An address that
//! an account asked to link is another matter: its mailbox may be a stranger's, who clicks without thinking, or the
//! account a victim's, whose session was stolen for a minute. Whoever brings that token holds a session of the account.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::account;
use shared::audit::Entry;
use shared::crypto::Secret;
use shared::db::{self, Connection, Transaction};
use shared::http::by_mail::token_gone;
use shared::http::{ApiError, ErrorCode, Reply, Request, auth, limit};
use shared::mail::{Kind, Written};
use shared::metrics;
use shared::one_time_token::{self, Purpose, Standing, Taken};
use shared::password;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

const PURPOSES: [Purpose; 2] = [Purpose::VerifyEmail, Purpose::LinkEmail];

#[derive(Deserialize)]
struct Body {
    token: Secret<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    user_id: Uuid,
    email: &'a str,
    email_verified: bool,
}

pub async fn verify(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let Body { token } = request.json()?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let limits = [limit::per_address("verify_email", request, deps.per_address)];
    limit::check(connection.client(), &limits, now).await?;
    let (tx, by_its_session) = begin(deps, &mut connection, (request, &token), now).await?;
    let taken = one_time_token::take(&tx, token.expose(), &PURPOSES, now).await?.ok_or_else(token_gone)?;
    if by_its_session {
        password::vouch(&tx, taken.user_id, now).await?;
    }
    let told = carry_out(deps, &tx, (request, &taken), now).await?;
    db::commit(tx).await?;
    drop(connection);

    metrics::count("EmailVerified");
    deps.by_mail.sender.send_now(&deps.db, told).await;
    Ok(Reply::ok(&Answer { user_id: taken.user_id, email: taken.email.as_str(), email_verified: true }))
}

/// The transaction in which the token may be taken, and whether a session of its account brings it: then who reads the
/// mailbox is who signed in. A token that is refused here stays as good as it was.
async fn begin<'c>(
    deps: &Deps,
    connection: &'c mut Connection,
    (request, token): (&Request, &Secret<String>),
    now: OffsetDateTime,
) -> Result<(Transaction<'c>, bool), ApiError> {
    let found = one_time_token::find(connection.client(), token.expose(), &PURPOSES, now).await?;
    let Standing { user_id, purpose } = found.ok_or_else(token_gone)?;
    if purpose != Purpose::LinkEmail {
        let tx = connection.transaction().await?;
        // Mail may be read on any device: a token that is not there, or no longer good, is no reason to refuse.
        let session = match auth::bearer(request) {
            Ok(bearer) => deps.auth.enter(&tx, &bearer, now).await.ok(),
            Err(_) => None,
        };
        return Ok((tx, session.is_some_and(|session| session.user_id == user_id)));
    }
    let bearer = auth::bearer(request)?;
    let (tx, session) = deps.auth.begin(connection, &bearer, now).await?;
    if session.user_id == user_id { Ok((tx, false)) } else { Err(another_accounts()) }
}

async fn carry_out(
    deps: &Deps,
    tx: &Transaction<'_>,
    (request, taken): (&Request, &Taken),
    now: OffsetDateTime,
) -> Result<Option<Written>, ApiError> {
    let Taken { user_id, purpose, email } = taken;
    let links = *purpose == Purpose::LinkEmail;
    if links {
        account::link_email(tx, *user_id, email, now).await?;
    } else if !account::verify_email(tx, *user_id, email, now).await? {
        // The account has another address by now.
        return Err(token_gone());
    }
    let entry = Entry {
        user_id: Some(*user_id),
        action: if links { "identity.linked" } else { "email.verified" },
        resource: ("user", &user_id.to_string()),
        details: json!({ "kind": "email" }),
        origin: request.origin(),
        now,
    };
    deps.by_mail.audit.append(tx, &entry).await?;
    if !links {
        return Ok(None);
    }
    Ok(deps
        .by_mail
        .sender
        .mails
        .tell(tx, (*user_id, Kind::IdentityLinked, Some("this address")), now)
        .await?)
}

fn another_accounts() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "sign in to the account that asked for the address, then repeat this")
}
