//! The inbox as an operator sees it: what providers told us, what became of it, and through it again.
//!
//! ```text
//! list, show, dead   what is written down
//! tail               what is being written down
//! replay             rows set back, to be gone through by `process_webhook_events`
//! dismiss            dead letters laid to rest
//! which              the events that are meant; line: how one is printed; advice: what a code means
//! ```

mod advice;
mod dead;
mod dismiss;
mod line;
mod list;
mod replay;
mod show;
mod tail;
mod which;

use anyhow::Result;
use shared::db::roles::Role;
use tokio_postgres::Client;

use crate::store::Store;

pub use line::lines;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    List(list::Args),
    Show(show::Args),
    Dead(dead::Args),
    Replay(replay::Args),
    Dismiss(dismiss::Args),
    Tail(tail::Args),
}

pub async fn run(command: Command) -> Result<String> {
    match command {
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Dead(args) => dead::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Dismiss(args) => dismiss::run(args).await,
        Command::Tail(args) => tail::run(args).await,
    }
}

/// A connection that may take its time: the role's own limit is made for requests, which look at few rows.
pub async fn connect(store: &Store) -> Result<Client> {
    let client = store.connect(Role::Jobs).await?;
    client.batch_execute("SET statement_timeout = '10min'").await?;
    Ok(client)
}
