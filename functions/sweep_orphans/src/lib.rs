//! Every day — list what our accounts at the providers hold and no setup owns. It reports; it never deletes.
//!
//! Safe to run twice, late, or beside itself: each run writes a report of its own, and only a day-old one can be
//! applied, by `satchel setup sweep --apply`, to what is an orphan still.

use shared::audit::Origin;
use shared::config::Config;
use shared::runtime::{Error, Invocation};
use shared::setup::orphans::{self, Report};
use shared::setup::{Saga, WalletAccess};

pub struct Deps {
    saga: Saga,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { saga: Saga::wire(config, WalletAccess::Write) }
    }
}

pub async fn run(deps: &Deps, invocation: &Invocation) -> Result<Report, Error> {
    // A database that is away is waited for here; what follows asks the providers first.
    drop(deps.saga.db.connection_for_job().await?);
    Ok(orphans::report(&deps.saga, Origin { ip: None, request_id: &invocation.id }).await?)
}
