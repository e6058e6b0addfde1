//! Every hour — seal how long each audit chain is, so that a tail cut off later shows.

use serde::Serialize;
use shared::audit::{self, AuditDocument, AuditKey};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::runtime::Error;
use shared::secrets::SecretHandle;

pub struct Deps {
    db: Db,
    audit: SecretHandle<AuditKey>,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            audit: config.secret::<AuditDocument, AuditKey>("AUDIT_SECRET"),
            clock: config.clock(),
        }
    }
}

/// How many chains had grown.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    pub sealed: usize,
}

pub async fn run(deps: &Deps) -> Result<Report, Error> {
    let key = deps.audit.get().await?;
    let connection = deps.db.connection_for_job().await?;
    let sealed = audit::seal_heads(connection.client(), &key, deps.clock.now()).await?;
    Ok(Report { sealed })
}
