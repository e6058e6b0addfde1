//! The operator's tool, one command per module. A command returns the text it prints.
//!
//! - [`verify_message`]    which node signed this
//! - [`secrets`]           fresh values for every secret; the next signing key
//! - [`keys`]              the keys that fields are sealed with
//! - [`setup`]             Lightning setups: which stopped, why, and on with them
//! - [`database`]          the five roles, the database, its schema
//! - [`audit`]             is the log what was written
//! - [`store`]             where secrets are: AWS Secrets Manager, or a directory

pub mod audit;
pub mod database;
pub mod keys;
pub mod secrets;
pub mod setup;
pub mod store;
pub mod verify_message;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// What an operator of Satchel does by hand.
///
/// Secrets are read from AWS Secrets Manager with the region and credentials of the environment: `AWS_REGION`,
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if they are temporary, `AWS_SESSION_TOKEN`.
#[derive(Debug, Parser)]
#[command(name = "satchel", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    VerifyMessage(verify_message::Args),
    /// Make and rotate secrets
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Look after the keys that fields are sealed with
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look after Lightning setups
    #[command(subcommand)]
    Setup(setup::Command),
    /// Make the database and bring its schema up to date
    #[command(subcommand)]
    Database(database::Command),
    /// Look after the audit log
    #[command(subcommand)]
    Audit(audit::Command),
}

pub async fn run(cli: Cli) -> Result<String> {
    match cli.command {
        Command::VerifyMessage(args) => verify_message::run(&args),
        Command::Secrets(command) => secrets::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Setup(command) => setup::run(command).await,
        Command::Database(command) => database::run(command).await,
        Command::Audit(command) => audit::run(command).await,
    }
}

/// An error and what caused it, for a terminal.
pub fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}").replace(char::is_control, " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
