use std::collections::BTreeMap;

use anyhow::{Context, Result};
use shared::audit::Origin;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::roles::Role;
use shared::db::{self, GenericClient};
use shared::setup::{Saga, WalletAccess};
use time::OffsetDateTime;

use crate::store::{From, Store, database_secret};

/// Setups driven side by side from here.
pub const SIDE_BY_SIDE: usize = 4;
/// One for each of them, and one to look how they do.
const CONNECTIONS: usize = SIDE_BY_SIDE + 1;

/// Variables that hold the name of a secret, and what that is called behind the prefix.
const SECRETS: [(&str, &str); 3] =
    [("SEALING_SECRET", "sealing"), ("AUDIT_SECRET", "audit"), ("MARKER_SECRET", "marker")];
/// Those of providers, which say the name themselves: one without is not configured.
const PROVIDERS: [&str; 2] = ["BTCPAY_SECRET", "VOLTAGE_SECRET"];

/// The saga as `resume_lightning_setups` has it: the secrets from where the others are, everything else from the
/// variables of that function.
pub async fn saga(from: From) -> Result<Saga> {
    let store = Store::open(from).await?;
    let mut config = Config::from_process();
    let mut documents = BTreeMap::new();
    let mut named = vec![("DATABASE_SECRET", database_secret(Role::Jobs))];
    named.extend(SECRETS.map(|(variable, secret)| (variable, secret.to_owned())));
    for variable in PROVIDERS {
        let Some(name) = config.optional(variable) else { continue };
        let secret = store.behind_prefix(&name);
        let secret = secret.with_context(|| format!("{variable} names a secret outside of --prefix"))?;
        named.push((variable, secret.to_owned()));
    }
    for (variable, secret) in named {
        let text = store.find(&secret).await?;
        let text = text.with_context(|| format!("there is no secret {}", store.location(&secret)))?;
        config = config.with(variable, store.name(&secret));
        documents.insert(store.name(&secret), text);
    }
    let clock = clock(&store.connect(Role::Jobs).await?).await?;
    let config = config.with("DATABASE_POOL_SIZE", CONNECTIONS.to_string());
    let mut config = config.with_documents(documents).with_clock(clock);
    let saga = Saga::wire(&mut config, WalletAccess::Read);
    config.finish().await.context(
        "the environment is not that of resume_lightning_setups (docs/setup.md has the command that copies it)",
    )?;
    Ok(saga)
}

/// The database's clock, which functions are close to: by this machine's a lease might look as if it were over.
async fn clock(client: &impl GenericClient) -> Result<Clock> {
    let row = db::query_one(client, "SELECT clock_timestamp() AS now", &[]).await?;
    let own = Clock::system();
    let ahead = row.get::<_, OffsetDateTime>("now") - own.now();
    Ok(Clock::from_fn(move || own.now() + ahead))
}

/// Who the audit log says it was.
pub const fn origin(command: &'static str) -> Origin<'static> {
    Origin { ip: None, request_id: command }
}
