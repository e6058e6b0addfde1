//! Every five minutes — remove what has had its time: challenges, counted windows, kept answers, seeds handed over,
//! circuit breakers of hosts that nobody calls any more, webhook events and messages that are long done with.
//!
//! Safe to run twice, late, or beside itself: each statement removes what is over and nothing else.

use serde::Serialize;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::runtime::Error;
use shared::setup::handover;
use shared::webhook::queue;
use shared::{breaker, challenge, idempotency, outbox, rate_limit};
use time::Duration;

/// Expired challenges are kept for a day, for whoever asks why a sign-in failed.
const CHALLENGES_KEPT_FOR: Duration = Duration::days(1);
/// Longer than any provider sends a thing again, and than Stripe keeps it to be read again.
const EVENTS_KEPT_FOR: Duration = Duration::days(90);
/// For whoever asks what was told.
const MESSAGES_KEPT_FOR: Duration = Duration::days(30);

pub struct Deps {
    db: Db,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { db: Db::wire(config), clock: config.clock() }
    }
}

/// How many rows went, and how many seeds out of rows that stay.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    pub challenges: u64,
    pub rate_limits: u64,
    pub idempotency_keys: u64,
    pub seeds: u64,
    pub breakers: u64,
    pub webhook_events: u64,
    pub messages: u64,
}

pub async fn run(deps: &Deps) -> Result<Report, Error> {
    let now = deps.clock.now();
    let connection = deps.db.connection_for_job().await?;
    let client = connection.client();
    Ok(Report {
        challenges: challenge::delete_expired(client, now - CHALLENGES_KEPT_FOR).await?,
        rate_limits: rate_limit::delete_ended(client, now).await?,
        idempotency_keys: idempotency::delete_expired(client, now).await?,
        seeds: handover::erase_handed_over(client, now).await?,
        breakers: breaker::delete_forgotten(client, now).await?,
        webhook_events: queue::delete_finished(client, now - EVENTS_KEPT_FOR).await?,
        messages: outbox::delete_published(client, now - MESSAGES_KEPT_FOR).await?,
    })
}
