//! Setups a second, several at once: as many environments, each with one connection, on two threads.

use super::ground::{Ground, Wiring, set_up};
use crate::machine::{self, ratio};
use crate::throughput::settle;
use anyhow::{Result, anyhow};
use shared::setup::NodeSource;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Barrier;
use tokio::task::{JoinSet, LocalSet};

pub const JOBS: u64 = 2;

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
pub struct Cpu {
    pub sandbox: u64,
    pub postgres: u64,
}

impl Cpu {
    pub async fn read(ground: &Ground, postmaster: u32) -> Result<Self> {
        // A backend whose client has left is counted once it is gone.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Self {
            sandbox: machine::thread_cpu_ns(ground.sandbox.thread)?,
            postgres: machine::family_with_ended_ns(postmaster)?,
        })
    }
}

pub fn share(ns: u64, time: Duration) -> f64 {
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
        set_up(&saga, first, NodeSource::Voltage).await?;
        sagas.push((saga, first));
    }
    ready.wait().await;
    ready.wait().await;
    let (begin, thread) = (Instant::now(), machine::this_thread()?);
    let (before, mut running) = (machine::thread_cpu_ns(thread)?, JoinSet::new());
    for (saga, first) in sagas {
        running.spawn_local(async move {
            for (done, n) in (0..).zip(first + 1..first + stride) {
                set_up(&saga, n, NodeSource::Voltage).await?;
                if begin.elapsed() > time {
                    return Ok(done);
                }
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
