//! `/v1/activity-logs` — what somebody did, as their client tells it.
//!
//! | Route | What it does |
//! |---|---|
//! | `POST /v1/activity-logs` | writes down what the caller did |
//! | `GET /v1/activity-logs/user/{userId}` | what an account did, in pages, for itself and for administrators |

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::activity::{self, Activity, NewActivity};
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::{self, Db};
use shared::http::auth::{self, Authenticator};
use shared::http::page::{Cursor, Page};
use shared::http::{ApiError, ErrorCode, Reply, Request, StatusCode, idempotent, unrouted};
use shared::random::Random;
use shared::secrets::SecretHandle;
use shared::user;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    sealing: SecretHandle<KeyRing>,
    clock: Clock,
    random: Random,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: Authenticator::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            clock: config.clock(),
            random: config.random(),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    action: String,
    #[serde(default)]
    details: Option<Map<String, Value>>,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "POST /v1/activity-logs" => append(deps, request).await,
        "GET /v1/activity-logs/user/{userId}" => list(deps, request).await,
        _ => Err(unrouted(request)),
    }
}

async fn append(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let body: Body = request.json()?;
    let details = body.details.unwrap_or_default();
    let now = deps.clock.now();
    let ring = deps.sealing.get().await?;

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    let caller = (request, session.user_id);
    let reply = idempotent::run(&tx, caller, &ring, (now, &deps.random), async || {
        let done = NewActivity {
            id: deps.random.id(now),
            user_id: session.user_id,
            session_id: session.id,
            action: &body.action,
            details: &details,
            ip: request.source_ip,
            now,
        };
        Ok(Reply::json(StatusCode::CREATED, &activity::append(&tx, &done).await?))
    })
    .await?;
    db::commit(tx).await?;
    Ok(reply)
}

async fn list(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("userId")?;
    let page = Page::of(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    auth::owner_or_admin(&session, user_id)?;
    let after = page.after.map(|cursor| (cursor.created_at, cursor.id));
    let rows = activity::list(&tx, user_id, after, page.rows()).await?;
    if rows.is_empty() && !user::exists(&tx, user_id).await? {
        return Err(ApiError::new(ErrorCode::NotFound, "no such account"));
    }
    db::commit(tx).await?;
    let place = |row: &Activity| Cursor { created_at: row.created_at, id: row.id };
    Ok(Reply::ok(&page.cut(rows, place)))
}
