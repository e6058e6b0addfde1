//! Twenty deliveries at a time.

use super::contender::{Contender, Crew, Work};
use super::events::Delivery;
use super::ground::Ground;
use crate::figures::ms;
use crate::machine::{self, family_with_ended_ns, ratio};
use crate::throughput::CLIENTS;
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    /// CPU microseconds a delivery: of the contender's processes, of Postgres'.
    pub application_us: f64,
    pub postgres_us: f64,
    /// The same of the driver, which is this process.
    pub driver_us: f64,
}

/// Which deliveries come next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each once; there are to be enough of them.
    Once,
    /// From the first again.
    Round,
}

pub async fn measure(
    ground: &Ground,
    contender: Contender,
    (deliveries, order): (Vec<Delivery>, Order),
    time: Duration,
) -> Result<Rate> {
    let mut crew = Crew::start(ground, contender, Work::Webhook, CLIENTS).await?;
    let next = Arc::new(AtomicUsize::new(0));
    let deliveries = Arc::new(deliveries);
    // The first of each connects.
    for lane in &mut crew.lanes {
        lane.send(&deliveries[next.fetch_add(1, Ordering::Relaxed)]).await?;
    }
    ground.settle().await?;
    let driver = || machine::cpu_ns(std::process::id());
    let before = (crew.cpu_ns()?, family_with_ended_ns(ground.postmaster)?, driver()?);
    let (begin, mut running) = (Instant::now(), JoinSet::new());
    for mut lane in std::mem::take(&mut crew.lanes) {
        let (deliveries, next) = (Arc::clone(&deliveries), Arc::clone(&next));
        running.spawn(async move {
            let mut times = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let place = if order == Order::Round { place % deliveries.len() } else { place };
                ensure!(place < deliveries.len(), "there were too few deliveries");
                let took = lane.send(&deliveries[place]).await?;
                if begin.elapsed() > time {
                    return Ok((lane, times));
                }
                times.push(ms(took));
            }
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (lane, its) = ended??;
        crew.lanes.push(lane);
        times.extend(its);
    }
    let application = crew.cpu_ns()? - before.0;
    let postgres = family_with_ended_ns(ground.postmaster)? - before.1;
    let driver = driver()?.saturating_sub(before.2);
    crew.stop().await;
    let done = times.len() as u64;
    times.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    Ok(Rate {
        per_second: ratio(done, 1) / time.as_secs_f64(),
        p50: at(50),
        p99: at(99),
        application_us: ratio(application, done * 1_000),
        postgres_us: ratio(postgres, done * 1_000),
        driver_us: ratio(driver, done * 1_000),
    })
}
