use serde::Deserialize;
use shared::db::{self, Connection};
use shared::http::auth::{self, Bearer};
use shared::http::{ApiError, ErrorCode, Reply, Request, StatusCode, limit};
use shared::lock::{self, Held, Name};
use shared::user;
use shared::wallet::{self, Address, Claimed};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Deps, LOCK_TTL, answer, forbidden, not_found};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    wallet_address: Address,
}

/// For the owner alone: it is a claim, and nobody claims for another.
pub async fn register(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("id")?;
    let Body { wallet_address } = request.json()?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let client = connection.client();
    // Who asks is known before a lock is taken, so that nobody keeps others waiting in their name.
    let claims = deps.auth.sessions.claims(client, &bearer, now).await?;
    limit::check(client, &[deps.auth.sessions.limit(&claims)], now).await?;
    if claims.sub != user_id {
        return Err(forbidden());
    }
    let name = Name::new("wallet", wallet_address.as_str());
    let held = lock::acquire(client, &name, LOCK_TTL, &deps.random).await?;
    let reply = claim(deps, &mut connection, (&bearer, &held), (user_id, &wallet_address), now).await;
    lock::let_go(connection.client(), held).await;
    reply
}

async fn claim(
    deps: &Deps,
    connection: &mut Connection,
    (bearer, held): (&Bearer<'_>, &Held),
    (user_id, address): (Uuid, &Address),
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let tx = connection.transaction().await?;
    deps.auth.sessions.enter(&tx, bearer, now).await?;
    lock::fence(&tx, held).await?;
    let status = match wallet::claim(&tx, user_id, address, now).await? {
        Claimed::New => StatusCode::CREATED,
        Claimed::Again => StatusCode::OK,
        Claimed::TooMany => {
            let message = format!("an account has at most {} wallets", wallet::MAX_PER_ACCOUNT);
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
    };
    let user = user::find(&tx, user_id).await?.ok_or_else(not_found)?;
    db::commit(tx).await?;
    let mut reply = answer(Reply::ok, &user);
    reply.status = status;
    Ok(reply)
}
