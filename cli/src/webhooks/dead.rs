use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::Result;
use shared::webhook::desk;

use super::advice::advice;
use super::{connect, lines};
use crate::store::{From, Store};
use crate::words::count;

/// List the dead letters, the oldest first: what we were told, and nobody goes on with
///
/// The lines are those of `list`. What each error code means is said below them. Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let client = connect(&Store::open(args.from).await?).await?;
    let (events, all) = desk::dead(&client, i64::from(args.limit)).await?;
    let all = usize::try_from(all)?;
    if all == 0 {
        return Ok("no dead letters".to_owned());
    }
    let mut said = lines(&events);
    let codes: BTreeSet<_> = events.iter().filter_map(|event| event.last_error_code.as_deref()).collect();
    for code in codes {
        writeln!(said, "{code}: {}", advice(code))?;
    }
    let shown = if all > events.len() { format!(", {} of them shown", events.len()) } else { String::new() };
    write!(said, "{}{shown}", count(all, "dead letter"))?;
    Ok(said)
}
