//! Making secrets, and replacing the one that is replaced on a schedule.

mod new;
mod rotate_signing;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use shared::fresh::SigningAlgorithm;

#[derive(Debug, Subcommand)]
pub enum Command {
    New(new::Args),
    /// Replace a secret without a pause
    #[command(subcommand)]
    Rotate(Rotate),
}

#[derive(Debug, Subcommand)]
pub enum Rotate {
    Signing(rotate_signing::Args),
}

pub async fn run(command: Command) -> Result<String> {
    match command {
        Command::New(args) => new::run(args).await,
        Command::Rotate(Rotate::Signing(args)) => rotate_signing::run(args).await,
    }
}

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Algorithm {
    /// What the authorizer of every API gateway takes
    #[value(name = "RS256")]
    Rs256,
    /// Smaller tokens, signed in a tenth of the time
    #[value(name = "ES256")]
    Es256,
}

impl From<Algorithm> for SigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rs256,
            Algorithm::Es256 => Self::Es256,
        }
    }
}
