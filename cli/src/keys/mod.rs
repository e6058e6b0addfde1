//! The keys that fields are sealed with.

mod document;
mod record;
mod rotate;
mod screen;
mod walk;

use anyhow::Result;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Rotate(rotate::Args),
}

pub async fn run(command: Command) -> Result<String> {
    let Command::Rotate(args) = command;
    rotate::run(args).await
}
