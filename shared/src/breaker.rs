//! One circuit breaker per [`Circuit`], a provider or a host of its own, for all functions together: when half of at
//! least [`LEAST_CALLS`] calls within [`WINDOW`] failed, callers are answered at once, and one call at a time tries
//! whether the other side is back.
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
use crate::upstream::{Circuit, UpstreamError, Watch};

const WINDOW: Duration = Duration::seconds(30);
const LEAST_CALLS: i32 = 20;
/// How long an open breaker stays shut to everybody before one call tries it.
pub const OPEN_FOR: Duration = Duration::seconds(15);
/// How long that one call may take before another is let through.
const PROBE: Duration = Duration::seconds(30);
/// How long what was read is believed.
const BELIEVED_FOR: Duration = Duration::seconds(1);
/// A host nobody called for so long is nobody's concern. Setups come back to theirs within ten minutes.
const REMEMBERED_FOR: Duration = Duration::minutes(15);

#[derive(Clone)]
pub struct Breaker {
    db: Db,
    clock: Clock,
    known: Arc<Mutex<BTreeMap<Circuit, Known>>>,
}

/// What this process knows of a breaker, and what it has not written down yet.
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

    /// Makes the call, unless the other side is known to be away.
    pub async fn call<T>(
        &self,
        circuit: impl Into<Circuit>,
        call: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let circuit = &circuit.into();
        let opened_at = self.opened_at(circuit).await;
        if let Some(opened_at) = opened_at {
            let now = self.clock.now();
            if now < opened_at + OPEN_FOR || !self.may_probe(circuit, now).await {
                let after = (opened_at + OPEN_FOR - now).max(Duration::SECOND);
                return Err(UpstreamError::breaker_open(circuit.provider(), after.unsigned_abs()));
            }
        }
        let mut pending = Pending { breaker: self, circuit, watch: Watch::default(), is_over: false };
        let outcome = pending.watch.over(call).await;
        pending.is_over = true;
        let failed = outcome.as_ref().is_err_and(UpstreamError::counts_against_provider);
        if opened_at.is_some() {
            self.end_probe(circuit, failed).await;
        } else {
            self.count(circuit, failed).await;
        }
        outcome
    }

    /// Since when the breaker is open; a second-old answer will do.
    async fn opened_at(&self, circuit: &Circuit) -> Option<OffsetDateTime> {
        let now = self.clock.now();
        let known = self.with(|known| known.get(circuit).copied());
        match known {
            Some(known) if now - known.read_at < BELIEVED_FOR => known.opened_at,
            Some(known) => self.write(circuit, known.calls, known.failures).await,
            None => self.write(circuit, 0, 0).await,
        }
    }

    async fn count(&self, circuit: &Circuit, failed: bool) {
        let (calls, failures) = self.note(circuit, failed);
        if failed {
            self.write(circuit, calls, failures).await;
        }
    }

    /// Adds a call to those that are not written down yet, and says how many they are.
    fn note(&self, circuit: &Circuit, failed: bool) -> (i32, i32) {
        self.with(|known| match known.get_mut(circuit) {
            Some(known) => {
                known.calls += 1;
                known.failures += i32::from(failed);
                (known.calls, known.failures)
            }
            None => (1, i32::from(failed)),
        })
    }

    /// A breaker that cannot be asked counts as closed: the database being away is trouble enough.
    async fn write(&self, circuit: &Circuit, calls: i32, failures: i32) -> Option<OffsetDateTime> {
        let now = self.clock.now();
        self.with(|known| {
            if let Some(known) = known.get_mut(circuit) {
                known.calls = (known.calls - calls).max(0);
                known.failures = (known.failures - failures).max(0);
                known.read_at = now;
            }
        });
        let read = match self.db.connection().await {
            Ok(connection) => count(connection.client(), circuit, (calls, failures), now).await,
            Err(error) => Err(error),
        };
        let opened_at = read.unwrap_or_else(|error| {
            let (provider, host) = names(circuit);
            tracing::warn!(provider, host, %error, "the breaker cannot be read");
            None
        });
        let was_closed = self.with(|known| {
            // What was read longer ago counts for nothing any more.
            known.retain(|other, known| other == circuit || now - known.read_at < WINDOW);
            let known = known.entry(circuit.clone()).or_insert(Known {
                opened_at: None,
                read_at: now,
                calls: 0,
                failures: 0,
            });
            std::mem::replace(&mut known.opened_at, opened_at).is_none()
        });
        if was_closed && opened_at.is_some() {
            metrics::count("BreakerOpened");
            let (provider, host) = names(circuit);
            tracing::error!(target: "breaker", provider, host, "the breaker is open");
        }
        opened_at
    }

    async fn may_probe(&self, circuit: &Circuit, now: OffsetDateTime) -> bool {
        let Ok(connection) = self.db.connection().await else { return false };
        let taken = execute(
            connection.client(),
            "UPDATE provider_breakers SET probe_until = $4
             WHERE provider = $1 AND host = $2 AND opened_at IS NOT NULL
               AND (probe_until IS NULL OR probe_until <= $3)",
            &[
                (&circuit.provider().name(), Type::TEXT),
                (&circuit.host(), Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (&(now + PROBE), Type::TIMESTAMPTZ),
            ],
        )
        .await;
        taken.is_ok_and(|taken| taken == 1)
    }

    /// A call that came through closes the breaker with a clean slate; one that did not keeps it open for as long again.
    async fn end_probe(&self, circuit: &Circuit, failed: bool) {
        let now = self.clock.now();
        let (provider, host) = names(circuit);
        let opened_at = failed.then_some(now);
        if let Ok(connection) = self.db.connection().await {
            let ended = execute(
                connection.client(),
                "UPDATE provider_breakers SET opened_at = $3, probe_until = NULL, window_at = $4, calls = 0, failures = 0
                 WHERE provider = $1 AND host = $2",
                &[
                    (&circuit.provider().name(), Type::TEXT),
                    (&circuit.host(), Type::TEXT),
                    (&opened_at, Type::TIMESTAMPTZ),
                    (&now, Type::TIMESTAMPTZ),
                ],
            )
            .await;
            if let Err(error) = ended {
                tracing::warn!(provider, host, %error, "the breaker cannot be written");
            }
        }
        self.with(|known| {
            known.insert(circuit.clone(), Known { opened_at, read_at: now, calls: 0, failures: 0 });
        });
        if !failed {
            tracing::info!(target: "breaker", provider, host, "the breaker is closed again");
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Circuit, Known>) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// For the log; a provider as a whole has no host.
fn names(circuit: &Circuit) -> (&'static str, Option<&str>) {
    (circuit.provider().name(), Some(circuit.host()).filter(|host| !host.is_empty()))
}

/// A call that is not over. Given up by its caller, it counts if the provider was at fault until then; this process
/// writes it down with its next call.
struct Pending<'a> {
    breaker: &'a Breaker,
    circuit: &'a Circuit,
    watch: Watch,
    is_over: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.watch.saw_fault() {
            self.breaker.note(self.circuit, true);
        }
    }
}

