//! One circuit breaker per provider for all functions together: when half of at least [`LEAST_CALLS`] calls within
//! [`WINDOW`] failed, callers are answered at once, and one call at a time tries whether the provider is back.
//!
//! The counts are in Postgres. A process writes its failures there at once and its successes with them, or once a
//! second; it believes what it read for as long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError, GenericClient, Type, execute, query, query_one};
use crate::metrics;
use crate::upstream::{Provider, UpstreamError};

const WINDOW: Duration = Duration::seconds(30);
const LEAST_CALLS: i32 = 20;
/// How long an open breaker stays shut to everybody before one call tries it.
pub const OPEN_FOR: Duration = Duration::seconds(15);
/// How long that one call may take before another is let through.
const PROBE: Duration = Duration::seconds(30);
/// How long what was read is believed.
const BELIEVED_FOR: Duration = Duration::seconds(1);

#[derive(Clone)]
pub struct Breaker {
    db: Db,
    clock: Clock,
    known: Arc<Mutex<BTreeMap<Provider, Known>>>,
}

/// What this process knows of a provider's breaker, and what it has not written down yet.
#[derive(Clone, Copy)]
struct Known {
    opened_at: Option<OffsetDateTime>,
    read_at: OffsetDateTime,
    calls: i32,
    failures: i32,
}

impl Breaker {
    pub fn wire(config: &Config, db: &Db) -> Self {
        Self { db: db.clone(), clock: config.clock(), known: Arc::default() }
    }

    /// Makes the call, unless the provider is known to be away.
    pub async fn call<T>(
        &self,
        provider: Provider,
        call: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let opened_at = self.opened_at(provider).await;
        if let Some(opened_at) = opened_at {
            let now = self.clock.now();
            if now < opened_at + OPEN_FOR || !self.may_probe(provider, now).await {
                let after = (opened_at + OPEN_FOR - now).max(Duration::SECOND);
                return Err(UpstreamError::breaker_open(provider, after.unsigned_abs()));
            }
        }
        let outcome = call.await;
        let failed = outcome.as_ref().is_err_and(UpstreamError::counts_against_provider);
        if opened_at.is_some() {
            self.end_probe(provider, failed).await;
        } else {
            self.count(provider, failed).await;
        }
        outcome
    }

    /// Since when the breaker is open; a second-old answer will do.
    async fn opened_at(&self, provider: Provider) -> Option<OffsetDateTime> {
        let now = self.clock.now();
        let known = self.with(|known| known.get(&provider).copied());
        match known {
            Some(known) if now - known.read_at < BELIEVED_FOR => known.opened_at,
            Some(known) => self.write(provider, known.calls, known.failures).await,
            None => self.write(provider, 0, 0).await,
        }
    }

    async fn count(&self, provider: Provider, failed: bool) {
        let (calls, failures) = self.with(|known| match known.get_mut(&provider) {
            Some(known) => {
                known.calls += 1;
                known.failures += i32::from(failed);
                (known.calls, known.failures)
            }
            None => (1, i32::from(failed)),
        });
        if failed {
            self.write(provider, calls, failures).await;
        }
    }

    /// A breaker that cannot be asked counts as closed: the database being away is trouble enough.
    async fn write(&self, provider: Provider, calls: i32, failures: i32) -> Option<OffsetDateTime> {
        let now = self.clock.now();
        self.with(|known| {
            if let Some(known) = known.get_mut(&provider) {
                known.calls = (known.calls - calls).max(0);
                known.failures = (known.failures - failures).max(0);
                known.read_at = now;
            }
        });
        let read = match self.db.connection().await {
            Ok(connection) => count(connection.client(), provider, (calls, failures), now).await,
            Err(error) => Err(error),
        };
        let opened_at = read.unwrap_or_else(|error| {
            tracing::warn!(provider = provider.name(), %error, "the breaker cannot be read");
            None
        });
        let was_closed = self.with(|known| {
            let known = known.entry(provider).or_insert(Known {
                opened_at: None,
                read_at: now,
                calls: 0,
                failures: 0,
            });
            std::mem::replace(&mut known.opened_at, opened_at).is_none()
        });
        if was_closed && opened_at.is_some() {
            metrics::count("BreakerOpened");
            tracing::error!(target: "breaker", provider = provider.name(), "the breaker is open");
        }
        opened_at
    }

    async fn may_probe(&self, provider: Provider, now: OffsetDateTime) -> bool {
        let Ok(connection) = self.db.connection().await else { return false };
        let taken = execute(
            connection.client(),
            "UPDATE provider_breakers SET probe_until = $3
             WHERE provider = $1 AND opened_at IS NOT NULL AND (probe_until IS NULL OR probe_until <= $2)",
            &[(&provider.name(), Type::TEXT), (&now, Type::TIMESTAMPTZ), (&(now + PROBE), Type::TIMESTAMPTZ)],
        )
        .await;
        taken.is_ok_and(|taken| taken == 1)
    }

    /// A call that came through closes the breaker with a clean slate; one that did not keeps it open for as long again.
    async fn end_probe(&self, provider: Provider, failed: bool) {
        let now = self.clock.now();
        let opened_at = failed.then_some(now);
        if let Ok(connection) = self.db.connection().await {
            let ended = execute(
                connection.client(),
                "UPDATE provider_breakers SET opened_at = $2, probe_until = NULL, window_at = $3, calls = 0, failures = 0
                 WHERE provider = $1",
                &[(&provider.name(), Type::TEXT), (&opened_at, Type::TIMESTAMPTZ), (&now, Type::TIMESTAMPTZ)],
            )
            .await;
            if let Err(error) = ended {
                tracing::warn!(provider = provider.name(), %error, "the breaker cannot be written");
            }
        }
        self.with(|known| {
            known.insert(provider, Known { opened_at, read_at: now, calls: 0, failures: 0 });
        });
        if !failed {
            tracing::info!(target: "breaker", provider = provider.name(), "the breaker is closed again");
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Provider, Known>) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn count(
    client: &impl GenericClient,
    provider: Provider,
    (calls, failures): (i32, i32),
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, DbError> {
    let row = query_one(
        client,
        "SELECT breaker_count($1, $2, $3, make_interval(secs => $4), $5, $6) AS opened_at",
        &[
            (&provider.name(), Type::TEXT),
            (&calls, Type::INT4),
            (&failures, Type::INT4),
            (&WINDOW.as_seconds_f64(), Type::FLOAT8),
            (&LEAST_CALLS, Type::INT4),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(row.get("opened_at"))
}

/// How a provider's breaker stands, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerState {
    pub provider: String,
    pub open: bool,
}

/// Every breaker that ever counted a call.
pub async fn states(client: &impl GenericClient) -> Result<Vec<BreakerState>, DbError> {
    let rows = query(
        client,
        "SELECT provider, opened_at IS NOT NULL AS open FROM provider_breakers ORDER BY provider",
        &[],
    )
    .await?;
    Ok(rows.iter().map(|row| BreakerState { provider: row.get("provider"), open: row.get("open") }).collect())
}
