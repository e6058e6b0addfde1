//! Invoked by the deploy, before traffic moves — bring the schema up to date.

use serde::Serialize;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{Credentials, Database};
use shared::migrations;
use shared::runtime::Error;
use shared::secrets::SecretHandle;

pub struct Deps {
    database: SecretHandle<Database>,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { database: config.secret::<Credentials, Database>("DATABASE_SECRET"), clock: config.clock() }
    }
}

/// The steps that ran this time.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    pub applied: Vec<&'static str>,
}

pub async fn run(deps: &Deps) -> Result<Report, Error> {
    let mut client = deps.database.get().await?.connect().await?;
    let applied = migrations::run(&mut client, deps.clock.now()).await?;
    Ok(Report { applied })
}
