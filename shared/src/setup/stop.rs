//! How a run ends before its setup does, and when somebody goes on.

use std::time::Duration;

use serde_json::json;

use super::SetupError;
use super::row::{self, Setup, State, Stop};
use super::run::Run;
use crate::db;
use crate::metrics;
use crate::upstream::{Failure, UpstreamError};

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

impl Run<'_> {
    pub(super) async fn wait(
        &self,
        setup: &Setup,
        after: Duration,
        code: Option<&str>,
    ) -> Result<Setup, SetupError> {
        let due_at = self.saga.clock.now() + after;
        self.stop(setup, &Stop { event: "waiting", code, detail: None, final_: false, due_at }).await
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
        self.wait(setup, after.max(pause(setup.waits)), Some(code)).await
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
            return self.wait(setup, wait.max(pause(setup.waits)), Some(error.code)).await;
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

    pub(super) async fn give_up(
        &self,
        setup: &Setup,
        code: &str,
        detail: Option<&str>,
    ) -> Result<Setup, SetupError> {
        metrics::count("SetupFailed");
        tracing::error!(target: "setup", setup_id = %setup.id, step = setup.step.name(), code, cause = detail, "a setup failed: `satchel setup show` has the story");
        let due_at = self.saga.clock.now();
        self.stop(setup, &Stop { event: "given_up", code: Some(code), detail, final_: true, due_at }).await
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
