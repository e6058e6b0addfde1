//! Every minute, and on demand — do what webhooks left to be done: ask the provider, apply its answer, give up in the end.
//!
//! Safe to run twice, late, or beside itself: a row has one holder at a time, and what follows from it and its end are
//! one transaction.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use shared::config::Config;
use shared::log;
use shared::metrics;
use shared::runtime::{Error, Invocation};
use shared::webhook::claim::claim;
use shared::webhook::queue::{self, Taken};
use shared::webhook::refetch::refetch;
use shared::webhook::{Fate, Processor};
use tokio::time::Instant;

/// Kept back for the rows that are in hand when no new one is taken up.
const KEPT_BACK: Duration = Duration::from_secs(20);
const LAST_WORDS: Duration = Duration::from_secs(2);
const CONCURRENCY: u32 = 8;

pub struct Deps {
    processor: Processor,
    side_by_side: usize,
}

impl Deps {
    /// Wires the providers, and `WEBHOOK_CONCURRENCY`: rows side by side, at most one for each connection.
    pub fn wire(config: &mut Config) -> Self {
        let side_by_side = config.number("WEBHOOK_CONCURRENCY", CONCURRENCY, 1..=50);
        let connections = config.number("DATABASE_POOL_SIZE", 1, 1..=50);
        Self { side_by_side: side_by_side.min(connections) as usize, processor: Processor::wire(config) }
    }
}

/// How many rows ended how.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Report {
    pub done: u64,
    pub ignored: u64,
    pub dead: u64,
    /// They are tried again.
    pub waiting: u64,
    /// Objects and subscriptions whose payment is known now.
    pub claimed: u64,
    /// Objects that two events disagreed about.
    pub refetched: u64,
}

pub async fn run(deps: &Deps, invocation: &Invocation) -> Result<Report, Error> {
    let processor = &deps.processor;
    let ends_at = Instant::from_std(invocation.ends_at);
    watch(processor).await?;
    let fates = RefCell::new(BTreeMap::<&str, u64>::new());
    let claims = stream::unfold(false, |over| async move {
        if over || Instant::now() + KEPT_BACK >= ends_at {
            return None;
        }
        let taken = processor.take().await.transpose()?;
        let over = taken.is_err();
        Some((taken, over))
    });
    let runs = claims.map(|taken| async {
        let fate = drive(processor, &taken?, ends_at - LAST_WORDS).await;
        *fates.borrow_mut().entry(fate).or_default() += 1;
        Ok::<_, Error>(())
    });
    let mut outcomes = std::pin::pin!(runs.buffer_unordered(deps.side_by_side));
    let mut trouble = None;
    while let Some(outcome) = outcomes.next().await {
        // No new row can be taken up; those in hand are ended.
        trouble = outcome.err().or(trouble);
    }
    if let Some(error) = trouble {
        return Err(error);
    }
    let mut connection = processor.db.connection_for_job().await?;
    let claimed = claim(&mut connection, &processor.random, processor.clock.now()).await?;
    drop(connection);
    let refetched = refetch(processor, ends_at - LAST_WORDS).await?;
    let of = |fate| fates.borrow().get(fate).copied().unwrap_or_default();
    let report = Report {
        done: of("done"),
        ignored: of("ignored"),
        dead: of("dead"),
        waiting: of("waiting"),
        claimed,
        refetched,
    };
    Ok(report)
}

/// One row's trouble is its own: it is told, and its lease runs out.
async fn drive(processor: &Processor, taken: &Taken, until: Instant) -> &'static str {
    match processor.drive(taken, until).await {
        Ok(Some(Fate::Done)) => "done",
        Ok(Some(Fate::Ignored(_))) => "ignored",
        Ok(Some(Fate::Dead(code))) => {
            metrics::count("WebhookDied");
            tracing::error!(target: "webhook", event = %taken.id, code, "an event was given up");
            "dead"
        }
        Ok(Some(Fate::Due { .. })) => "waiting",
        // Somebody else's by now.
        Ok(None) => "lost",
        Err(error) => {
            let cause = log::causes(&error);
            tracing::error!(target: "webhook", event = %taken.id, cause, "an event could not be written down");
            "waiting"
        }
    }
}

/// Tells how much waits before anything is done about it.
async fn watch(processor: &Processor) -> Result<(), Error> {
    let connection = processor.db.connection_for_job().await?;
    let depth = queue::depth(connection.client(), processor.clock.now()).await?;
    metrics::level("WebhooksDue", depth.due);
    metrics::age("WebhookOldestSeconds", depth.oldest);
    metrics::level("WebhooksDead", depth.dead);
    Ok(())
}
