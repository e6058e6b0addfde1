//! What one undisturbed setup costs, alone on the machine.

use super::ground::{Ground, set_up};
use crate::counters::Counters;
use crate::machine::{self, ratio};
use anyhow::Result;
use sandbox::Service;
use std::time::{Duration, Instant};

/// Why each is there: what must be on record before the next call to the outside is made.
pub const REASONS: [(&str, &str); 8] = [
    ("intent, lease; `create_node` begun", "a crash while the node is made leaves a setup that looks for it"),
    ("the node's id; `await_node` begun", "the node is ours from here on, and is never made again"),
    (
        "seed, password and root key, sealed; `init_wallet` begun",
        "the wallet holds money: its keys are on record before it is",
    ),
    ("the wallet is ours; `bake_macaroon` begun", "from here on the node is never given up for another"),
    (
        "the invoice macaroon, sealed; `create_store` begun",
        "a store that was made is looked for by its marker",
    ),
    (
        "the store's id, the webhook's secret, sealed; `connect_node` begun",
        "BTCPay must not hear of a secret that we could lose",
    ),
    ("connected; `create_webhook` begun", "a webhook that was made is looked for by its address"),
    ("the webhook's id; address, configurations, end", "money may come: all of it counts, or nothing does"),
];

/// Of one setup.
pub struct One {
    pub commits: f64,
    pub flushes: f64,
    pub log_bytes: u64,
    pub median: Duration,
    pub ours_us: f64,
    pub sandbox_us: f64,
    pub postgres_us: f64,
    /// Requests to each provider.
    pub requests: Vec<(&'static str, f64)>,
}

pub async fn measure(ground: &Ground, postmaster: u32, first: u64, setups: u64) -> Result<One> {
    const WARM_UP: u64 = 20;
    let saga = ground.wiring("setup_lightning")?.saga().await?;
    ground.users(first..first + WARM_UP + setups).await?;
    for n in first..first + WARM_UP {
        set_up(&saga, n).await?;
    }
    let counted = Counters::read(&ground.admin).await?;
    let requested = requests(ground);
    let cpu = || -> Result<[u64; 3]> {
        let sandbox = machine::thread_cpu_ns(ground.sandbox.thread)?;
        Ok([machine::cpu_ns(std::process::id())? - sandbox, sandbox, machine::family_cpu_ns(postmaster)?])
    };
    let before = cpu()?;
    let mut times = Vec::new();
    for n in first + WARM_UP..first + WARM_UP + setups {
        let begin = Instant::now();
        set_up(&saga, n).await?;
        times.push(begin.elapsed());
    }
    let after = cpu()?;
    let requested_after = requests(ground);
    let counted = Counters::read(&ground.admin).await?.since(counted);
    times.sort_unstable();
    let us = |of: usize| ratio(after[of] - before[of], setups * 1_000);
    Ok(One {
        commits: ratio(counted.commits, setups),
        flushes: ratio(counted.flushes, setups),
        log_bytes: counted.log_bytes / setups,
        median: times[times.len() / 2],
        ours_us: us(0),
        sandbox_us: us(1),
        postgres_us: us(2),
        requests: requested_after
            .into_iter()
            .zip(requested)
            .map(|((name, after), (_, before))| (name, ratio(after - before, setups)))
            .collect(),
    })
}

fn requests(ground: &Ground) -> Vec<(&'static str, u64)> {
    let providers = [("Voltage", Service::Voltage), ("LND", Service::Lnd), ("BTCPay", Service::Btcpay)];
    let calls = ground.sandbox.handle.calls();
    let to = |service| calls.iter().filter(|call| call.service == service).map(|call| call.count).sum();
    providers.map(|(name, service)| (name, to(service))).into()
}
