//! The resumer beside a long queue: what it costs to take a due setup up, and to finish many, with others waiting and
//! others long finished.

use super::ground::{Ground, ORIGIN};
use super::rows;
use crate::throughput::settle;
use anyhow::{Context, Result, anyhow, ensure};
use resume_lightning_setups::{Deps, run};
use shared::runtime::Invocation;
use shared::setup::queue;
use shared::setup::{Saga, WalletAccess};
use std::time::{Duration, Instant};

/// As the template's `Timeout` has it.
const TIME: Duration = Duration::from_mins(5);
const DUE: u64 = 1_000_000_000;

/// One database: a resumer, and what stands in its way.
pub struct Queue {
    ground: Ground,
    saga: Saga,
    deps: Deps,
    pub waiting: u64,
    pub finished: u64,
    next: u64,
}

/// One round, each a time.
pub struct Round {
    /// How long it takes to see how much is due, and when the next will be.
    pub look: Duration,
    /// The median over the due.
    pub take_up: Duration,
    /// All of the due, by the function itself.
    pub finish: Duration,
}

impl Queue {
    pub async fn new(ground: Ground, finished: u64) -> Result<Self> {
        let wiring = ground.wiring("resume_lightning_setups")?;
        let mut config = wiring.config();
        let saga = Saga::wire(&mut config, WalletAccess::Read);
        config.finish().await?;
        let mut config = wiring.config();
        let deps = Deps::wire(&mut config);
        config.finish().await?;
        rows::finished(&ground.admin, finished).await?;
        Ok(Self { ground, saga, deps, waiting: 0, finished, next: DUE })
    }

    /// More that wait for a day that is not today.
    pub async fn wait(&mut self, waiting: u64) -> Result<()> {
        rows::waiting(&self.ground.admin, self.waiting..waiting).await?;
        self.waiting = waiting;
        settle(&self.ground.admin).await
    }

    pub async fn round(&mut self, due: u64) -> Result<Round> {
        let (look, take_up) = self.take_up(due).await?;
        Ok(Round { look, take_up, finish: self.finish(due).await? })
    }

    async fn take_up(&mut self, due: u64) -> Result<(Duration, Duration)> {
        let first = self.due(due).await?;
        let begin = Instant::now();
        {
            let connection = self.saga.db.connection().await?;
            let seen = queue::read(connection.client(), self.saga.clock.now()).await?;
            queue::next_due(connection.client()).await?;
            ensure!(seen.due == due, "{} are due, and not {due}", seen.due);
        }
        let look = begin.elapsed();
        let mut times = Vec::new();
        for _ in 0..due {
            let begin = Instant::now();
            self.saga.take_up(None, ORIGIN).await?.context("nothing is due any more")?;
            times.push(begin.elapsed());
        }
        rows::forget(&self.ground.admin, first..first + due).await?;
        times.sort_unstable();
        Ok((look, times[times.len() / 2]))
    }

    async fn finish(&mut self, due: u64) -> Result<Duration> {
        let first = self.due(due).await?;
        let begin = Instant::now();
        let invocation = Invocation { id: "bench".to_owned(), ends_at: begin + TIME };
        let report = run(&self.deps, &invocation).await.map_err(|error| anyhow!("{error}"))?;
        let took = begin.elapsed();
        ensure!(u64::try_from(report.finished)? == due, "not all were finished: {report:?}");
        rows::forget(&self.ground.admin, first..first + due).await?;
        Ok(took)
    }

    async fn due(&mut self, due: u64) -> Result<u64> {
        let first = self.next;
        self.next += due;
        self.ground.users(first..first + due).await?;
        rows::due(&self.ground.admin, first..first + due).await?;
        settle(&self.ground.admin).await?;
        Ok(first)
    }
}
