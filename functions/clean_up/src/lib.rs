//! Every five minutes — remove what has had its time: challenges, counted windows, kept answers, seeds handed over,
//! circuit breakers of hosts that nobody calls any more, webhook events and messages that are long done with, locks,
//! sessions, tokens and mails, and what is personal in accounts that were deleted a while ago.
//!
//! Safe to run twice, late, or beside itself: each statement removes what is over and nothing else.

use serde::Serialize;
use shared::audit::{Auditor, Origin};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{Connection, Db};
use shared::erasure::{self, ErasureError, Turn};
use shared::log::causes;
use shared::runtime::Error;
use shared::session::ended;
use shared::setup::handover;
use shared::webhook::queue;
use shared::{
    breaker, challenge, idempotency, lock, mail, metrics, oauth_state, one_time_token, outbox, rate_limit,
};
use time::{Duration, OffsetDateTime};

/// Expired challenges are kept for a day, for whoever asks why a sign-in failed.
const CHALLENGES_KEPT_FOR: Duration = Duration::days(1);
/// Longer than any provider sends a thing again, and than Stripe keeps it to be read again.
const EVENTS_KEPT_FOR: Duration = Duration::days(90);
/// For whoever asks what was told.
const MESSAGES_KEPT_FOR: Duration = Duration::days(30);
/// For their owner to look at.
const SESSIONS_KEPT_FOR: Duration = Duration::days(30);
/// For whoever asks why a mail never came.
const MAILS_KEPT_FOR: Duration = Duration::days(30);
/// Accounts in one run: it comes again in five minutes.
const ACCOUNTS_AT_ONCE: u64 = 500;

pub struct Deps {
    db: Db,
    audit: Auditor,
    clock: Clock,
    /// How long a deleted account is kept as it was.
    accounts_kept_for: Duration,
}

impl Deps {
    /// Wires `ACCOUNT_DELETION_DAYS` (30).
    pub fn wire(config: &mut Config) -> Self {
        let days = config.number("ACCOUNT_DELETION_DAYS", 30, 1..=365);
        Self {
            db: Db::wire(config),
            audit: Auditor::wire(config),
            clock: config.clock(),
            accounts_kept_for: Duration::days(days.into()),
        }
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
    pub locks: u64,
    pub sessions: u64,
    pub one_time_tokens: u64,
    pub oauth_states: u64,
    pub mails: u64,
    /// Accounts whose row stays, and little else of them.
    pub accounts: u64,
}

pub async fn run(deps: &Deps) -> Result<Report, Error> {
    let now = deps.clock.now();
    let mut connection = deps.db.connection_for_job().await?;
    let client = connection.client();
    let report = Report {
        challenges: challenge::delete_expired(client, now - CHALLENGES_KEPT_FOR).await?,
        rate_limits: rate_limit::delete_ended(client, now).await?,
        idempotency_keys: idempotency::delete_expired(client, now).await?,
        seeds: handover::erase_handed_over(client, now).await?,
        breakers: breaker::delete_forgotten(client, now).await?,
        webhook_events: queue::delete_finished(client, now - EVENTS_KEPT_FOR).await?,
        messages: outbox::delete_published(client, now - MESSAGES_KEPT_FOR).await?,
        // By the database's clock, as they were taken.
        locks: lock::delete_expired(client).await?,
        sessions: ended::delete(client, now - SESSIONS_KEPT_FOR).await?,
        one_time_tokens: one_time_token::delete_expired(client, now).await?,
        oauth_states: oauth_state::delete_expired(client, now).await?,
        mails: mail::delete_finished(client, now - MAILS_KEPT_FOR).await?,
        accounts: 0,
    };
    Ok(Report { accounts: erase_accounts(deps, &mut connection, now).await?, ..report })
}

/// Each in a transaction of its own. One that fails holds up none of the others, and fails the run once they have had
/// their turn.
async fn erase_accounts(
    deps: &Deps,
    connection: &mut Connection,
    now: OffsetDateTime,
) -> Result<u64, ErasureError> {
    let before = now - deps.accounts_kept_for;
    let origin = Origin { ip: None, request_id: "clean_up" };
    let (mut erased, mut behind, mut failed) = (0, None, None);
    for _ in 0..ACCOUNTS_AT_ONCE {
        let turn = erasure::erase_one(connection, (before, behind), (&deps.audit, origin), now).await?;
        let Some(Turn { place, outcome }) = turn else { break };
        match outcome {
            Ok(is_erased) => erased += u64::from(is_erased),
            Err(error) => {
                let (user_id, cause) = (place.user_id, causes(&error));
                tracing::error!(target: "job", %user_id, cause, "an account could not be erased");
                metrics::count("ErasureFailed");
                behind = Some(place);
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(erased), Err)
}
