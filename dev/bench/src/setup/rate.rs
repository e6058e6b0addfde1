//! Setups a second, several at once: as many environments, each with one connection, on two threads; and as many
//! clients of `pgbench` on two threads that make as many commits, each as heavy on the log, and nothing else.

use super::ground::{Ground, Wiring, set_up};
use crate::machine::{self, ratio};
use crate::throughput::{find_pgbench, settle};
use anyhow::{Context, Result, anyhow, ensure};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testing::postgres::{Server, target_dir};
use tokio::process::Command;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, LocalSet};

const JOBS: u64 = 2;

/// One run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    pub per_second: f64,
    /// Of the whole machine's CPU, 0 to 1: the clients', the sandbox's, Postgres'.
    pub clients: f64,
    pub sandbox: f64,
    pub postgres: f64,
}

/// What ran on which thread, in nanoseconds.
struct Cpu {
    sandbox: u64,
    postgres: u64,
}

impl Cpu {
    async fn read(ground: &Ground, postmaster: u32) -> Result<Self> {
        // A backend whose client has left is counted once it is gone.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Self {
            sandbox: machine::thread_cpu_ns(ground.sandbox.thread)?,
            postgres: machine::family_with_ended_ns(postmaster)?,
        })
    }
}

fn share(ns: u64, time: Duration) -> f64 {
    ratio(ns, machine::cores() as u64) / (time.as_secs_f64() * 1e9)
}

/// `numbers` has users enough for `time`.
pub async fn ours(
    ground: &Ground,
    postmaster: u32,
    clients: u64,
    numbers: (u64, u64),
    time: Duration,
) -> Result<Rate> {
    let (first, stride) = numbers;
    ground.users(first..first + clients * stride).await?;
    let wiring = ground.wiring("setup_lightning")?;
    let ready = Arc::new(Barrier::new(usize::try_from(JOBS)? + 1));
    let mut jobs = Vec::new();
    for job in 0..JOBS {
        let firsts: Vec<u64> = (0..clients)
            .filter(|client| client % JOBS == job)
            .map(|client| first + client * stride)
            .collect();
        let (wiring, ready) = (wiring.clone(), Arc::clone(&ready));
        jobs.push(std::thread::spawn(move || -> Result<(u64, u64)> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, work(wiring, firsts, stride, ready, time))
        }));
    }
    // Everybody is connected and has made one setup; then everybody begins.
    ready.wait().await;
    settle(&ground.admin).await?;
    let before = Cpu::read(ground, postmaster).await?;
    ready.wait().await;
    let joined = tokio::task::spawn_blocking(move || {
        jobs.into_iter()
            .map(|job| job.join().map_err(|_| anyhow!("a thread panicked"))?)
            .collect::<Result<Vec<_>>>()
    });
    let done = joined.await??;
    let after = Cpu::read(ground, postmaster).await?;
    let (setups, cpu) = done.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Ok(Rate {
        per_second: ratio(setups, 1) / time.as_secs_f64(),
        clients: share(cpu, time),
        sandbox: share(after.sandbox - before.sandbox, time),
        postgres: share(after.postgres - before.postgres, time),
    })
}

/// One thread's clients: the setups that were finished in time, and the CPU that took.
async fn work(
    wiring: Wiring,
    firsts: Vec<u64>,
    stride: u64,
    ready: Arc<Barrier>,
    time: Duration,
) -> Result<(u64, u64)> {
    let mut sagas = Vec::new();
    for first in firsts {
        let saga = wiring.saga().await?;
        set_up(&saga, first).await?;
        sagas.push((saga, first));
    }
    ready.wait().await;
    ready.wait().await;
    let (begin, thread) = (Instant::now(), machine::this_thread()?);
    let (before, mut running) = (machine::thread_cpu_ns(thread)?, JoinSet::new());
    for (saga, first) in sagas {
        running.spawn_local(async move {
            let mut done = 0;
            for n in first + 1..first + stride {
                set_up(&saga, n).await?;
                if begin.elapsed() > time {
                    return Ok(done);
                }
                done += 1;
            }
            Err(anyhow!("a client ran out of users before its time was up"))
        });
    }
    let mut done = 0;
    while let Some(ended) = running.join_next().await {
        done += ended??;
    }
    Ok((done, machine::thread_cpu_ns(thread)? - before))
}

/// What stands in the log of one commit that inserts a row, beside the row's own bytes.
const LOG_BYTES_OF_A_ROW: u64 = 190;

/// As many commits as a setup has, each an INSERT that writes as much log.
pub async fn prepare_pgbench(ground: &Ground, commits: u64, log_bytes: u64) -> Result<String> {
    let payload = log_bytes.saturating_sub(LOG_BYTES_OF_A_ROW).clamp(1, 1_900);
    ground
        .admin
        .batch_execute(
            "CREATE TABLE bench_commits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                 client integer NOT NULL, step integer NOT NULL, payload text NOT NULL)",
        )
        .await?;
    let line = |step| {
        format!(
            "INSERT INTO bench_commits (client, step, payload) VALUES (:client_id, {step}, '{}');\n",
            "x".repeat(usize::try_from(payload).unwrap_or_default())
        )
    };
    Ok((1..=commits).map(line).collect())
}

/// Times a second that `pgbench` comes to the end of the script.
pub async fn pgbench(
    ground: &Ground,
    (server, postmaster): (&Server, u32),
    (script, clients): (&str, u64),
    time: Duration,
) -> Result<Rate> {
    let pgbench = find_pgbench().context("there is no pgbench here")?;
    settle(&ground.admin).await?;
    let file = target_dir().join("bench").join("commits.sql");
    std::fs::create_dir_all(target_dir().join("bench"))?;
    std::fs::write(&file, script)?;
    let url = testing::deployment::sibling(&server.admin_url(), &ground.db.name, None)?;
    let before = Cpu::read(ground, postmaster).await?;
    let children = machine::ended_children_ns(std::process::id())?;
    let mut command = Command::new(pgbench);
    command
        .args(["--no-vacuum", "--protocol", "extended", "--client", &clients.to_string()])
        .args(["--jobs", &JOBS.to_string(), "--time", &time.as_secs().to_string(), "--file"])
        .arg(&file)
        .arg(url)
        .kill_on_drop(true);
    let output = command.output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !errors.contains("aborted"), "pgbench failed:\n{text}\n{errors}");
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let after = Cpu::read(ground, postmaster).await?;
    Ok(Rate {
        per_second: tps.with_context(|| format!("pgbench says no tps:\n{text}"))?,
        clients: share(machine::ended_children_ns(std::process::id())? - children, time),
        sandbox: share(after.sandbox - before.sandbox, time),
        postgres: share(after.postgres - before.postgres, time),
    })
}
