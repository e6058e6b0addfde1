//! What one verification of a password costs by itself, in a process built and run as a function is.

use super::ground::Ground;
use super::work::PASSWORD;
use crate::binaries;
use anyhow::{Result, ensure};
use std::time::Duration;
use tokio::process::Command;

/// The middle of some of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub cpu: Duration,
    pub elapsed: Duration,
}

pub async fn measure(ground: &Ground, count: usize) -> Result<Cost> {
    let hash: String = ground.admin.query_typed_one("SELECT hash FROM passwords LIMIT 1", &[]).await?.get(0);
    let mut command = Command::new(binaries::path("bare_argon2"));
    command.args([&hash, PASSWORD, &count.to_string()]);
    let output = command.kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "bare_argon2: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse);
    let mut next =
        || -> Result<Duration> { Ok(Duration::from_nanos(numbers.next().transpose()?.unwrap_or_default())) };
    Ok(Cost { cpu: next()?, elapsed: next()? })
}
