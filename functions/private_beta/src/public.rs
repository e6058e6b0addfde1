use serde::{Deserialize, Serialize};
use shared::db::{self, Connection};
use shared::email::Email;
use shared::http::{ApiError, ErrorCode, Reply, Request, limit};
use shared::private_beta::{self, ReferralKey};
use time::OffsetDateTime;

use crate::Deps;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    referral_key: ReferralKey,
    email: Email,
}

/// What is no key at all is not valid, like any other that was never made.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    referral_key: String,
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
}

#[derive(Serialize)]
struct Valid {
    valid: bool,
}

pub async fn verify(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let Pair { referral_key, email } = request.json()?;
    let now = deps.clock.now();
    let mut connection = counted(deps, request, now).await?;
    let tx = connection.transaction().await?;
    let verified = private_beta::verify(&tx, (&referral_key, &email), now).await?;
    db::commit(tx).await?;
    if verified {
        Ok(Reply::ok(&Verified { verified }))
    } else {
        Err(ApiError::new(ErrorCode::ReferralGone, "this referral key is unknown or was used"))
    }
}

pub async fn check_validity(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let Key { referral_key } = request.json()?;
    let connection = counted(deps, request, deps.clock.now()).await?;
    let valid = match referral_key.parse() {
        Ok(key) => private_beta::is_valid(connection.client(), &key).await?,
        Err(_) => false,
    };
    Ok(Reply::ok(&Valid { valid }))
}

pub async fn status(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let Pair { referral_key, email } = request.json()?;
    let connection = counted(deps, request, deps.clock.now()).await?;
    let verified = private_beta::came_with(connection.client(), &referral_key, &email).await?;
    Ok(Reply::ok(&Verified { verified }))
}

async fn counted(deps: &Deps, request: &Request, now: OffsetDateTime) -> Result<Connection, ApiError> {
    let connection = deps.db.connection().await?;
    let limit = limit::per_address("private_beta", request, deps.per_address);
    limit::check(connection.client(), &[limit], now).await?;
    Ok(connection)
}
