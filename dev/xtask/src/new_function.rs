//! `cargo xtask new-function`.

use anyhow::Result;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Options {}

pub fn run(_: &Options) -> Result<ExitCode> {
    anyhow::bail!("not yet")
}
