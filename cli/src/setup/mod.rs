//! Lightning setups as an operator sees them: which there are, why one stopped, and what to do about it.
//!
//! ```text
//! list, show       what is written down: the database alone is asked
//! retry, repair    setups driven to the end from here (drive, with progress)
//! sweep, undo      what is deleted, and only when it is named
//! wiring           the saga, from the variables that functions are given
//! ```

mod drive;
mod list;
mod locate;
mod progress;
mod repair;
mod retry;
mod show;
mod sweep;
mod undo;
mod wiring;
mod words;

use anyhow::Result;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    List(list::Args),
    Show(show::Args),
    Retry(retry::Args),
    Repair(repair::Args),
    Sweep(sweep::Args),
    Undo(undo::Args),
}

pub async fn run(command: Command) -> Result<String> {
    match command {
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Retry(args) => retry::run(args).await,
        Command::Repair(args) => repair::run(args).await,
        Command::Sweep(args) => sweep::run(args).await,
        Command::Undo(args) => undo::run(args).await,
    }
}
