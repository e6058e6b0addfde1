//! `pgbench` beside it: as many clients on as many threads, on the same server, which make the commits of a setup and
//! nothing else; where there is none, a driver of our own.

use super::ground::Ground;
use super::rate::{Cpu, JOBS, Rate, share};
use crate::machine;
use crate::throughput::{find_pgbench, settle};
use anyhow::{Context, Result, ensure};
use shared::db::roles::Role;
use std::path::Path;
use std::time::{Duration, Instant};
use testing::postgres::target_dir;
use tokio::process::Command;
use tokio::task::JoinSet;

/// What stands in the log of a row that is inserted, beside the row's own bytes.
const LOG_BYTES_OF_A_ROW: u64 = 190;

/// What `pgbench` runs; the name is its file's, for whoever wants to run it again.
pub struct Script {
    pub name: &'static str,
    pub text: String,
}

/// As many commits as a setup has, each one INSERT of as many rows and as many bytes of log as a setup's.
pub async fn plain(ground: &Ground, commits: u64, (rows, log_bytes): (u64, u64)) -> Result<Script> {
    let rows_each = rows.div_ceil(commits).max(1);
    let payload = (log_bytes / (commits * rows_each)).saturating_sub(LOG_BYTES_OF_A_ROW).clamp(1, 1_900);
    let payload = "x".repeat(usize::try_from(payload)?);
    let row = |step, nth| format!("(:client_id, {step}, {nth}, '{payload}')");
    let line = |step| {
        let rows = (1..=rows_each).map(|nth| row(step, nth)).collect::<Vec<_>>().join(", ");
        format!("INSERT INTO bench_commits (client, step, nth, payload) VALUES {rows};\n")
    };
    ground
        .admin
        .batch_execute(
            "CREATE TABLE bench_commits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                 client integer NOT NULL, step integer NOT NULL, nth integer NOT NULL, payload text NOT NULL);
             GRANT INSERT ON bench_commits TO satchel_api",
        )
        .await?;
    Ok(Script { name: "setup-inserts.sql", text: (1..=commits).map(line).collect() })
}

/// Who runs the script, for the report.
pub fn name() -> &'static str {
    if find_pgbench().is_some() { "pgbench" } else { "bare driver (no pgbench here)" }
}

/// Times a second that it comes to the end of the script. There are users enough for `time`.
pub async fn run(
    ground: &Ground,
    postmaster: u32,
    (script, clients): (&Script, u64),
    numbers: (u64, u64),
    time: Duration,
) -> Result<Rate> {
    settle(&ground.admin).await?;
    match find_pgbench() {
        Some(program) => pgbench(&program, ground, postmaster, (script, clients), numbers, time).await,
        None => bare_driver(ground, postmaster, (script, clients), numbers, time).await,
    }
}

/// In the simple protocol, on this process's threads.
async fn bare_driver(
    ground: &Ground,
    postmaster: u32,
    (script, clients): (&Script, u64),
    (first, stride): (u64, u64),
    time: Duration,
) -> Result<Rate> {
    let lines: Vec<String> =
        script.text.lines().filter(|line| !line.starts_with('\\')).map(str::to_owned).collect();
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(ground.db.connect(Role::Api).await?);
    }
    let ours = || machine::cpu_ns(std::process::id());
    let (before, own) = (Cpu::read(ground, postmaster).await?, ours()?);
    let (begin, mut running) = (Instant::now(), JoinSet::new());
    for (client, nth) in connections.into_iter().zip(0..) {
        let lines = lines.clone();
        running.spawn(async move {
            for (done, n) in (0..).zip(first + nth * stride + 1..) {
                for line in &lines {
                    let line =
                        line.replace(":n::", &format!("{n}::")).replace(":client_id", &nth.to_string());
                    client.simple_query(&line).await?;
                }
                if begin.elapsed() > time {
                    return anyhow::Ok(done);
                }
            }
            Ok(0)
        });
    }
    let mut done = 0;
    while let Some(ended) = running.join_next().await {
        done += ended??;
    }
    let own = ours()? - own;
    let after = Cpu::read(ground, postmaster).await?;
    let sandbox = after.sandbox - before.sandbox;
    Ok(Rate {
        per_second: machine::ratio(done, 1) / time.as_secs_f64(),
        clients: share(own.saturating_sub(sandbox), time),
        sandbox: share(sandbox, time),
        postgres: share(after.postgres - before.postgres, time),
    })
}

async fn pgbench(
    program: &Path,
    ground: &Ground,
    postmaster: u32,
    (script, clients): (&Script, u64),
    (first, stride): (u64, u64),
    time: Duration,
) -> Result<Rate> {
    let file = target_dir().join("bench").join(script.name);
    std::fs::create_dir_all(target_dir().join("bench"))?;
    std::fs::write(&file, &script.text)?;
    let (address, password) =
        (ground.db.address()?, ground.db.passwords.get(&Role::Api).context("no password")?);
    let before = Cpu::read(ground, postmaster).await?;
    let children = machine::ended_children_ns(std::process::id())?;
    let mut command = Command::new(program);
    command
        .args(["--no-vacuum", "--protocol", "extended", "--client", &clients.to_string()])
        .args(["--jobs", &JOBS.to_string(), "--time", &time.as_secs().to_string()])
        .args(["--define", "i=0", "--define", &format!("base={first}")])
        .args(["--define", &format!("stride={stride}"), "--file"])
        .arg(&file)
        .args(["--host", &address.host, "--port", &address.port.to_string()])
        .args(["--username", Role::Api.name(), &address.dbname])
        .env("PGPASSWORD", password.expose())
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
