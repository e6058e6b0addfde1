//! One run of a setup: step after step while time allows, each recorded before it is made.

use std::time::{Duration, Instant};

use serde_json::json;

use super::keys::{self, Held, Made};
use super::row::{self, Claimed, Setup, State};
use super::steps::{Move, Step};
use super::{Saga, SetupError, activation, node};
use crate::audit::Origin;
use crate::db;
use crate::metrics;

/// So many nodes given up are no accident, and each of them costs money: from here on one at a time, when somebody
/// says so.
const MOST_NODES: i32 = 5;
/// As long as a step takes that is not out of the ordinary.
const ONE_STEP: Duration = Duration::from_mins(1);
/// Of a lease, for writing down how it ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

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
    pub(super) origin: Origin<'a>,
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
                        Ok(advanced) => (setup, earlier) = (advanced, false),
                        Err(error) => return run.stop_for(&setup, error).await,
                    }
                    if setup.state == State::Finished {
                        metrics::count("SetupFinished");
                    }
                    if !in_time && setup.state == State::Running {
                        return run.wait(&setup, Duration::ZERO, None).await;
                    }
                }
                Ok(Move::Wait { after, code }) => {
                    // What is left of the lease must last for a whole step after the wait.
                    let leased = setup.is_leased(self.clock.now() + after + ONE_STEP);
                    if Instant::now() + after >= until || !leased {
                        return run.be_patient(&setup, after, code).await;
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
                    if setup.generation > MOST_NODES {
                        return run.give_up(&setup, code, None).await;
                    }
                }
                Ok(Move::LeaveToResumer) => return run.wait(&setup, Duration::ZERO, None).await,
                Err(error) => return run.stop_for(&setup, error).await,
            }
        }
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
        // When the lease is over another run may be at this very step: there are no more calls by then, and time is left
        // to say so.
        let left = Duration::try_from(setup.due_at - self.saga.clock.now()).unwrap_or_default();
        let left = left.saturating_sub(LAST_WORDS);
        let step = async {
            if earlier && let Some(found) = setup.step.find(self, setup).await? {
                return Ok(found);
            }
            setup.step.perform(self, setup).await
        };
        tokio::time::timeout(left, step).await.unwrap_or(Err(SetupError::OutOfTime))
    }

    /// Writes down what the step made and that the next one begins; the last step is the writing down.
    async fn end_step(&mut self, setup: &Setup, progress: Progress) -> Result<Setup, SetupError> {
        let now = self.saga.clock.now();
        let ring = self.saga.sealing.get().await?;
        let activation = if setup.step >= Step::CreateWebhook {
            Some(activation::configurations(self, setup, &progress).await?)
        } else {
            None
        };
        let mut connection = self.saga.db.connection().await?;
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
}
