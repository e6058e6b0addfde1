//! `cargo xtask bench NAME`: the crate `bench`, which builds what it measures as it is deployed.

use crate::command::{self, cargo};
use anyhow::Result;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Options {
    /// Which benchmark, as `signin`, and what it takes
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub async fn run(options: Options) -> Result<ExitCode> {
    let mut bench = cargo(&["run", "--quiet", "--profile", "driver", "--package", "bench", "--"]);
    bench.args(&options.arguments);
    tokio::select! {
        result = command::run(bench) => result.map(|()| ExitCode::SUCCESS),
        result = command::interrupted() => result.map(|()| ExitCode::FAILURE),
    }
}
