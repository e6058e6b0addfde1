//! Twenty environments at work at once, each a process with one connection, as on Lambda; and beside them twenty
//! clients of `pgbench` that run the same statements and nothing else.

use crate::binaries;
use crate::script::{STRIDE, Script};
use crate::single::{invoke, start};
use crate::world::{Runtime, World};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use shared::db::roles::Role;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testing::postgres::target_dir;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_postgres::Client;

pub const CLIENTS: u64 = 20;

/// How `pgbench` sends a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Parsed and planned each time, as the functions' are, which may meet a pooler.
    Extended,
    Prepared,
}

/// Answered requests a second of the functions. `events` has one list for each process.
pub async fn functions(
    world: &World,
    function: &str,
    events: Vec<Vec<Bytes>>,
    time: Duration,
) -> Result<f64> {
    let mut processes = Vec::new();
    for mut events in events {
        let api = start(world, Runtime::Rust, function).await?;
        // The first connects.
        invoke(&api, events.pop().context("no event")?).await?;
        processes.push((api, events));
    }
    settle(&world.admin).await?;
    let answered = Arc::new(AtomicU64::new(0));
    let (begin, mut running) = (Instant::now(), JoinSet::new());
    for (api, events) in processes {
        let answered = Arc::clone(&answered);
        running.spawn(async move {
            for event in events {
                invoke(&api, event).await?;
                if begin.elapsed() > time {
                    return anyhow::Ok(true);
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(false)
        });
    }
    while let Some(ended) = running.join_next().await {
        ensure!(ended??, "a process ran out of events before its time was up");
    }
    Ok(per_second(answered.load(Ordering::Relaxed), time))
}

/// Transactions a second of the script, by `pgbench`; `None` where there is none.
pub async fn pgbench(
    world: &World,
    script: &Script,
    protocol: Protocol,
    base: u64,
    time: Duration,
) -> Result<Option<f64>> {
    let Some(pgbench) = find_pgbench() else { return Ok(None) };
    settle(&world.admin).await?;
    let file = target_dir().join("bench").join("script.sql");
    std::fs::write(&file, script.for_pgbench())?;
    let (address, clients) = (world.address()?, CLIENTS.to_string());
    let mode = if protocol == Protocol::Prepared { "prepared" } else { "extended" };
    let mut command = Command::new(pgbench);
    command
        .args(["--no-vacuum", "--protocol", mode, "--client", &clients, "--jobs", "2"])
        .args(["--time", &time.as_secs().to_string(), "--define", "i=0", "--define", &format!("base={base}")])
        .arg("--file")
        .arg(&file)
        .args(["--host", &address.host, "--port", &address.port.to_string()])
        .args(["--username", Role::Auth.name(), &address.dbname])
        .env("PGPASSWORD", world.password()?)
        .kill_on_drop(true);
    let output = command.output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !errors.contains("aborted"), "pgbench failed:\n{text}\n{errors}");
    Ok(Some(tps.with_context(|| format!("pgbench says no tps:\n{text}"))?))
}

/// The same by a driver of our own: as many connections, the same script, in the simple protocol.
pub async fn bare_driver(world: &World, script: Script, base: u64, time: Duration) -> Result<f64> {
    settle(&world.admin).await?;
    let script = Arc::new(script);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(world.db.connect(Role::Auth).await?);
    }
    let done = Arc::new(AtomicU64::new(0));
    let (begin, mut running) = (Instant::now(), JoinSet::new());
    for (client, index) in clients.into_iter().zip(0..) {
        let (script, done) = (Arc::clone(&script), Arc::clone(&done));
        running.spawn(async move {
            let mut n = base + index * STRIDE;
            while begin.elapsed() < time {
                n += 1;
                script.run(&client, n).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(per_second(done.load(Ordering::Relaxed), time))
}

/// So that nobody pays for what another left to write.
pub async fn settle(admin: &Client) -> Result<()> {
    admin.batch_execute("VACUUM ANALYZE").await?;
    Ok(admin.batch_execute("CHECKPOINT").await?)
}

pub fn find_pgbench() -> Option<PathBuf> {
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin"));
    on_path
        .into_iter()
        .chain(debian)
        .map(|directory| directory.join("pgbench"))
        .find(|path| Path::exists(path))
}

fn per_second(count: u64, time: Duration) -> f64 {
    crate::machine::ratio(count, 1) / time.as_secs_f64()
}

/// A bare program's own measure of itself: the nanoseconds it prints.
pub async fn bare(program: &str, arguments: &[&str]) -> Result<Duration> {
    let output = Command::new(binaries::path(program)).args(arguments).output().await?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Duration::from_nanos(String::from_utf8(output.stdout)?.trim().parse()?))
}
