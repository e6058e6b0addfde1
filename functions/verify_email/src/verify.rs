//! The token that was mailed comes back: the address is the account's, or becomes one of its ways to sign in.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::account;
use shared::audit::Entry;
use shared::crypto::Secret;
use shared::db::{self, Transaction};
use shared::http::{ApiError, ErrorCode, Reply, Request, limit};
use shared::mail::{Kind, Written};
use shared::metrics;
use shared::one_time_token::{self, Purpose, Taken};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

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
    let tx = connection.transaction().await?;
    let purposes = [Purpose::VerifyEmail, Purpose::LinkEmail];
    let taken = one_time_token::take(&tx, token.expose(), &purposes, now).await?.ok_or_else(gone)?;
    let told = carry_out(deps, &tx, (request, &taken), now).await?;
    db::commit(tx).await?;
    drop(connection);

    metrics::count("EmailVerified");
    deps.by_mail.sender.send_now(&deps.db, told).await;
    Ok(Reply::ok(&Answer { user_id: taken.user_id, email: taken.email.as_str(), email_verified: true }))
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
        return Err(gone());
    }
    let entry = Entry {
        user_id: Some(*user_id),
        action: if links { "identity.linked" } else { "email.verified" },
        resource: ("account", &user_id.to_string()),
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

fn gone() -> ApiError {
    ApiError::new(ErrorCode::TokenGone, "the token is unknown, used or expired; ask for another one")
}
