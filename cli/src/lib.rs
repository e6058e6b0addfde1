//! The operator's tool, one command per module. A command returns the text it prints.
//!
//! - [`verify_message`]    which node signed this
//! - [`test_privy`]        is this token of Privy's good here, and whose is it
//! - [`secrets`]           fresh values for every secret; the next signing key
//! - [`keys`]              the keys that fields are sealed with
//! - [`setup`]             Lightning setups: which stopped, why, and on with them
//! - [`webhooks`]          what providers told us, and through it again
//! - [`payments`]          what became of a payment, and why
//! - [`users`]             accounts: who they are, where they are signed in, who administers
//! - [`database`]          the five roles, the database, its schema
//! - [`audit`]             is the log what was written
//! - [`when`]              times as an operator gives them
//! - [`words`]             how things are said on a terminal
//! - [`store`]             where secrets are: AWS Secrets Manager, or a directory

pub mod audit;
pub mod database;
pub mod keys;
pub mod payments;
pub mod secrets;
pub mod setup;
pub mod store;
pub mod test_privy;
pub mod users;
pub mod verify_message;
pub mod webhooks;
pub mod when;
pub mod words;

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
    TestPrivy(test_privy::Args),
    /// Make and rotate secrets
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Look after the keys that fields are sealed with
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look after Lightning setups
    #[command(subcommand)]
    Setup(setup::Command),
    /// Look into what providers told us, and have it gone through again
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// Look into payments
    #[command(subcommand)]
    Payments(payments::Command),
    /// Look after accounts
    #[command(subcommand)]
    Users(users::Command),
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
        Command::TestPrivy(args) => test_privy::run(args).await,
        Command::Secrets(command) => secrets::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Setup(command) => setup::run(command).await,
        Command::Webhooks(command) => webhooks::run(command).await,
        Command::Payments(command) => payments::run(command).await,
        Command::Users(command) => users::run(command).await,
        Command::Database(command) => database::run(command).await,
        Command::Audit(command) => audit::run(command).await,
    }
}

/// An error and what caused it, for a terminal.
pub fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}").replace(char::is_control, " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
