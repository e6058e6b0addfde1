//! One run of a setup: step after step while time allows, each recorded before it is made.

use std::time::{Duration, Instant};

use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;

use super::keys::{self, Held, Made};
use super::row::{self, Claimed, Setup, State, Stop};
use super::steps::{Move, Step};
use super::{Saga, SetupError, activation, node};
use crate::audit::{Entry, Origin};
use crate::crypto::Secret;
use crate::db::{self, Connection, Transaction, Type, query_opt};
use crate::metrics;
use crate::upstream::{Failure, UpstreamError};

/// A step that failed this often in a row waits for somebody to look at it.
const MOST_FAILURES: i32 = 12;
/// So many nodes given up one after the other are no accident, and each of them costs money.
const MOST_NODES: i32 = 5;
/// The longest a step takes, with all its calls and all their tries.
const ONE_STEP: Duration = Duration::from_mins(1);
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_mins(10);
/// A detail in the log is for people, not for archives.
const MOST_DETAIL_CHARS: usize = 400;

/// What a step found out or made.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) voltage_node_id: Option<String>,
    pub(super) node_url: Option<String>,
    pub(super) node_certificate: Option<Vec<u8>>,
    pub(super) node_pubkey: Option<String>,
    pub(super) wallet_initialised: bool,
    pub(super) btcpay_store_id: Option<String>,
    pub(super) btcpay_webhook_id: Option<String>,
    pub(super) made: Made,
}

pub(super) struct Run<'a> {
    pub(super) saga: &'a Saga,
    pub(super) held: Held,
    origin: Origin<'a>,
}

