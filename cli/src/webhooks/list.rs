use anyhow::Result;
use shared::webhook::desk::{self, State};

use super::which::Which;
use super::{connect, lines};
use crate::store::{From, Store};
use crate::when::now;

/// List what providers told us, the newest first
///
/// A line for each event: received, provider, account, type, the provider's id of it, the object it is about, state,
/// attempts, error code, our id. Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let client = connect(&Store::open(args.from).await?).await?;
    let filter = args.which.filter(&State::ALL, now(&client).await?)?;
    // One more, to know that there are more.
    let mut events = desk::list(&client, &filter, i64::from(args.limit) + 1).await?;
    if events.is_empty() {
        return Ok("no events".to_owned());
    }
    let more = events.len() > args.limit as usize;
    events.truncate(args.limit as usize);
    let said = lines(&events);
    let more = if more { "and more: --limit shows them, --since and the others choose" } else { "" };
    Ok(format!("{said}{more}").trim_end().to_owned())
}
