use std::fmt::Write;

use anyhow::Result;
use shared::db::roles::Role;
use shared::db::{self, GenericClient, Type};
use shared::setup::{NodeSource, Setup, State, status};
use time::OffsetDateTime;
use tokio_postgres::Client;

use super::locate::locate;
use super::words::{advice, at, count};
use crate::store::{From, Store};

/// Log rows shown, the newest.
const MOST_LOG_ROWS: i64 = 60;

/// Show a setup: its steps, what it holds at the providers, and its log
///
/// Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The setup's id, its address or user name, or the account's id
    #[arg(value_name = "ID|ADDRESS|USER")]
    setup: String,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::open(args.from).await?;
    let client = store.connect(Role::Jobs).await?;
    let setup = locate(&client, &args.setup).await?;
    let mut said = String::new();
    head(&mut said, &setup)?;
    let code = steps(&mut said, &client, &setup).await?;
    holdings(&mut said, &client, &setup).await?;
    log(&mut said, &client, &setup).await?;
    next(&mut said, &setup, code.as_deref())?;
    Ok(said)
}

fn head(said: &mut String, setup: &Setup) -> Result<()> {
    writeln!(said, "setup {}  {}  {}", setup.id, setup.address, setup.state.name())?;
    writeln!(said, "  account   {}", setup.user_id)?;
    writeln!(said, "  node      {}", setup.source.name())?;
    let runs = count(usize::try_from(setup.runs)?, "time");
    writeln!(said, "  begun     {}, taken up {runs}", at(setup.created_at))?;
    if setup.state == State::Running {
        writeln!(said, "  due       {}: whoever has it now lets go by then", at(setup.due_at))?;
    }
    Ok(())
}

/// The steps in their order; returns the code at the one it stands at.
async fn steps(said: &mut String, client: &Client, setup: &Setup) -> Result<Option<String>> {
    writeln!(said, "\nsteps")?;
    let mut current = None;
    for step in status::of(client, setup).await?.steps {
        let code = step.last_error_code.unwrap_or_default();
        let line = format!("  {:<14}  {:<7}  attempts {:<3}  {code}", step.name, step.state, step.attempts);
        writeln!(said, "{}", line.trim_end())?;
        if step.name == setup.step.name() && !code.is_empty() {
            current = Some(code);
        }
    }
    Ok(current)
}

async fn holdings(said: &mut String, client: &impl GenericClient, setup: &Setup) -> Result<()> {
    let gone = if setup.state == State::Undone { " (deleted)" } else { "" };
    writeln!(said, "\nat the providers{gone}")?;
    let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
    if setup.source == NodeSource::Voltage {
        let wallet = if setup.wallet_initialised { "with our wallet" } else { "without a wallet of ours" };
        writeln!(said, "  voltage node    {}, {wallet}", id(&setup.voltage_node_id))?;
        if setup.generation > 1 {
            let generation = setup.generation;
            writeln!(
                said,
                "                  under name {generation}: the nodes before it were not ours to use"
            )?;
        }
    }
    writeln!(said, "  node address    {}", id(&setup.node_url))?;
    writeln!(said, "  node key        {}", id(&setup.node_pubkey))?;
    writeln!(said, "  btcpay store    {}", id(&setup.btcpay_store_id))?;
    writeln!(said, "  btcpay webhook  {}", id(&setup.btcpay_webhook_id))?;
    if setup.source == NodeSource::Voltage && setup.wallet_initialised {
        let seed = db::query_opt(
            client,
            "SELECT seed_handed_over_at FROM lightning_setup_secrets WHERE setup_id = $1",
            &[(&setup.id, Type::UUID)],
        )
        .await?;
        let given: Option<OffsetDateTime> = seed.and_then(|row| row.get("seed_handed_over_at"));
        let seed = given.map_or("not handed over".to_owned(), |given| format!("handed over {}", at(given)));
        writeln!(said, "  seed            {seed}")?;
    }
    Ok(())
}

async fn log(said: &mut String, client: &impl GenericClient, setup: &Setup) -> Result<()> {
    writeln!(said, "\nlog")?;
    let mut rows = db::query(
        client,
        "SELECT created_at, step, event, attempt, error_code, detail FROM lightning_setup_log
         WHERE setup_id = $1 ORDER BY id DESC LIMIT $2",
        &[(&setup.id, Type::UUID), (&MOST_LOG_ROWS, Type::INT8)],
    )
    .await?;
    rows.reverse();
    for row in rows {
        let (step, event): (&str, &str) = (row.get("step"), row.get("event"));
        let code: Option<&str> = row.get("error_code");
        let detail: Option<&str> = row.get("detail");
        let attempt: i32 = row.get("attempt");
        let line = format!(
            "  {}  {step:<14}  {event:<12}  {attempt:<3}  {}  {}",
            at(row.get("created_at")),
            code.unwrap_or_default(),
            detail.unwrap_or_default().replace(char::is_control, " "),
        );
        writeln!(said, "{}", line.trim_end())?;
    }
    Ok(())
}

fn next(said: &mut String, setup: &Setup, code: Option<&str>) -> Result<()> {
    let next = match (setup.state, code) {
        (State::Failed, Some(code)) => format!("{code}: {} (satchel setup retry {})", advice(code), setup.id),
        (State::Failed, None) => format!("satchel setup retry {}", setup.id),
        (State::Running, Some(code)) => {
            format!("it goes on by itself; last trouble {code}: {}", advice(code))
        }
        (State::Running, None) => "it goes on by itself".to_owned(),
        (State::Finished, _) => "nothing to do".to_owned(),
        (State::Undone, _) => "nothing to do: it was taken back".to_owned(),
    };
    write!(said, "\nnext: {next}")?;
    Ok(())
}
