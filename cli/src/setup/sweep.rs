use std::fmt::Write;

use anyhow::{Result, bail};
use shared::setup::Saga;
use shared::setup::orphans::{self, ApplyError, Fate, Kind, LEAST_AGE, Orphan};
use shared::upstream::Provider;
use uuid::Uuid;

use super::progress::say;
use super::wiring::{origin, saga};
use super::words::{advice, at, count, explain};
use crate::store::From;

/// Report what the accounts at the providers hold and no setup owns; delete it when told to
///
/// What carries the marker of this deployment and belongs to none of its setups is an orphan. Without options a report
/// of them is written and nothing is deleted, as the function `sweep_orphans` does once a day. Needs the variables of
/// the function `resume_lightning_setups`, and the secrets it reads.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Delete what this report names and is an orphan still; the report must be a day old
    #[arg(long, value_name = "REPORT")]
    apply: Option<Uuid>,
    /// Delete these nodes although they have a wallet, with all it holds
    #[arg(long, value_name = "NODE", num_args = 1.., requires = "apply")]
    with_funds: Vec<String>,
    #[command(flatten)]
    from: From,
}

const COMMAND: &str = "satchel setup sweep";

pub async fn run(args: Args) -> Result<String> {
    let saga = saga(args.from).await?;
    let accounts = [Provider::Btcpay, Provider::Voltage];
    if !accounts.iter().any(|provider| saga.is_configured(*provider)) {
        bail!("neither btcpay nor voltage is configured: there is no account to look at");
    }
    for provider in accounts.into_iter().filter(|provider| !saga.is_configured(*provider)) {
        say(&format!("{} is not configured, and was not looked at", provider.name()));
    }
    match args.apply {
        Some(report) => apply(&saga, report, &args.with_funds).await,
        None => report(&saga).await,
    }
}

async fn report(saga: &Saga) -> Result<String> {
    let report = orphans::report(saga, origin(COMMAND)).await.map_err(explain)?;
    if report.orphans.is_empty() {
        return Ok("no orphans".to_owned());
    }
    let mut said = String::new();
    for orphan in &report.orphans {
        let wallet = if orphan.has_wallet { "  may have a wallet: only --with-funds deletes it" } else { "" };
        writeln!(said, "{}  of setup {}{wallet}", name(orphan), orphan.setup_id)?;
    }
    let (found, id) = (count(report.orphans.len(), "orphan"), report.id);
    write!(
        said,
        "{found} in report {id}\nNext: from {} on, satchel setup sweep --apply {id} deletes those that are orphans \
         still",
        at(report.created_at + LEAST_AGE)
    )?;
    Ok(said)
}

async fn apply(saga: &Saga, report: Uuid, with_funds: &[String]) -> Result<String> {
    let applied = orphans::apply(saga, report, with_funds, origin(COMMAND)).await;
    let fates = match applied {
        Ok(fates) => fates,
        Err(ApplyError::NoSuchReport) => {
            bail!("there is no report {report}: `satchel setup sweep` writes one")
        }
        Err(ApplyError::TooYoung) => bail!(
            "report {report} is younger than a day, and nothing was deleted: a setup under way may own by then what \
             it names"
        ),
        Err(ApplyError::Setup(error)) => return Err(explain(error).context("nothing more was deleted")),
    };
    let unknown = with_funds.iter().find(|node| !fates.iter().any(|(orphan, _)| orphan.id == **node));
    if let Some(node) = unknown {
        say(&format!("{node} is not in report {report}"));
    }
    let mut lines = String::new();
    for (orphan, fate) in &fates {
        writeln!(lines, "{}  {}", name(orphan), became(*fate))?;
    }
    let number = |wanted: fn(&Fate) -> bool| fates.iter().filter(|(_, fate)| wanted(fate)).count();
    let deleted = number(|fate| *fate == Fate::Deleted);
    let failed = number(|fate| matches!(fate, Fate::Failed { .. }));
    if failed > 0 {
        say(lines.trim_end());
        bail!("{deleted} deleted, {failed} not: run this again when the provider is well");
    }
    write!(lines, "{} of {} deleted", deleted, count(fates.len(), "orphan"))?;
    Ok(lines)
}

fn name(orphan: &Orphan) -> String {
    let kind = match orphan.kind {
        Kind::BtcpayStore => "btcpay store",
        Kind::VoltageNode => "voltage node",
    };
    format!("{kind} {}", orphan.id)
}

fn became(fate: Fate) -> String {
    match fate {
        Fate::Deleted => "deleted".to_owned(),
        Fate::MayHoldFunds => "kept: it may have a wallet, and --with-funds does not name it".to_owned(),
        Fate::NoOrphan => "left: it is gone, has another name, or a setup owns it by now".to_owned(),
        Fate::Failed { code } => format!("not deleted: {code}: {}", advice(code)),
    }
}
