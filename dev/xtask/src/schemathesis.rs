//! schemathesis: what `openapi.yaml` allows, and what it does not, sent to the running stack.

use crate::command::{self, program, workspace};
use crate::stack::Addresses;
use crate::steps::Tally;
use crate::{demo, tools};
use anyhow::Result;
use std::fs;
use testing::postgres::target_dir;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,the_one_error_form";
const EXAMPLES: &str = "25";
const EXAMPLES_IN_FULL: &str = "500";

/// Once as anybody, and once as somebody: behind the door there is more to break.
pub async fn run(addresses: &Addresses, full: bool) -> Result<Tally> {
    let bearer = format!("Authorization: Bearer {}", demo::sign_in(addresses).await?);
    fuzz(&addresses.api, &[], full).await?;
    fuzz(&addresses.api, &["--header", &bearer], full).await?;
    Ok(Tally { passed: 2, failed: 0 })
}

async fn fuzz(api: &str, more: &[&str], full: bool) -> Result<()> {
    let schemathesis = tools::SCHEMATHESIS.program("schemathesis").await?;
    let examples = if full { EXAMPLES_IN_FULL } else { EXAMPLES };
    let mut command = program(schemathesis, &["run"]);
    // It keeps notes where it stands.
    let notes = target_dir().join("schemathesis");
    fs::create_dir_all(&notes)?;
    command.current_dir(notes).arg(workspace().join("openapi.yaml"));
    command.args(["--url", api, "--checks", CHECKS]);
    command.args(["--max-examples", examples, "--continue-on-failure", "--generation-database", "none"]);
    command.args(["--no-color", "--warnings", "off"]);
    command.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks").env("PYTHONPATH", workspace().join("dev/xtask"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("STRIPE_PLATFORM_SECRET", sandbox::STRIPE_PLATFORM_SECRET);
    command.env("STRIPE_CONNECT_SECRET", sandbox::STRIPE_CONNECT_SECRET);
    command.args(more);
    command::run(command).await
}
