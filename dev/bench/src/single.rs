//! One process, one request at a time: what a Lambda environment does.

use crate::counters::Counters;
use crate::machine::{cpu_ns, family_cpu_ns, peak_memory, ratio};
use crate::world::{Runtime, World};
use anyhow::{Result, bail};
use bytes::Bytes;
use gateway::RuntimeApi;
use std::time::Duration;

/// From spawning a process.
#[derive(Clone, Copy, Debug)]
pub struct Cold {
    pub to_ready: Duration,
    pub to_first_answer: Duration,
}

/// A process that has served requests before.
#[derive(Clone, Copy, Debug)]
pub struct Warm {
    pub p50: Duration,
    pub p99: Duration,
    /// CPU microseconds a request, of the function's process.
    pub application_us: f64,
    /// CPU microseconds a request, of every process of Postgres.
    pub postgres_us: f64,
    pub peak_bytes: u64,
    /// Commits a request, and flushes of the log a request, as Postgres counts them.
    pub commits: f64,
    pub flushes: f64,
}

pub async fn start(world: &World, runtime: Runtime, function: &str) -> Result<RuntimeApi> {
    let environment = world.environment(runtime, function)?;
    RuntimeApi::start(World::binary(runtime, function), &environment).await
}

/// An answer other than 200 would make every number meaningless.
pub async fn invoke(api: &RuntimeApi, event: Bytes) -> Result<Duration> {
    let answer = api.invoke_raw(event).await;
    if answer.is_error || answer.status() != Some(200) {
        let logs = api.logs();
        let tail = logs[logs.len().saturating_sub(12)..].join("\n");
        bail!("not a 200: {}\n{tail}", String::from_utf8_lossy(&answer.payload));
    }
    Ok(answer.elapsed)
}

pub async fn cold(world: &World, runtime: Runtime, function: &str, event: Bytes) -> Result<Cold> {
    let api = start(world, runtime, function).await?;
    let first = invoke(&api, event).await?;
    let to_ready = api.started_after();
    api.kill().await;
    Ok(Cold { to_ready, to_first_answer: to_ready + first })
}

/// Serves all the events and measures those after the first `warm_up`.
pub async fn warm(
    world: &World,
    runtime: Runtime,
    function: &str,
    events: Vec<Bytes>,
    warm_up: usize,
) -> Result<Warm> {
    // A session reports the last of what it did when it ends, so these take in the warm-up.
    let (counted, all) = (Counters::read(&world.admin).await?, events.len() as u64);
    let api = start(world, runtime, function).await?;
    let mut events = events.into_iter();
    for event in events.by_ref().take(warm_up) {
        invoke(&api, event).await?;
    }
    let (application, postgres) = (cpu_ns(api.pid())?, family_cpu_ns(world.postmaster)?);
    let mut times = Vec::new();
    for event in events {
        times.push(invoke(&api, event).await?);
    }
    let application = cpu_ns(api.pid())? - application;
    let postgres = family_cpu_ns(world.postmaster)? - postgres;
    let peak_bytes = peak_memory(api.pid())?;
    api.kill().await;
    let counted = Counters::read(&world.admin).await?.since(counted);
    let requests = times.len() as u64;
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    Ok(Warm {
        p50: at(50),
        p99: at(99),
        application_us: ratio(application, requests * 1_000),
        postgres_us: ratio(postgres, requests * 1_000),
        peak_bytes,
        commits: ratio(counted.commits, all),
        flushes: ratio(counted.flushes, all),
    })
}

/// Of several runs, the middle of each number on its own.
pub fn middle(runs: &[Warm]) -> Warm {
    let middle = |of: &dyn Fn(&Warm) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let time = |of: fn(&Warm) -> Duration| Duration::from_secs_f64(middle(&|warm| of(warm).as_secs_f64()));
    Warm {
        p50: time(|warm| warm.p50),
        p99: time(|warm| warm.p99),
        application_us: middle(&|warm| warm.application_us),
        postgres_us: middle(&|warm| warm.postgres_us),
        peak_bytes: runs.iter().map(|warm| warm.peak_bytes).max().unwrap_or_default(),
        commits: middle(&|warm| warm.commits),
        flushes: middle(&|warm| warm.flushes),
    }
}
