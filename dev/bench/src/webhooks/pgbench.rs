//! `pgbench` beside it: as many clients, which run the same statements and nothing else.

use super::ground::Ground;
use super::script::Script;
use crate::machine::{self, family_with_ended_ns, ratio};
use crate::throughput::{CLIENTS, Protocol, find_pgbench};
use anyhow::{Context, Result, ensure};
use shared::db::roles::Role;
use std::time::Duration;
use testing::postgres::target_dir;
use tokio::process::Command;

#[derive(Clone, Copy, Debug)]
pub struct Bench {
    pub per_second: f64,
    /// The mean, for that is what it tells.
    pub latency_ms: f64,
    pub application_us: f64,
    pub postgres_us: f64,
}

/// `None` where there is no `pgbench`. There are numbers from `first` on, `stride` for each client.
pub async fn run(
    ground: &Ground,
    (script, protocol): (&Script, Protocol),
    (first, stride): (u64, u64),
    time: Duration,
) -> Result<Option<Bench>> {
    let Some(program) = find_pgbench() else { return Ok(None) };
    ground.settle().await?;
    let file = target_dir().join("bench").join(script.name);
    std::fs::create_dir_all(target_dir().join("bench"))?;
    std::fs::write(&file, &script.text)?;
    let address = ground.db.address()?;
    let password = ground.db.passwords.get(&Role::Webhooks).context("the role has no password")?;
    let mode = if protocol == Protocol::Prepared { "prepared" } else { "extended" };
    let before = cpu(ground).await?;
    let mut command = Command::new(program);
    command
        .args(["--no-vacuum", "--protocol", mode, "--client", &CLIENTS.to_string(), "--jobs", "2"])
        .args(["--time", &time.as_secs().to_string(), "--define", "i=0"])
        .args(["--define", &format!("base={first}"), "--define", &format!("stride={stride}")])
        .args(["--define", &format!("body={}", script.body), "--file"])
        .arg(&file)
        .args(["--host", &address.host, "--port", &address.port.to_string()])
        .args(["--username", Role::Webhooks.name(), &address.dbname])
        .env("PGPASSWORD", password.expose())
        .kill_on_drop(true);
    let output = command.output().await?;
    let after = cpu(ground).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !errors.contains("aborted"), "pgbench failed:\n{text}\n{errors}");
    let number = |before: &str| {
        text.lines().find_map(|line| line.strip_prefix(before)?.split(' ').next()?.parse().ok())
    };
    let per_second: f64 = number("tps = ").with_context(|| format!("pgbench says no tps:\n{text}"))?;
    let done = per_second * time.as_secs_f64();
    Ok(Some(Bench {
        per_second,
        latency_ms: number("latency average = ")
            .with_context(|| format!("pgbench says no latency:\n{text}"))?,
        application_us: ratio(after.0 - before.0, 1_000) / done,
        postgres_us: ratio(after.1 - before.1, 1_000) / done,
    }))
}

/// Of the children that have ended, and of Postgres.
async fn cpu(ground: &Ground) -> Result<(u64, u64)> {
    // A backend whose client has left is counted once it is gone.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok((machine::ended_children_ns(std::process::id())?, family_with_ended_ns(ground.postmaster)?))
}
