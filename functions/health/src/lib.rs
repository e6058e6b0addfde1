//! `GET /v1/health` — whether this deployment works, whom it calls in vain, and which version it is.

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

pub async fn handle(deps: &Deps, _: &Request) -> Result<Reply, ApiError> {
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
