//! What one undisturbed setup costs, alone on the machine, and what each of its commits is for.

use super::ground::{Ground, set_up};
use crate::counters::Counters;
use crate::machine::{self, ratio};
use crate::throughput::settle;
use anyhow::Result;
use sandbox::Service;
use shared::setup::{NodeSource, Saga};
use std::time::{Duration, Instant};

/// What a commit holds with a node made for the user, what with a registered one, and why it comes before the next
/// call to the outside.
pub struct Reason {
    pub voltage: &'static str,
    pub registered: &'static str,
    pub why: &'static str,
}

const fn because(voltage: &'static str, registered: &'static str, why: &'static str) -> Reason {
    Reason { voltage, registered, why }
}

pub const REASONS: [Reason; 9] = [
    because(
        "intent, lease; `create_node` begun",
        "intent, lease; `create_store` begun",
        "a crash while the first thing is made leaves a setup that looks for it",
    ),
    because(
        "the node's id; `await_node` begun",
        "",
        "the node is ours from here on, and is never made again",
    ),
    because(
        "seed, password and root key, sealed; `init_wallet` begun",
        "",
        "the wallet holds money: its keys are on record before it is",
    ),
    because(
        "the wallet is ours; `bake_macaroon` begun",
        "",
        "from here on the node is never given up for another",
    ),
    because(
        "the invoice macaroon, sealed; `create_store` begun",
        "",
        "a store that was made is looked for by its marker",
    ),
    because(
        "the store's id, the webhook's secret, sealed; `connect_node` begun",
        "the store's id, the webhook's secret, sealed; `connect_node` begun",
        "BTCPay must not hear of a secret that we could lose",
    ),
    because("", "that the registered macaroon was read", "no secret is used whose reading is not audited"),
    because(
        "connected; `create_webhook` begun",
        "connected; `create_webhook` begun",
        "a webhook that was made is looked for by its address",
    ),
    because(
        "the webhook's id; address, configurations, end",
        "the webhook's id; address, configurations, end",
        "money may come: all of it counts, or nothing does",
    ),
];

/// How many there are reasons for.
pub fn needed(source: NodeSource) -> u64 {
    let holds = |reason: &&Reason| match source {
        NodeSource::Voltage => !reason.voltage.is_empty(),
        NodeSource::Registered => !reason.registered.is_empty(),
    };
    REASONS.iter().filter(holds).count() as u64
}

/// Of one setup.
pub struct One {
    pub source: NodeSource,
    /// Transactions that wrote.
    pub writes: f64,
    pub flushes: f64,
    pub log_bytes: u64,
    pub rows: u64,
    pub median: Duration,
    pub ours_us: f64,
    pub sandbox_us: f64,
    pub postgres_us: f64,
    /// Requests to each provider.
    pub requests: Vec<(&'static str, f64)>,
}

pub async fn measure(
    ground: &Ground,
    postmaster: u32,
    source: NodeSource,
    (first, setups): (u64, u64),
) -> Result<One> {
    const WARM_UP: u64 = 20;
    let saga = ground.wiring("setup_lightning")?.saga().await?;
    let last = first + WARM_UP + setups;
    ground.users(first..last).await?;
    if source == NodeSource::Registered {
        ground.nodes(&saga, first..last).await?;
    }
    for n in first..first + WARM_UP {
        set_up(&saga, n, source).await?;
    }
    settle(&ground.admin).await?;
    let counted = counters(ground, &saga).await?;
    let requested = requests(ground);
    let cpu = || -> Result<[u64; 3]> {
        let sandbox = machine::thread_cpu_ns(ground.sandbox.thread)?;
        Ok([machine::cpu_ns(std::process::id())? - sandbox, sandbox, machine::family_cpu_ns(postmaster)?])
    };
    let before = cpu()?;
    let mut times = Vec::new();
    for n in first + WARM_UP..last {
        let begin = Instant::now();
        set_up(&saga, n, source).await?;
        times.push(begin.elapsed());
    }
    let after = cpu()?;
    let requested_after = requests(ground);
    let counted = counters(ground, &saga).await?.since(counted);
    times.sort_unstable();
    let us = |of: usize| ratio(after[of] - before[of], setups * 1_000);
    Ok(One {
        source,
        writes: ratio(counted.writes, setups),
        flushes: ratio(counted.flushes, setups),
        log_bytes: counted.log_bytes / setups,
        rows: counted.rows / setups,
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

/// With all that the saga's connection did: it tells of it at most once a second, when it is used again.
async fn counters(ground: &Ground, saga: &Saga) -> Result<Counters> {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    saga.db.connection().await?.client().simple_query("SELECT").await?;
    Counters::read(&ground.admin).await
}

fn requests(ground: &Ground) -> Vec<(&'static str, u64)> {
    let providers = [("Voltage", Service::Voltage), ("LND", Service::Lnd), ("BTCPay", Service::Btcpay)];
    let calls = ground.sandbox.handle.calls();
    let to = |service| calls.iter().filter(|call| call.service == service).map(|call| call.count).sum();
    providers.map(|(name, service)| (name, to(service))).into()
}
