//! Payments as an operator sees them: what became of one, what says so, and what is nobody's.
//!
//! ```text
//! show        a payment, or an object and what belongs together with it (find), with all that was heard (history)
//! unclaimed   objects that are no payment of ours
//! ```

mod find;
mod history;
mod money;
mod show;
mod unclaimed;

use anyhow::Result;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Show(show::Args),
    Unclaimed(unclaimed::Args),
}

pub async fn run(command: Command) -> Result<String> {
    match command {
        Command::Show(args) => show::run(args).await,
        Command::Unclaimed(args) => unclaimed::run(args).await,
    }
}
