use anyhow::{Context, Result, bail};
use shared::setup::undo::{Funds, UndoError, undo};
use shared::setup::{Setup, row};
use uuid::Uuid;

use super::wiring::{origin, saga};
use super::words::explain;
use crate::store::From;

/// Take a setup back: its address, its store, and its node
///
/// From the last step to the first; one that broke off is simply undone again. The name is free afterwards. Needs the
/// variables of the function resume_lightning_setups, and the secrets it reads.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The setup's id
    id: Uuid,
    /// Delete its node although it has a wallet, with all it holds
    #[arg(long)]
    with_funds: bool,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let saga = saga(args.from).await?;
    let id = args.id;
    let setup = {
        let connection = saga.db.connection_for_job().await?;
        let setup = row::find(connection.client(), id).await?;
        setup.with_context(|| format!("there is no setup {id}: `satchel setup list` has them all"))?
    };
    let funds = if args.with_funds { Funds::Abandon } else { Funds::Keep };
    match undo(&saga, id, funds, origin("satchel setup undo")).await {
        Ok(()) => Ok(gone(&setup)),
        Err(UndoError::NotNow) if setup.state == shared::setup::State::Undone => {
            bail!("setup {id} was undone before")
        }
        Err(UndoError::NotNow) => bail!("setup {id} is being worked on: try again in two minutes"),
        Err(UndoError::MayHoldFunds) => bail!(
            "node {} has a wallet, and nothing was undone: let its owner empty it, then say --with-funds",
            setup.voltage_node_id.as_deref().unwrap_or_default()
        ),
        Err(UndoError::Setup(error)) => Err(explain(error).context("broke off: undo it again")),
    }
}

fn gone(setup: &Setup) -> String {
    let things = [("store", &setup.btcpay_store_id), ("node", &setup.voltage_node_id)];
    let things = things.iter().filter_map(|(kind, id)| Some(format!("{kind} {}", id.as_deref()?)));
    let things: Vec<_> = things.collect();
    let deleted = if things.is_empty() { String::new() } else { format!("{} deleted; ", things.join(" and ")) };
    format!("setup {} is undone: {deleted}{} is free", setup.id, setup.address)
}
