//! One delivery at a time to one process: what a Lambda environment does.

use super::contender::{Contender, Crew, Work};
use super::events::Delivery;
use super::ground::Ground;
use crate::counters::Counters;
use crate::machine::{family_cpu_ns, ratio};
use crate::single::Warm;
use anyhow::Result;

/// Hands over all of them and measures those after the first `warm_up`.
pub async fn measure(
    ground: &Ground,
    contender: Contender,
    work: Work,
    deliveries: &[Delivery],
    warm_up: usize,
) -> Result<Warm> {
    // A session reports the last of what it did when it ends, so these take in the warm-up.
    let counted = Counters::read(&ground.admin).await?;
    let mut crew = Crew::start(ground, contender, work, 1).await?;
    let mut times = Vec::new();
    let (mut application, mut postgres) = (0, 0);
    for (nth, delivery) in deliveries.iter().enumerate() {
        if nth == warm_up {
            (application, postgres) = (crew.cpu_ns()?, family_cpu_ns(ground.postmaster)?);
        }
        let took = crew.lanes[0].send(delivery).await?;
        if nth >= warm_up {
            times.push(took);
        }
    }
    let (application, postgres) =
        (crew.cpu_ns()? - application, family_cpu_ns(ground.postmaster)? - postgres);
    let peak_bytes = crew.peak_memory()?;
    crew.stop().await;
    let counted = Counters::read(&ground.admin).await?.since(counted);
    let (requests, all) = (times.len() as u64, deliveries.len() as u64);
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
