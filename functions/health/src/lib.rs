//! `GET /v1/health` — whether this deployment works, and which version it is.

use serde::Serialize;
use shared::config::Config;
use shared::db::{Db, DbError, query_one};
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
    version: &'static str,
}

pub async fn handle(deps: &Deps, _: &Request) -> Result<Reply, ApiError> {
    ask(&deps.db).await?;
    Ok(Reply::ok(&Answer { status: "ok", database: "ok", version: env!("CARGO_PKG_VERSION") }))
}

async fn ask(db: &Db) -> Result<(), DbError> {
    let connection = db.connection().await?;
    query_one(connection.client(), "SELECT 1", &[]).await?;
    Ok(())
}
