use serde::{Deserialize, Serialize};
use shared::audit::Entry;
use shared::db::{self, Transaction};
use shared::http::auth;
use shared::http::{ApiError, Reply, Request, StatusCode, idempotent};
use shared::private_beta::{self, Minted};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

const MOST: usize = 100;

#[derive(Deserialize)]
struct Body {
    count: usize,
}

#[derive(Serialize)]
struct Answer {
    items: Vec<Minted>,
}

pub async fn one(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    mint(deps, request, 1, |minted| match minted.first() {
        Some(key) => Reply::json(StatusCode::CREATED, key),
        None => Reply::json(StatusCode::CREATED, &()),
    })
    .await
}

pub async fn many(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    auth::bearer(request)?;
    let Body { count } = request.json()?;
    if !(1..=MOST).contains(&count) {
        return Err(ApiError::invalid("count", format!("must be 1 to {MOST}")));
    }
    mint(deps, request, count, |items| Reply::json(StatusCode::CREATED, &Answer { items })).await
}

async fn mint(
    deps: &Deps,
    request: &Request,
    count: usize,
    answer: fn(Vec<Minted>) -> Reply,
) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let now = deps.clock.now();
    let ring = deps.sealing.get().await?;

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    auth::admin(&session)?;
    let caller = (request, session.user_id);
    let reply = idempotent::run(&tx, caller, &ring, (now, &deps.random), async || {
        audit(deps, &tx, caller, count, now).await?;
        Ok(answer(private_beta::mint(&tx, (count, session.user_id), &deps.random, now).await?))
    })
    .await?;
    db::commit(tx).await?;
    Ok(reply)
}

/// The keys themselves stay out of the log: whoever reads it could come with them.
async fn audit(
    deps: &Deps,
    tx: &Transaction<'_>,
    (request, user_id): (&Request, Uuid),
    count: usize,
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let entry = Entry {
        user_id: Some(user_id),
        action: "private_beta.minted",
        resource: ("user", &user_id.to_string()),
        details: serde_json::json!({ "count": count }),
        origin: request.origin(),
        now,
    };
    Ok(deps.audit.append(tx, &entry).await?)
}
