use std::fmt::Write;

use anyhow::{Context, Result, bail};
use shared::db::{self, Transaction};
use shared::setup::repair::{AdoptError, Adopted, Imported, adopt, broken};
use shared::setup::{BeginError, NodeSource, Saga, SetupError, ask, row};
use uuid::Uuid;

use super::drive::{Patience, drive, say_why};
use super::progress::say;
use super::wiring::{origin, saga};
use super::words::count;
use crate::store::From;

/// Set up every imported address that lacks a store or a node
///
/// Makes a setup of each row of `imported_lightning_addresses` that no finished setup stands behind, and drives it to
/// the end. A store that is at your BTCPay is kept; a node of the other system is left alone, because the keys to its
/// wallet are not ours. Exits 1 if an address is still without a setup that finished. Needs the variables of the
/// function `resume_lightning_setups`, and the secrets it reads.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    from: From,
}

const COMMAND: &str = "satchel setup repair";

pub async fn run(args: Args) -> Result<String> {
    let saga = saga(args.from).await?;
    if !saga.switch.enabled {
        bail!("SETUP_ENABLED is false: nothing new is begun until it is true");
    }
    let plan = plan(&saga, args.dry_run).await?;
    if plan.adopted.is_empty() && plan.left_alone.is_empty() {
        return Ok("every imported address has a setup that finished".to_owned());
    }
    if args.dry_run {
        return plan.told();
    }
    for line in &plan.left_alone {
        say(line);
    }
    let setups: Vec<Uuid> = plan.adopted.iter().map(|(_, id)| *id).collect();
    let unfinished = drive(&saga, &setups, &args.patience, origin(COMMAND)).await?;
    say_why(&saga, &unfinished).await?;
    for node in plan.adopted.iter().filter_map(|(imported, _)| left_node(imported)) {
        say(&node);
    }
    let repaired = setups.len() - unfinished.len();
    let left = unfinished.len() + plan.left_alone.len();
    if left > 0 {
        bail!("{} repaired, {left} not: the lines above say why", count(repaired, "imported address"));
    }
    Ok(format!("{} repaired", count(repaired, "imported address")))
}

#[derive(Default)]
struct Plan {
    /// Each with its setup.
    adopted: Vec<(Imported, Uuid)>,
    /// A line for each address that needs a person.
    left_alone: Vec<String>,
}

/// Writes the setups down, each by itself; of a dry run nothing stays.
async fn plan(saga: &Saga, dry_run: bool) -> Result<Plan> {
    let mut connection = saga.db.connection_for_job().await?;
    let found = broken(connection.client()).await?;
    let mut plan = Plan::default();
    if dry_run {
        // In one transaction, so that two rows that want the same address meet as they would.
        let mut all = connection.transaction().await?;
        for imported in found {
            let one = all.transaction().await?;
            plan.add(saga, one, imported).await?;
        }
    } else {
        for imported in found {
            let one = connection.transaction().await?;
            plan.add(saga, one, imported).await?;
        }
    }
    Ok(plan)
}

impl Plan {
    async fn add(&mut self, saga: &Saga, tx: Transaction<'_>, imported: Imported) -> Result<()> {
        let source = if imported.has_registered_node { NodeSource::Registered } else { NodeSource::Voltage };
        if let Some(provider) = saga.missing_provider(source) {
            self.leave(&imported, &format!("{} is not configured", provider.name()));
            return Ok(());
        }
        let now = saga.clock.now();
        match adopt(&tx, &imported, &saga.switch.domain, (&saga.random, now)).await {
            Ok(Adopted { setup_id, is_new }) => {
                let setup = row::find(&tx, setup_id).await?.context("the setup is gone")?;
                let asked = (origin(COMMAND), now);
                if is_new {
                    let (ids, what) = ((setup.id, setup.user_id), (&*setup.address, setup.source));
                    ask::note_begun(&tx, &saga.audit, ids, what, asked).await.map_err(SetupError::from)?;
                } else {
                    ask::retry(&tx, &saga.audit, &setup, asked).await?;
                }
                db::commit(tx).await?;
                self.adopted.push((imported, setup_id));
            }
            Err(error) => self.leave(&imported, &reason(error)?),
        }
        Ok(())
    }

    fn leave(&mut self, imported: &Imported, why: &str) {
        self.left_alone
            .push(format!("{} of account {} is left alone: {why}", imported.address, imported.user_id));
    }

    /// What would be done.
    fn told(&self) -> Result<String> {
        let mut said = String::new();
        for (imported, _) in &self.adopted {
            let store = imported.btcpay_store_id.as_deref().filter(|id| !id.is_empty());
            let store = store.map_or("a new store".to_owned(), |id| format!("store {id}"));
            let node = if imported.has_registered_node { "the node registered" } else { "a new node" };
            writeln!(said, "{} would be set up with {store} and {node}", imported.address)?;
            if let Some(node) = left_node(imported) {
                writeln!(said, "{node}")?;
            }
        }
        for line in &self.left_alone {
            writeln!(said, "{line}")?;
        }
        write!(said, "{} to repair, {} left alone", self.adopted.len(), self.left_alone.len())?;
        Ok(said)
    }
}

fn left_node(imported: &Imported) -> Option<String> {
    let node = imported.voltage_node_id.as_deref().filter(|id| !id.is_empty())?;
    Some(format!("{}: node {node} of the other system is left alone", imported.address))
}

/// Why an address needs a person; an error when it is the database that does.
fn reason(error: AdoptError) -> Result<String> {
    Ok(match error {
        AdoptError::Address(why) => format!("its address {why}"),
        AdoptError::Begin(BeginError::AddressTaken) => "its address is another account's".to_owned(),
        AdoptError::Begin(BeginError::HasOther) => "its account has another setup".to_owned(),
        AdoptError::Begin(BeginError::Db(error)) => match error.constraint() {
            Some("lightning_setups_btcpay_store_id_key") => "its store is another setup's".to_owned(),
            _ => return Err(error.into()),
        },
    })
}
