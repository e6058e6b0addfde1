//! `cargo xtask …`: everything a contributor runs, and all the set-up it needs.

mod bench;
mod command;
mod demo;
mod dev;
mod http;
mod invoke;
mod lint;
mod new_function;
mod schemathesis;
mod show;
mod size;
mod stack;
mod steps;
mod test;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Satchel's commands for people who work on it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything on this machine, behind one HTTP port, until Ctrl-C
    Dev(dev::Options),
    /// Run every check and every test, as CI does
    Test(test::Options),
    /// Sign in with a node, as a client would, and show every request and answer
    Demo(demo::Options),
    /// Send what `openapi.yaml` allows, and what it does not, to a stack of its own
    Fuzz(schemathesis::Options),
    /// Write the six places of a new function
    NewFunction(new_function::Options),
    /// Measure
    Bench(bench::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        match Arguments::parse().command {
            Task::Dev(options) => dev::run(options).await,
            Task::Test(options) => test::run(options).await,
            Task::Demo(options) => demo::run(options).await,
            Task::Fuzz(options) => schemathesis::alone(options).await,
            Task::NewFunction(options) => new_function::run(&options).await,
            Task::Bench(options) => bench::run(options).await,
        }
    };
    match run.await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
