//! schemathesis: what `openapi.yaml` allows, and what it does not, sent to the running stack.

use crate::command::{self, program, workspace};
use crate::demo::{self, Visitor};
use crate::stack::{Addresses, Stack, StackOptions};
use crate::steps::Tally;
use crate::tools;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use testing::deployment;
use testing::postgres::target_dir;
use tokio_postgres::types::Type;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,the_one_error_form";
const EXAMPLES: &str = "10";
const EXAMPLES_IN_FULL: &str = "500";
/// Requests sent, in all.
const CASES_IN_FULL: u64 = 200_000;
/// Python's parser, which it looks its own source up with, fails now and then when threads share it.
const WORKERS: &str = "1";

#[derive(clap::Args)]
pub struct Options {
    /// As many cases as the full run of the tests
    #[arg(long)]
    full: bool,
}

/// `cargo xtask fuzz`: the same on a stack of its own.
pub async fn alone(options: Options) -> Result<ExitCode> {
    let stack = Stack::start(StackOptions { relaxed_limits: true, ..StackOptions::default() }).await?;
    let result = tokio::select! {
        result = run(&stack.addresses, options.full) => result.map(|_| ExitCode::SUCCESS),
        result = command::interrupted() => result.map(|()| ExitCode::FAILURE),
    };
    stack.stop().await.and(result)
}

/// As anybody, as somebody, and as an administrator: behind each door there is more to break. In full it goes round
/// until enough was tried, each time with other cases.
pub async fn run(addresses: &Addresses, full: bool) -> Result<Tally> {
    let callers = [
        ("anybody", Value::Null),
        ("a user", user(addresses).await?),
        ("an administrator", administrator(addresses).await?),
    ];
    let [anybody, user, administrator] = &callers;
    // Fetched once, before three would fetch it side by side.
    let schemathesis = &tools::SCHEMATHESIS.program("schemathesis").await?;
    let (mut tally, mut cases) = (Tally::default(), 0);
    loop {
        // Side by side: some answers are held back for a second, so that time tells nothing.
        let api = &addresses.api;
        let (one, two, three) = tokio::try_join!(
            fuzz(schemathesis, api, anybody, full),
            fuzz(schemathesis, api, user, full),
            fuzz(schemathesis, api, administrator, full)
        )?;
        cases += one + two + three;
        tally.passed += 3;
        if !full || cases >= CASES_IN_FULL {
            println!("schemathesis: {cases} requests in all");
            return Ok(tally);
        }
    }
}

/// Somebody who signs in with a node, as the hooks have to.
async fn user(addresses: &Addresses) -> Result<Value> {
    Ok(world(addresses, &demo::visitor(addresses).await?))
}

/// The same, with an account that others may be looked at from.
async fn administrator(addresses: &Addresses) -> Result<Value> {
    let (admin, other) = (demo::visitor(addresses).await?, demo::visitor(addresses).await?);
    let database = deployment::connect(&addresses.database_url).await?;
    let grant = "INSERT INTO admins (user_id, granted_at) VALUES (CAST($1 AS uuid), now())";
    database.execute_typed(grant, &[(&admin.user_id, Type::TEXT)]).await?;
    let mut world = world(addresses, &admin);
    world["admin"] = json!(true);
    world["others"] = json!({ "user": other.user_id, "session": other.session_id, "did": other.did });
    Ok(world)
}

fn world(addresses: &Addresses, visitor: &Visitor) -> Value {
    let Visitor { did, node, .. } = visitor;
    json!({ "api": addresses.api, "sandbox": addresses.sandbox, "admin": false, "did": did, "node": node })
}

/// Says how many requests were sent.
async fn fuzz(schemathesis: &Path, api: &str, (name, world): &(&str, Value), full: bool) -> Result<u64> {
    let examples = if full { EXAMPLES_IN_FULL } else { EXAMPLES };
    let mut command = program(schemathesis, &["run"]);
    // It keeps notes where it stands.
    let notes = target_dir().join("schemathesis");
    fs::create_dir_all(&notes)?;
    let count = notes.join(format!("requests of {name}"));
    fs::write(&count, "0")?;
    command.current_dir(notes).arg(workspace().join("openapi.yaml"));
    command.args(["--url", api, "--checks", CHECKS, "--workers", WORKERS]);
    command.args(["--max-examples", examples, "--continue-on-failure", "--generation-database", "none"]);
    command.args(["--no-color", "--warnings", "off"]);
    command.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks").env("PYTHONPATH", workspace().join("dev/xtask"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("STRIPE_PLATFORM_SECRET", sandbox::STRIPE_PLATFORM_SECRET);
    command.env("STRIPE_CONNECT_SECRET", sandbox::STRIPE_CONNECT_SECRET);
    command.env("FUZZ_WORLD", world.to_string()).env("FUZZ_COUNT", &count);
    let report = command::output(command).await.with_context(|| format!("as {name}"))?;
    let sent = fs::read_to_string(&count)?.parse().context("how many requests were sent")?;
    println!("{report}\nschemathesis as {name}: {sent} requests");
    Ok(sent)
}
