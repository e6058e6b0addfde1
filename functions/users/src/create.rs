use serde::Deserialize;
use shared::audit::Entry;
use shared::crypto::KeyRing;
use shared::db::{self, Connection, Transaction};
use shared::email::Email;
use shared::http::auth::{self, Bearer};
use shared::http::{ApiError, Reply, Request, StatusCode, idempotent, limit, version};
use shared::lock::{self, Held, Name};
use shared::user::{self, NewUser};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Deps, LOCK_TTL, forbidden, not_found, parse};

/// Of an account nobody has changed yet.
const FIRST_VERSION: i64 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    privy_id: String,
    email: Option<Email>,
    display_name: Option<String>,
}

pub async fn create(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let body: Body = request.json()?;
    let new = NewUser {
        id: deps.random.id(deps.clock.now()),
        privy_id: parse::privy_id(&body.privy_id)?,
        email: body.email.as_ref(),
        display_name: body.display_name.as_deref().map(parse::display_name).transpose()?,
    };
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let client = connection.client();
    // Who asks is known before a lock is taken, so that nobody keeps others waiting in their name.
    let claims = deps.auth.sessions.claims(client, &bearer, now).await?;
    limit::check(client, &[deps.auth.sessions.limit(&claims)], now).await?;
    if !claims.is_admin() {
        return Err(forbidden());
    }
    let ring = deps.sealing.get().await?;
    let name = Name::new("user", new.privy_id);
    let held = lock::acquire(client, &name, LOCK_TTL, &deps.random).await?;
    let reply = locked(deps, &mut connection, (&bearer, &held, &ring), (request, &new), now).await;
    lock::let_go(connection.client(), held).await;
    reply
}

async fn locked(
    deps: &Deps,
    connection: &mut Connection,
    (bearer, held, ring): (&Bearer<'_>, &Held, &KeyRing),
    (request, new): (&Request, &NewUser<'_>),
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let tx = connection.transaction().await?;
    let session = deps.auth.sessions.enter(&tx, bearer, now).await?;
    auth::admin(&session)?;
    lock::fence(&tx, held).await?;
    let caller = (request, session.user_id);
    let reply = idempotent::run(&tx, caller, ring, (now, &deps.random), async || {
        make(deps, &tx, caller, new, now).await
    })
    .await?;
    db::commit(tx).await?;
    Ok(version::tagged(reply, FIRST_VERSION))
}

async fn make(
    deps: &Deps,
    tx: &Transaction<'_>,
    (request, admin_id): (&Request, Uuid),
    new: &NewUser<'_>,
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    user::create(tx, new, now).await?;
    let user = user::find(tx, new.id).await?.ok_or_else(not_found)?;
    // The row stands in the new account's own chain; the answer is kept among the administrator's.
    user::act_for(tx, new.id).await?;
    let entry = Entry {
        user_id: Some(new.id),
        action: "user.created",
        resource: ("user", &new.id.to_string()),
        details: serde_json::json!({ "by": admin_id, "email": new.email.is_some() }),
        origin: request.origin(),
        now,
    };
    deps.audit.append(tx, &entry).await?;
    user::act_for(tx, admin_id).await?;
    Ok(Reply::json(StatusCode::CREATED, &user))
}
