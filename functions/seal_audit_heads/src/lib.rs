//! Every hour — check what the audit log grew by, and seal how long each chain is, so that a tail cut off later
//! shows. What does not check raises `AuditGap`.

use shared::audit::{self, AuditDocument, AuditKey, Sealed};
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

pub async fn run(deps: &Deps) -> Result<Sealed, Error> {
    let key = deps.audit.get().await?;
    let connection = deps.db.connection_for_job().await?;
    Ok(audit::seal_heads(connection.client(), &key, deps.clock.now()).await?)
}
