//! `cargo xtask test`: every check and every test, as CI runs them.

use crate::command::{self, cargo};
use crate::stack::{self, Postgres, Stack, StackOptions};
use crate::steps::{Steps, Tally};
use crate::{invoke, lint, schemathesis, size, tools};
use anyhow::Result;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Options {
    /// Also what takes long: more random cases, every binary's size, `cargo lambda watch`
    #[arg(long)]
    full: bool,
    /// Run nothing but `cargo test` with these arguments, as `-p shared a_name`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo_test: Vec<String>,
}

pub async fn run(options: Options) -> Result<ExitCode> {
    tools::check_prerequisites()?;
    tokio::select! {
        code = everything(options) => code,
        result = command::interrupted() => {
            result?;
            eprintln!("interrupted");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn everything(options: Options) -> Result<ExitCode> {
    let Options { full, cargo_test } = options;
    println!("starting PostgreSQL");
    let postgres = tokio::task::spawn_blocking(|| Postgres::start("test")).await??;
    let mut steps = Steps::default();
    if cargo_test.is_empty() {
        steps.step("cargo fmt", lint::format()).await;
        steps.step("cargo clippy", lint::clippy()).await;
        steps.step("cargo deny", lint::dependencies()).await;
        steps.step("template", lint::template()).await;
        steps.step("build", build()).await;
        steps.step("cargo test", test(&postgres, full, &["--workspace".to_owned()])).await;
        against_the_stack(&mut steps, postgres, full).await?;
        steps.step("size", weigh(full)).await;
    } else {
        steps.step("build", build()).await;
        steps.step("cargo test", test(&postgres, full, &cargo_test)).await;
    }
    Ok(steps.finish())
}

/// Journeys run the binaries, so these are built before the tests are.
async fn build() -> Result<Tally> {
    command::run(cargo(&["build", "--quiet"])).await?;
    Ok(Tally::PASSED)
}

async fn test(postgres: &Postgres, full: bool, arguments: &[String]) -> Result<Tally> {
    let mut command = cargo(&["test", "--quiet", "--no-fail-fast"]);
    command.args(arguments).env("SATCHEL_TEST_DATABASE_URL", postgres.url());
    if full {
        command.env("SATCHEL_FULL", "1");
    }
    let mut tally = Tally::default();
    let succeeded = command::run_reading(command, |line| {
        println!("{line}");
        if let Some(counted) = result_line(line) {
            tally.passed += counted.passed;
            tally.failed += counted.failed;
        }
    })
    .await?;
    // What does not build, or dies, has no line to be counted by.
    if !succeeded && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// Every function behind one port, as `cargo xtask dev` runs them.
async fn against_the_stack(steps: &mut Steps, postgres: Postgres, full: bool) -> Result<()> {
    let options = StackOptions { relaxed_limits: true, ..StackOptions::default() };
    let mut stack = None;
    let start = async {
        stack = Some(Stack::on(postgres, options).await?);
        Ok(Tally::PASSED)
    };
    steps.step("stack", start).await;
    if let Some(stack) = stack {
        steps.step("events", invoke::every_event(&stack.addresses.api)).await;
        if full {
            steps.step("cargo lambda watch", invoke::under_watch(&stack)).await;
        }
        steps.step("schemathesis", schemathesis::run(&stack.addresses, full)).await;
        stack.stop().await?;
    }
    Ok(())
}

async fn weigh(full: bool) -> Result<Tally> {
    let functions = stack::template(false)?.functions;
    size::gate(&functions.into_iter().map(|function| function.binary).collect::<Vec<_>>(), full).await
}

/// From `test result: ok. 3 passed; 0 failed; 1 ignored; …`, the first two numbers.
fn result_line(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut numbers = counts.split("; ").map(|part| part.split(' ').next()?.parse().ok());
    Some(Tally { passed: numbers.next()??, failed: numbers.next()?? })
}

#[cfg(test)]
mod tests {
    use super::result_line;

    #[test]
    fn results_are_counted_from_the_line_cargo_test_prints() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        let tally = result_line(line).unwrap();
        assert_eq!((tally.passed, tally.failed), (12, 3));
        assert!(result_line("test a_result ... ok").is_none());
    }
}
