use anyhow::{Context, Result, bail};
use shared::db::{self, GenericClient};
use shared::setup::{Saga, State, ask, row};
use uuid::Uuid;

use super::drive::{Patience, drive, say_why, why};
use super::locate::locate;
use super::wiring::{origin, saga};
use super::words::count;
use crate::store::From;

/// Let failed setups run again, and drive them to the end from here
///
/// Says on standard error what each step comes to. Exits 1 if a setup is not fully configured at the end. Needs the
/// variables of the function `resume_lightning_setups`, and the secrets it reads.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The setup's id, its address or user name, or the account's id
    #[arg(value_name = "ID|ADDRESS|USER")]
    setup: Option<String>,
    /// Every one that failed
    #[arg(long)]
    all_failed: bool,
}

const COMMAND: &str = "satchel setup retry";

pub async fn run(args: Args) -> Result<String> {
    let saga = saga(args.from).await?;
    match args.which.setup {
        Some(text) => one(&saga, &text, &args.patience).await,
        None => all(&saga, &args.patience).await,
    }
}

async fn one(saga: &Saga, text: &str, patience: &Patience) -> Result<String> {
    let setup = {
        let connection = saga.db.connection_for_job().await?;
        locate(connection.client(), text).await?
    };
    match setup.state {
        State::Finished => {
            return Ok(format!("{} is fully configured: there is nothing to retry", setup.address));
        }
        State::Undone => bail!("setup {} was undone: its user may ask for another", setup.id),
        State::Failed => drop(let_run(saga, setup.id).await?),
        // It is driven to its end without being asked for anew.
        State::Running => {}
    }
    match drive(saga, &[setup.id], patience, origin(COMMAND)).await?.first() {
        None => Ok(format!("{} is fully configured", setup.address)),
        Some(unfinished) => bail!(why(saga, unfinished).await?),
    }
}

async fn all(saga: &Saga, patience: &Patience) -> Result<String> {
    let failed = {
        let connection = saga.db.connection_for_job().await?;
        failed(connection.client()).await?
    };
    let mut setups = Vec::new();
    for id in failed {
        // Somebody else may have been quicker.
        if let_run(saga, id).await? {
            setups.push(id);
        }
    }
    if setups.is_empty() {
        return Ok("no setup has failed".to_owned());
    }
    let unfinished = drive(saga, &setups, patience, origin(COMMAND)).await?;
    if unfinished.is_empty() {
        return Ok(format!("{} retried: fully configured", count(setups.len(), "setup")));
    }
    say_why(saga, &unfinished).await?;
    let all = count(setups.len(), "setup");
    bail!("{} of {all} retried are not configured: `satchel setup list` has them", unfinished.len())
}

async fn let_run(saga: &Saga, id: Uuid) -> Result<bool> {
    let mut connection = saga.db.connection_for_job().await?;
    let tx = connection.transaction().await?;
    let setup = row::find(&tx, id).await?.context("the setup is gone")?;
    let retried = ask::retry(&tx, &saga.audit, &setup, (origin(COMMAND), saga.clock.now())).await?;
    db::commit(tx).await?;
    Ok(retried)
}

async fn failed(client: &impl GenericClient) -> Result<Vec<Uuid>> {
    let rows = db::query(
        client,
        "SELECT id FROM lightning_setups WHERE state = 'failed' ORDER BY updated_at, id",
        &[],
    )
    .await?;
    Ok(rows.iter().map(|row| row.get("id")).collect())
}
