use std::io::stdin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use shared::setup::undo::{Funds, UndoError, keeps_store, undo};
use shared::setup::{Saga, Setup, State, row};
use shared::upstream::Provider;
use uuid::Uuid;

use super::drive::Patience;
use super::progress::say;
use super::wiring::{origin, saga};
use super::words::{at, explain};
use crate::store::From;

/// How often one that is in somebody else's hands is tried.
const LOOK: Duration = Duration::from_secs(1);

/// Take a setup back: its address, its store, and its node
///
/// Says what would be deleted and asks. Goes from the last step to the first; one that broke off is simply undone
/// again. The name is free afterwards. A store brought over from another system stays. Needs the variables of the
/// function `resume_lightning_setups`, and the secrets it reads.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The setup's id
    id: Uuid,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Delete its node although it has a wallet, with all it holds
    #[arg(long)]
    with_funds: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let saga = saga(args.from).await?;
    let plan = Plan::of(&saga, args.id).await?;
    let Plan { setup, .. } = &plan;
    if setup.state == State::Undone {
        bail!("setup {} was undone before", setup.id);
    }
    if setup.wallet_initialised && !args.with_funds {
        bail!(may_hold_funds(setup));
    }
    if let Some(provider) = plan.missing_provider(&saga) {
        bail!(
            "{} is not configured, so what is there cannot be deleted: nothing was undone",
            provider.name()
        );
    }
    if !args.yes && !agrees(&plan.question())? {
        bail!("nothing was undone: answer yes, or say --yes");
    }
    let funds = if args.with_funds { Funds::Abandon } else { Funds::Keep };
    take_back(&saga, setup, funds, args.patience.until()).await?;
    Ok(plan.done())
}

/// Waits for a setup that somebody runs at this moment.
async fn take_back(saga: &Saga, setup: &Setup, funds: Funds, until: Instant) -> Result<()> {
    let mut said = false;
    loop {
        match undo(saga, setup.id, funds, origin("satchel setup undo")).await {
            Ok(()) => return Ok(()),
            Err(UndoError::MayHoldFunds) => bail!(may_hold_funds(setup)),
            Err(UndoError::Setup(error)) => return Err(explain(error).context("broke off: undo it again")),
            Err(UndoError::NotNow) => {}
        }
        let due = Plan::of(saga, setup.id).await?.setup.due_at;
        if Instant::now() >= until {
            bail!("setup {} is in somebody else's hands until {}: undo it then", setup.id, at(due));
        }
        if !said {
            say(&format!("waits until {}: somebody has the setup, or its time has not come", at(due)));
            said = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What there is to delete.
struct Plan {
    setup: Setup,
    keeps_store: bool,
}

impl Plan {
    async fn of(saga: &Saga, id: Uuid) -> Result<Self> {
        let connection = saga.db.connection_for_job().await?;
        let setup = row::find(connection.client(), id).await?;
        let setup =
            setup.with_context(|| format!("there is no setup {id}: `satchel setup list` has them all"))?;
        let keeps_store = keeps_store(connection.client(), &setup).await?;
        Ok(Self { setup, keeps_store })
    }

    fn missing_provider(&self, saga: &Saga) -> Option<Provider> {
        let Setup { btcpay_store_id, voltage_node_id, .. } = &self.setup;
        let needed = [(btcpay_store_id, Provider::Btcpay), (voltage_node_id, Provider::Voltage)];
        let missing =
            |(id, provider): &(&Option<String>, Provider)| id.is_some() && !saga.is_configured(*provider);
        needed.into_iter().find(missing).map(|(_, provider)| provider)
    }

    fn question(&self) -> String {
        let Self { setup, .. } = self;
        let things = self.things();
        let deleted = if things.is_empty() { "nothing".to_owned() } else { things.join(" and ") };
        let funds = if setup.wallet_initialised { ", its wallet and all it holds" } else { "" };
        let kept = self.kept().map_or(String::new(), |kept| format!("; {kept} stays"));
        let Setup { id, address, state, user_id, .. } = setup;
        let state = state.name();
        format!(
            "setup {id} of account {user_id}, {address}, {state}\ndeletes {deleted}{funds}{kept}\nUndo it? [yes/no]"
        )
    }

    fn done(&self) -> String {
        let Self { setup, .. } = self;
        let things = self.things();
        let deleted =
            if things.is_empty() { String::new() } else { format!("{} deleted; ", things.join(" and ")) };
        let kept = self.kept().map_or(String::new(), |kept| format!("{kept} kept; "));
        format!("setup {} is undone: {deleted}{kept}{} is free", setup.id, setup.address)
    }

    fn things(&self) -> Vec<String> {
        let store = self.setup.btcpay_store_id.as_deref().filter(|_| !self.keeps_store);
        let things = [("store", store), ("node", self.setup.voltage_node_id.as_deref())];
        things.iter().filter_map(|(kind, id)| Some(format!("{kind} {}", (*id)?))).collect()
    }

    fn kept(&self) -> Option<String> {
        let store = self.setup.btcpay_store_id.as_deref().filter(|_| self.keeps_store)?;
        Some(format!("store {store} of the other system"))
    }
}

fn may_hold_funds(setup: &Setup) -> String {
    let node = setup.voltage_node_id.as_deref().unwrap_or_default();
    format!("node {node} has a wallet, and nothing was undone: let its owner empty it, then say --with-funds")
}

fn agrees(question: &str) -> Result<bool> {
    say(question);
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
