//! The checks that run nothing of ours.

use crate::command::{self, cargo, program};
use crate::steps::Tally;
use crate::tools;
use anyhow::Result;
use tokio::process::Command;

pub async fn format() -> Result<Tally> {
    pass(cargo(&["fmt", "--all", "--check"])).await
}

pub async fn clippy() -> Result<Tally> {
    pass(cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])).await
}

pub async fn dependencies() -> Result<Tally> {
    let deny = tools::cargo_deny().await?;
    pass(program(&deny, &["--log-level", "error", "check", "bans", "licenses", "sources"])).await?;
    // The list of known holes is fetched each time. Being offline is no finding; a hole is.
    let fetched = command::output(program(&deny, &["--log-level", "error", "fetch", "db"])).await;
    if fetched.is_err() {
        println!("advisories: skipped, their database cannot be reached");
        return Ok(Tally::PASSED);
    }
    let advisories = ["--log-level", "error", "--offline", "check", "advisories"];
    pass(program(&deny, &advisories)).await
}

pub async fn template() -> Result<Tally> {
    let cfn_lint = tools::TEMPLATE.program("cfn-lint").await?;
    pass(in_region(program(cfn_lint, &["template.yaml"]))).await?;
    let sam = tools::TEMPLATE.program("sam").await?;
    pass(in_region(program(sam, &["validate", "--lint"]))).await
}

/// Both want to know where, though neither goes there.
fn in_region(mut command: Command) -> Command {
    command.env("AWS_REGION", gateway::REGION).env("AWS_DEFAULT_REGION", gateway::REGION);
    command.env("SAM_CLI_TELEMETRY", "0");
    command
}

async fn pass(command: Command) -> Result<Tally> {
    command::run(command).await?;
    Ok(Tally::PASSED)
}
