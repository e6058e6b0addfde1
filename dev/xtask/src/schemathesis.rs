//! schemathesis: what `openapi.yaml` allows, and what it does not, sent to the running stack.

use crate::command::{self, program, workspace};
use crate::steps::Tally;
use crate::tools;
use anyhow::Result;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,the_one_error_form";
const EXAMPLES: &str = "25";
const EXAMPLES_IN_FULL: &str = "500";

pub async fn run(api: &str, full: bool) -> Result<Tally> {
    let schemathesis = tools::SCHEMATHESIS.program("schemathesis").await?;
    let examples = if full { EXAMPLES_IN_FULL } else { EXAMPLES };
    let mut command = program(schemathesis, &["run", "openapi.yaml", "--url", api, "--checks", CHECKS]);
    command.args(["--max-examples", examples, "--continue-on-failure", "--generation-database", "none"]);
    command.args(["--no-color", "--warnings", "off"]);
    command.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks").env("PYTHONPATH", workspace().join("dev/xtask"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command::run(command).await?;
    Ok(Tally::PASSED)
}
