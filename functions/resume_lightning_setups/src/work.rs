//! Taking setups up one by one and running several side by side.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use shared::audit::Origin;
use shared::log;
use shared::setup::{Claimed, Saga, SetupError, State, queue};
use uuid::Uuid;

use crate::tally::Tally;

/// How long a setup that only waits for its node keeps the others waiting.
const TURN: Duration = Duration::from_secs(10);
/// A setup that is due so soon is waited for, and not left to the next run.
const SOON: Duration = Duration::from_secs(5);
/// How often it is looked whether a setup in our own hands was let go before it was finished.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) struct Worker<'a> {
    pub(crate) saga: &'a Saga,
    pub(crate) request_id: &'a str,
    pub(crate) takes_until: Instant,
    pub(crate) ends_at: tokio::time::Instant,
    pub(crate) concurrency: usize,
    /// Setups in our hands.
    pub(crate) running: Cell<usize>,
}

impl<'a> Worker<'a> {
    pub(crate) fn origin(&self) -> Origin<'a> {
        Origin { ip: None, request_id: self.request_id }
    }

    /// Works until nothing is due or the time is up. What kept it from taking up more comes with what was done.
    pub(crate) async fn work(&self) -> (Tally, Option<SetupError>) {
        let claims = stream::unfold(false, |over| async move {
            if over {
                return None;
            }
            match self.next().await {
                Ok(Some(claimed)) => Some((Ok(claimed), false)),
                Ok(None) => None,
                Err(error) => Some((Err(error), true)),
            }
        });
        let runs = claims.map(|claimed| async {
            match claimed {
                Ok(claimed) => Ok(self.run(claimed).await),
                Err(error) => Err(error),
            }
        });
        let mut outcomes = std::pin::pin!(runs.buffer_unordered(self.concurrency));
        let (mut tally, mut trouble) = (Tally::default(), None);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok((id, state)) => tally.note(id, state),
                Err(error) => trouble = Some(error),
            }
        }
        (tally, trouble)
    }

    /// The setup that has waited longest, as soon as there is one; `None` when none will be soon.
    async fn next(&self) -> Result<Option<Claimed>, SetupError> {
        loop {
            if let Some(claimed) = self.take_up().await? {
                return Ok(Some(claimed));
            }
            if self.is_late() {
                return Ok(None);
            }
            if self.running.get() == 0 {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let next_due = {
            let connection = self.saga.db.connection_for_job().await?;
            queue::next_due(connection.client()).await?
        };
        let wait =
            next_due.map(|due_at| Duration::try_from(due_at - self.saga.clock.now()).unwrap_or_default());
        let Some(wait) = wait.filter(|wait| *wait <= SOON) else { return Ok(None) };
        tokio::time::sleep(wait).await;
        self.take_up().await
    }

    async fn take_up(&self) -> Result<Option<Claimed>, SetupError> {
        if self.is_late() {
            return Ok(None);
        }
        self.saga.take_up(None, self.origin()).await
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.takes_until
    }

    /// One setup's trouble is its own: it is told, and its lease runs out.
    async fn run(&self, claimed: Claimed) -> (Uuid, State) {
        let id = claimed.setup.id;
        self.running.update(|running| running + 1);
        let state = self.run_on(claimed).await;
        self.running.update(|running| running - 1);
        (id, state)
    }

    async fn run_on(&self, claimed: Claimed) -> State {
        let id = claimed.setup.id;
        let until = self.takes_until.min(Instant::now() + TURN);
        let running = self.saga.run(claimed, until, self.origin());
        match tokio::time::timeout_at(self.ends_at, running).await {
            Ok(Ok(setup)) => return setup.state,
            Ok(Err(error)) => {
                let cause = log::causes(&error);
                tracing::error!(target: "setup", setup_id = %id, cause, "a setup could not be written down");
            }
            Err(_) => {
                tracing::warn!(target: "setup", setup_id = %id, "the function's time was up: it is taken up again");
            }
        }
        State::Running
    }
}
