//! Builds what is measured: each in a cargo invocation of its own kind, because packages built together have
//! their features united, and a function is to be built as it is deployed.

use anyhow::{Result, bail};
use std::path::PathBuf;
use testing::postgres::target_dir;
use testing::world::root;
use tokio::process::Command;

pub async fn build() -> Result<()> {
    release(&["--package", "create_challenge", "--package", "verify_lightning_signature"]).await?;
    release(&["--package", "do_nothing"]).await?;
    release(&["--package", "bare"]).await
}

pub async fn build_webhooks() -> Result<()> {
    release(&["--package", "stripe_webhook"]).await?;
    release(&["--package", "do_nothing"]).await
}

pub async fn build_accounts() -> Result<()> {
    let functions = ["get_me", "refresh_session", "sessions", "login"];
    release(&functions.map(|name| ["--package", name]).concat()).await?;
    release(&["--package", "do_nothing"]).await?;
    release(&["--package", "bare"]).await
}

async fn release(packages: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet"]).args(packages).current_dir(root());
    run(command).await
}

pub fn directory() -> PathBuf {
    target_dir().join("release")
}

pub fn path(name: &str) -> PathBuf {
    directory().join(name)
}

/// Runs a program to its end, its output going to ours.
pub async fn run(mut command: Command) -> Result<()> {
    let status = command.kill_on_drop(true).status().await?;
    if status.success() {
        Ok(())
    } else {
        bail!("{} ended with {status}", command.as_std().get_program().display())
    }
}