async fn count(
    client: &impl GenericClient,
    circuit: &Circuit,
    (calls, failures): (i32, i32),
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, DbError> {
    let row = query_one(
        client,
        "SELECT breaker_count($1, $2, $3, $4, make_interval(secs => $5), $6, $7) AS opened_at",
        &[
            (&circuit.provider().name(), Type::TEXT),
            (&circuit.host(), Type::TEXT),
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

/// How a provider's breaker stands, for people. One that has a breaker per host is open if any of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerState {
    pub provider: String,
    pub open: bool,
}

/// Every provider of which calls were counted.
pub async fn states(client: &impl GenericClient) -> Result<Vec<BreakerState>, DbError> {
    let rows = query(
        client,
        "SELECT provider, bool_or(opened_at IS NOT NULL) AS open
         FROM provider_breakers GROUP BY provider ORDER BY provider",
        &[],
    )
    .await?;
    Ok(rows.iter().map(|row| BreakerState { provider: row.get("provider"), open: row.get("open") }).collect())
}

/// Removes the breakers of hosts that nobody has called for long, open or not, and returns how many.
pub async fn delete_forgotten(client: &impl GenericClient, now: OffsetDateTime) -> Result<u64, DbError> {
    execute(
        client,
        "DELETE FROM provider_breakers WHERE host <> '' AND greatest(window_at, opened_at, probe_until) < $1",
        &[(&(now - REMEMBERED_FOR), Type::TIMESTAMPTZ)],
    )
    .await
}
