//! How a run ends before its setup does, and when somebody goes on.

use std::time::Duration;

use serde_json::json;

use super::SetupError;
use super::row::{self, Setup, State, Stop};
use super::run::Run;
use super::steps::Step;
use crate::db;
use crate::metrics;
use crate::upstream::{Failure, Provider, UpstreamError};

/// A step that failed this often in a row waits for somebody to look at it.
const MOST_FAILURES: i32 = 12;
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_mins(10);
/// What is not ready is looked at again after a second, two, four, up to this; after so many looks, an hour and a half,
/// it waits for somebody to look at it.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const MOST_WAITS: i32 = 90;
/// A detail in the log is for people, not for archives.
const MOST_DETAIL_CHARS: usize = 400;

/// Another setup holds the id this one was answered with.
fn is_anothers(error: &db::DbError) -> bool {
    matches!(
        error.constraint(),
        Some("lightning_setups_voltage_node_id_key" | "lightning_setups_btcpay_store_id_key")
    )
}

fn provider_of(step: Step) -> Provider {
    if step < Step::CreateStore { Provider::Voltage } else { Provider::Btcpay }
}

impl Run<'_> {
    /// An attempt that came to nothing: what it means decides when somebody goes on, and whether by itself. What cannot
    /// even be written down is returned.
    pub(super) async fn stop_for(&self, setup: &Setup, error: SetupError) -> Result<Setup, SetupError> {
        match error {
            SetupError::Upstream(error) => self.stop_with(setup, &error).await,
            SetupError::OutOfTime => {
                self.fail(setup, ("STEP_TIMED_OUT", None), self.backoff(setup.failures)).await
            }
            SetupError::Unusable(code) => self.give_up(setup, code, None).await,
            SetupError::NotConfigured(provider) => {
                self.give_up(setup, SetupError::not_configured(provider), None).await
            }
            SetupError::Open(_) | SetupError::Seal(_) => {
                self.give_up(setup, "SECRET_UNREADABLE", Some(&error.to_string())).await
            }
            // The answer named what belongs to another setup: it cannot be the answer to ours.
            SetupError::Db(error) if is_anothers(&error) => {
                self.stop_with(setup, &UpstreamError::mistaken_answer(provider_of(setup.step))).await
            }
            // A row that will not be taken now will not be taken later.
            SetupError::Db(error) if error.constraint().is_some() => {
                self.give_up(setup, "ROW_REFUSED", error.constraint()).await
            }
            error => Err(error),
        }
    }

    pub(super) async fn wait(
        &self,
        setup: &Setup,
        after: Duration,
        code: Option<&str>,
    ) -> Result<Setup, SetupError> {
        let due_at = self.saga.clock.now() + after;
        let stop = Stop { event: "waiting", code, detail: None, final_: false, looked: false, due_at };
        self.stop(setup, &stop).await
    }

    /// Nothing is wrong, and it is not ready: looked at less and less often, and not for ever.
    pub(super) async fn be_patient(
        &self,
        setup: &Setup,
        after: Duration,
        code: &str,
    ) -> Result<Setup, SetupError> {
        if setup.waits + 1 >= MOST_WAITS {
            return self.give_up(setup, code, None).await;
        }
        let due_at = self.saga.clock.now() + after.max(pause(setup.waits));
        let stop =
            Stop { event: "waiting", code: Some(code), detail: None, final_: false, looked: true, due_at };
        self.stop(setup, &stop).await
    }

    /// A call that failed: what it means decides when somebody goes on.
    pub(super) async fn stop_with(&self, setup: &Setup, error: &UpstreamError) -> Result<Setup, SetupError> {
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
        self.fail(setup, (error.code, Some(&detail)), wait).await
    }

    /// Tried again after `wait`, unless it has failed too often.
    async fn fail(
        &self,
        setup: &Setup,
        (code, detail): (&str, Option<&str>),
        wait: Duration,
    ) -> Result<Setup, SetupError> {
        if setup.failures + 1 >= MOST_FAILURES {
            return self.give_up(setup, code, detail).await;
        }
        metrics::count("SetupStepFailed");
        tracing::warn!(target: "setup", setup_id = %setup.id, step = setup.step.name(), code, cause = detail, "a step failed and will be tried again");
        let due_at = self.saga.clock.now() + wait;
        let stop = Stop { event: "failed", code: Some(code), detail, final_: false, looked: false, due_at };
        self.stop(setup, &stop).await
    }

    pub(super) async fn give_up(
        &self,
        setup: &Setup,
        code: &str,
        detail: Option<&str>,
    ) -> Result<Setup, SetupError> {
        metrics::count("SetupFailed");
        tracing::error!(target: "setup", setup_id = %setup.id, step = setup.step.name(), code, cause = detail, "a setup failed: `satchel setup show` has the story");
        let due_at = self.saga.clock.now();
        let stop = Stop { event: "given_up", code: Some(code), detail, final_: true, looked: false, due_at };
        self.stop(setup, &stop).await
    }

    /// In a transaction of its own, so that no rollback takes it along.
    pub(super) async fn stop(&self, setup: &Setup, stop: &Stop<'_>) -> Result<Setup, SetupError> {
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
}

fn pause(waits: i32) -> Duration {
    let doublings = u32::try_from(waits.clamp(0, 10)).unwrap_or_default();
    Duration::from_secs(1 << doublings).min(LONGEST_WAIT)
}