impl Saga {
    /// Runs a setup on until it is finished, has to wait, or `until` is near; returns how it stands. What cannot be
    /// written down is left as it is, and taken up when the lease is over.
    pub async fn run(
        &self,
        claimed: Claimed,
        until: Instant,
        origin: Origin<'_>,
    ) -> Result<Setup, SetupError> {
        let Claimed { mut setup, mut earlier } = claimed;
        let mut run = Run::new(self, origin);
        loop {
            if setup.state != State::Running {
                return Ok(setup);
            }
            let outcome = run.attempt(&setup, earlier).await;
            let in_time = Instant::now() < until;
            match outcome {
                Ok(Move::Done(progress)) => {
                    match run.end_step(&setup, *progress).await {
                        Ok(advanced) => {
                            (setup, earlier) = (advanced, false);
                            if setup.state == State::Finished {
                                metrics::count("SetupFinished");
                            }
                        }
                        // The answer named what belongs to another setup: it cannot be the answer to ours.
                        Err(SetupError::Db(error)) if is_anothers(&error) => {
                            return run
                                .stop_with(&setup, &UpstreamError::mistaken_answer(provider_of(setup.step)))
                                .await;
                        }
                        Err(error) => return Err(error),
                    }
                    if !in_time && setup.state == State::Running {
                        return run.wait(&setup, Duration::ZERO, None).await;
                    }
                }
                Ok(Move::Wait { after, code }) => {
                    // What is left of the lease must last for a whole step after the wait.
                    let leased = setup.is_leased(self.clock.now() + after + ONE_STEP);
                    if Instant::now() + after >= until || !leased {
                        return run.wait(&setup, after, Some(code)).await;
                    }
                    tokio::time::sleep(after).await;
                    earlier = true;
                }
                Ok(Move::StartOver { code }) => {
                    let given_up = setup;
                    setup = run.start_over(&given_up, code).await?;
                    // Only now: a node that is left over is found by settling, and one that a setup still counts on
                    // and is gone by nobody.
                    match node::discard(&mut run, &given_up).await {
                        Ok(()) | Err(SetupError::Upstream(_)) => {}
                        Err(error) => return Err(error),
                    }
                    (run.held.wallet, earlier) = (None, false);
                    if (setup.generation - 1) % MOST_NODES == 0 {
                        return run.give_up(&setup, code, None).await;
                    }
                }
                Ok(Move::LeaveToResumer) => return run.wait(&setup, Duration::ZERO, None).await,
                Err(SetupError::Upstream(error)) => return run.stop_with(&setup, &error).await,
                Err(SetupError::Unusable(code)) => return run.give_up(&setup, code, None).await,
                Err(SetupError::NotConfigured(provider)) => {
                    return run.give_up(&setup, SetupError::not_configured(provider), None).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Another setup holds the id this one was answered with.
fn is_anothers(error: &db::DbError) -> bool {
    matches!(
        error.constraint(),
        Some("lightning_setups_voltage_node_id_key" | "lightning_setups_btcpay_store_id_key")
    )
}

fn provider_of(step: Step) -> crate::upstream::Provider {
    if step < Step::CreateStore {
        crate::upstream::Provider::Voltage
    } else {
        crate::upstream::Provider::Btcpay
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(saga: &'a Saga, origin: Origin<'a>) -> Self {
        Self { saga, held: Held::default(), origin }
    }

    async fn attempt(&mut self, setup: &Setup, earlier: bool) -> Result<Move, SetupError> {
        if !setup.is_leased(self.saga.clock.now()) {
            return Err(SetupError::LeaseLost);
        }
        if earlier && let Some(found) = setup.step.find(self, setup).await? {
            return Ok(found);
        }
        setup.step.perform(self, setup).await
    }

    /// Writes down what the step made and that the next one begins; the last step is the writing down.
    async fn end_step(&mut self, setup: &Setup, progress: Progress) -> Result<Setup, SetupError> {
        let now = self.saga.clock.now();
        let ring = self.saga.sealing.get().await?;
        let (mut connection, activation);
        if setup.step >= Step::CreateWebhook {
            activation = Some(activation::configurations(self, setup, &progress).await?);
        } else {
            activation = None;
        }
        connection = self.saga.db.connection().await?;
        let tx = self.begin(&mut connection, setup).await?;
        let advanced = if setup.step == Step::Activate {
            setup.clone()
        } else {
            let advanced = row::advance(&tx, setup, &progress, now).await?;
            keys::keep(&tx, self.saga, setup, &progress.made, &ring).await?;
            advanced
        };
        let advanced = match activation {
            Some(configurations) => {
                activation::activate(self, &tx, &advanced, &configurations, (&ring, now)).await?
            }
            None => advanced,
        };
        db::commit(tx).await?;
        self.held.take(progress.made);
        Ok(advanced)
    }

    async fn start_over(&self, setup: &Setup, code: &'static str) -> Result<Setup, SetupError> {
        metrics::count("SetupStartedOver");
        tracing::warn!(target: "setup", setup_id = %setup.id, step = setup.step.name(), code, "starting over with another node");
        let mut connection = self.saga.db.connection().await?;
        let tx = self.begin(&mut connection, setup).await?;
        let now = self.saga.clock.now();
        let again = row::start_over(&tx, setup, code, now).await?;
        self.note(&tx, setup, "setup.started_over", json!({ "code": code }), now).await?;
        db::commit(tx).await?;
        Ok(again)
    }

    async fn wait(&self, setup: &Setup, after: Duration, code: Option<&str>) -> Result<Setup, SetupError> {
        let due_at = self.saga.clock.now() + after;
        self.stop(setup, &Stop { event: "waiting", code, detail: None, final_: false, due_at }).await
    }

    /// A call that failed: what it means decides when somebody goes on.
    async fn stop_with(&self, setup: &Setup, error: &UpstreamError) -> Result<Setup, SetupError> {
        let detail: String = error.to_string().chars().take(MOST_DETAIL_CHARS).collect();
        let wait = match error.failure {
            Failure::Final => return self.give_up(setup, error.code, Some(&detail)).await,
            Failure::Ambiguous => self.saga.rules.ambiguity_window,
            Failure::Retry { after } => after.unwrap_or_default().max(self.backoff(setup.failures)),
        };
        // An outage is nobody's failure but the provider's, however long it lasts.
        if error.is_breaker_open() {
            return self.wait(setup, wait, Some(error.code)).await;
        }
        if setup.failures + 1 >= MOST_FAILURES {
            return self.give_up(setup, error.code, Some(&detail)).await;
        }
        metrics::count("SetupStepFailed");
        tracing::warn!(target: "setup", setup_id = %setup.id, step = setup.step.name(), code = error.code, cause = detail, "a step failed and will be tried again");
        let due_at = self.saga.clock.now() + wait;
        let stop =
            Stop { event: "failed", code: Some(error.code), detail: Some(&detail), final_: false, due_at };
        self.stop(setup, &stop).await
    }

    async fn give_up(&self, setup: &Setup, code: &str, detail: Option<&str>) -> Result<Setup, SetupError> {
        metrics::count("SetupFailed");
        tracing::error!(target: "setup", setup_id = %setup.id, step = setup.step.name(), code, cause = detail, "a setup failed: `satchel setup show` has the story");
        let due_at = self.saga.clock.now();
        self.stop(setup, &Stop { event: "given_up", code: Some(code), detail, final_: true, due_at }).await
    }

    /// In a transaction of its own, so that no rollback takes it along.
    async fn stop(&self, setup: &Setup, stop: &Stop<'_>) -> Result<Setup, SetupError> {
        let now = self.saga.clock.now();
        let mut connection = self.saga.db.connection().await?;
        let tx = self.begin(&mut connection, setup).await?;
        row::stop(&tx, setup, stop, now).await?;
        if stop.final_ {
            let details = json!({ "step": setup.step.name(), "code": stop.code });
            self.note(&tx, setup, "setup.failed", details, now).await?;
        }
        db::commit(tx).await?;
        let state = if stop.final_ { State::Failed } else { setup.state };
        Ok(Setup { state, due_at: stop.due_at, ..setup.clone() })
    }

    /// Doubles with every failure in a row; half of it is chance, so that setups that failed together do not come
    /// back together.
    fn backoff(&self, failures: i32) -> Duration {
        let doublings = u32::try_from(failures.clamp(0, 10)).unwrap_or_default();
        let whole = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
        let [chance] = self.saga.random.bytes::<1>();
        whole / 2 + whole / 2 * u32::from(chance) / 255
    }

    /// A transaction that acts for the setup's account, whatever its role.
    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut Connection,
        setup: &Setup,
    ) -> Result<Transaction<'c>, SetupError> {
        let tx = connection.transaction().await?;
        query_opt(
            &tx,
            "SELECT set_config('app.user_id', $1, true)",
            &[(&setup.user_id.to_string(), Type::TEXT)],
        )
        .await?;
        Ok(tx)
    }

    /// Reads sealed columns and opens them; the reading is audited in the same transaction. Columns that are NULL
    /// are left out.
    pub(super) async fn read_secrets(
        &self,
        setup: &Setup,
        action: &'static str,
        sql: &'static str,
    ) -> Result<Vec<Secret<Vec<u8>>>, SetupError> {
        let ring = self.saga.sealing.get().await?;
        let mut connection = self.saga.db.connection().await?;
        let tx = self.begin(&mut connection, setup).await?;
        let id: &(dyn ToSql + Sync) = &setup.id;
        let mut opened = Vec::new();
        if let Some(row) = query_opt(&tx, sql, &[(id, Type::UUID)]).await? {
            for (at, column) in row.columns().iter().enumerate() {
                let Some(sealed) = row.get::<_, Option<&[u8]>>(at) else { continue };
                let known = super::SECRET_COLUMNS.iter().find(|known| **known == column.name());
                let column = known.ok_or(SetupError::Unusable("SECRET_COLUMN_UNKNOWN"))?;
                opened.push(ring.open(keys::field(&setup.id, column), sealed)?);
            }
        }
        self.note_read(&tx, setup, action).await?;
        db::commit(tx).await?;
        Ok(opened)
    }

    pub(super) async fn note_read(
        &self,
        tx: &Transaction<'_>,
        setup: &Setup,
        action: &'static str,
    ) -> Result<(), SetupError> {
        let details = json!({ "step": setup.step.name() });
        self.note(tx, setup, action, details, self.saga.clock.now()).await
    }

    pub(super) async fn note(
        &self,
        tx: &Transaction<'_>,
        setup: &Setup,
        action: &'static str,
        details: serde_json::Value,
        now: OffsetDateTime,
    ) -> Result<(), SetupError> {
        let id = setup.id.to_string();
        let entry = Entry {
            user_id: Some(setup.user_id),
            action,
            resource: ("lightning_setup", &id),
            details,
            origin: self.origin,
            now,
        };
        Ok(self.saga.audit.append(tx, &entry).await?)
    }
}
