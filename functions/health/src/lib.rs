//! `/v1/health` — whether this deployment works.
//!
//! | Route | What it tells |
//! |---|---|
//! | `GET /v1/health` | whether the database answers, whom this deployment calls in vain, and which version it is |
//! | `GET /v1/auth/status` | that the service is up, and no more: the database is not asked |

use std::collections::BTreeMap;

use serde::Serialize;
use shared::breaker;
use shared::config::Config;
use shared::db::Db;
use shared::http::{ApiError, Reply, Request};

pub struct Deps {
    db: Db,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { db: Db::wire(config) }
    }
}

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    database: &'static str,
    /// The breaker of each provider that was called so far: `closed`, or `open` while it is not called. Of `lnd` it is
    /// `open` while any node is not called. No reason to be unwell: sign-in needs none of them.
    providers: BTreeMap<String, &'static str>,
    version: &'static str,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "GET /v1/auth/status" => Ok(Reply::ok(&Status { status: "ok" })),
        _ => health(deps).await,
    }
}

async fn health(deps: &Deps) -> Result<Reply, ApiError> {
    let connection = deps.db.connection().await?;
    let states = breaker::states(connection.client()).await?;
    let word = |open| if open { "open" } else { "closed" };
    Ok(Reply::ok(&Answer {
        status: "ok",
        database: "ok",
        providers: states.into_iter().map(|state| (state.provider, word(state.open))).collect(),
        version: env!("CARGO_PKG_VERSION"),
    }))
}
