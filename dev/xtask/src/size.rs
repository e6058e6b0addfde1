//! What a deployed binary weighs. Every cold start loads all of it.

use crate::command::{self, cargo};
use crate::steps::Tally;
use anyhow::Result;
use std::fs;
use testing::postgres::target_dir;

const BUDGET_BYTES: u64 = 10_000_000;
/// The two that everybody waits for. The others are made of the same.
const WITHOUT_FULL: [&str; 2] = ["create_challenge", "verify_lightning_signature"];

pub async fn gate(functions: &[String], full: bool) -> Result<Tally> {
    // In one build, and of default members only: a dev-only crate in it would switch features on for all.
    let mut build = cargo(&["build", "--release", "--quiet"]);
    let weighed: Vec<&String> =
        functions.iter().filter(|name| full || WITHOUT_FULL.contains(&name.as_str())).collect();
    if !full {
        build.args(weighed.iter().flat_map(|name| ["--package", name.as_str()]));
    }
    command::run(build).await?;
    let mut tally = Tally::default();
    for name in weighed {
        let bytes = fs::metadata(target_dir().join("release").join(name))?.len();
        let verdict = if bytes <= BUDGET_BYTES { "" } else { "  over the budget" };
        println!("{name:<28} {bytes:>12} of {BUDGET_BYTES} bytes{verdict}");
        if bytes <= BUDGET_BYTES { tally.passed += 1 } else { tally.failed += 1 }
    }
    Ok(tally)
}
