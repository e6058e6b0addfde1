//! Every minute — take up the Lightning setups that are due, and drive each as far as it goes.
//!
//! Safe to run twice, late, or beside itself: a setup has one holder at a time, and whoever lost it writes nothing.

mod tally;
mod work;

use std::cell::Cell;
use std::time::Duration;

use shared::config::Config;
use shared::db;
use shared::metrics;
use shared::runtime::{Error, Invocation};
use shared::setup::settle::settle;
use shared::setup::unlock::unlock;
use shared::setup::{Saga, SetupError, WalletAccess, handover, queue};
use tokio::time::Instant;

pub use tally::Report;
use work::Worker;

/// Kept back for settling, for the report, and for the calls that are out when no new setup is taken up.
const KEPT_BACK: Duration = Duration::from_secs(20);
/// What is still out then is given up: the lease runs out, and the next run finds what it did.
const LAST_WORDS: Duration = Duration::from_secs(2);
const CONCURRENCY: u32 = 8;

pub struct Deps {
    saga: Saga,
    concurrency: usize,
}

impl Deps {
    /// Wires the saga, and `RESUME_CONCURRENCY`: setups side by side, at most one for each connection.
    pub fn wire(config: &mut Config) -> Self {
        let side_by_side = config.number("RESUME_CONCURRENCY", CONCURRENCY, 1..=50);
        let connections = config.number("DATABASE_POOL_SIZE", 1, 1..=50);
        let saga = Saga::wire(config, WalletAccess::Read);
        Self { saga, concurrency: side_by_side.min(connections) as usize }
    }
}

pub async fn run(deps: &Deps, invocation: &Invocation) -> Result<Report, Error> {
    let saga = &deps.saga;
    let ends_at = Instant::from_std(invocation.ends_at);
    watch(saga).await?;
    let worker = Worker {
        saga,
        request_id: &invocation.id,
        takes_until: (ends_at - KEPT_BACK).into_std(),
        ends_at: ends_at - LAST_WORDS,
        concurrency: deps.concurrency,
        running: Cell::new(0),
    };
    let (tally, trouble) = worker.work().await;
    metrics::add("SetupsResumed", tally.resumed());
    let unlocked = in_time(&worker, Box::pin(unlock(saga, worker.origin()))).await?;
    let settled = in_time(&worker, Box::pin(settle(saga, worker.origin()))).await?;
    match trouble {
        Some(error) => Err(error.into()),
        None => Ok(tally.report(unlocked, settled)),
    }
}

/// `None` when there is no time for it, or a provider is in no state to be asked.
async fn in_time<T>(
    worker: &Worker<'_>,
    work: impl Future<Output = Result<T, SetupError>>,
) -> Result<Option<T>, Error> {
    match tokio::time::timeout_at(worker.ends_at, work).await {
        Ok(done) => Ok(left_for_later(done)?),
        Err(_) => Ok(None),
    }
}

/// Tells how long the queue is before anything is done about it, and forgets the seeds that are in their owners' hands.
async fn watch(saga: &Saga) -> Result<(), Error> {
    let now = saga.clock.now();
    let connection = saga.db.connection_for_job().await?;
    let client = connection.client();
    let queue = queue::read(client, now).await?;
    metrics::level("SetupsDue", queue.due);
    metrics::age("SetupOldestDueSeconds", queue.oldest);
    metrics::level("DatabaseRollbacks", db::rollbacks(client).await?);
    handover::erase_handed_over(client, now).await?;
    Ok(())
}

/// A provider in trouble is looked at again in a minute, and is no failure of ours.
fn left_for_later<T>(done: Result<T, SetupError>) -> Result<Option<T>, SetupError> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error @ (SetupError::Upstream(_) | SetupError::NotConfigured(_) | SetupError::Unusable(_))) => {
            tracing::warn!(target: "setup", %error, "finished setups are looked after later");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
