use anyhow::{Result, bail};
use shared::audit::{self, AuditDocument, AuditKey};
use shared::db::roles::Role;

use crate::store::{From, Store};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Walk every chain of the audit log and name the first row that is not what was written
    ///
    /// Exits 1 if there is one. The log may grow meanwhile. Reads the secrets `audit` and `database/jobs`.
    Verify(From),
}

pub async fn run(command: Command) -> Result<String> {
    let Command::Verify(from) = command;
    let store = Store::open(from).await?;
    let key: AuditKey = store.read::<AuditDocument, _>("audit").await?;
    let client = store.connect(Role::Jobs).await?;
    // The role's own limit is made for requests, which never look at the whole log.
    client.batch_execute("SET statement_timeout = '1h'").await?;
    match audit::verify(&client, &key).await? {
        Ok(found) => Ok(format!(
            "the audit log is what was written: {} rows in {} chains, {} sealed heads",
            found.rows, found.chains, found.heads
        )),
        Err(broken) => bail!("{broken}"),
    }
}
