//! The resumer beside a long queue, and beside many that are finished: what it costs to see how much is due, to take
//! one up, and how many a second it brings to their end.

use super::ground::{Ground, ORIGIN};
use super::rows;
use crate::figures::ms;
use crate::machine::ratio;
use anyhow::{Context, Result, anyhow, ensure};
use resume_lightning_setups::{Deps, run};
use shared::runtime::Invocation;
use shared::setup::queue;
use shared::setup::{Saga, WalletAccess};
use std::time::{Duration, Instant};

/// How long the function takes setups up in a round, and what it keeps back of its time for other work.
const AT_WORK: Duration = Duration::from_secs(3);
const KEPT_BACK: Duration = Duration::from_secs(20);

/// One database: a resumer, and what stands in its way.
pub struct Queue {
    pub ground: Ground,
    saga: Saga,
    deps: Deps,
    pub due: u64,
    pub finished: u64,
    next: u64,
}

/// What was seen, in milliseconds.
#[derive(Default)]
pub struct Seen {
    /// How long it takes to count what is due, and to see when the next will be.
    pub count: Vec<f64>,
    pub next: Vec<f64>,
    pub take_up: Vec<f64>,
    /// Brought to their end by the function itself, a second.
    pub per_second: Vec<f64>,
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
        ground.admin.batch_execute("VACUUM ANALYZE").await?;
        Ok(Self { ground, saga, deps, due: 0, finished, next: 0 })
    }

    /// So many are due from now on, and nothing is left of earlier rounds.
    pub async fn fill(&mut self, due: u64) -> Result<()> {
        rows::forget_what_ran(&self.ground.admin).await?;
        let there: i64 = self.ground.admin.query_typed_one(rows::COUNT_DUE, &[]).await?.get(0);
        let missing = due - there.unsigned_abs();
        self.ground.users(self.next..self.next + missing).await?;
        rows::due(&self.ground.admin, self.next..self.next + missing).await?;
        (self.due, self.next) = (due, self.next + missing);
        rows::settle(&self.ground.admin).await
    }

    pub async fn look(&self, seen: &mut Seen) -> Result<()> {
        let connection = self.saga.db.connection().await?;
        let begin = Instant::now();
        let found = queue::read(connection.client(), self.saga.clock.now()).await?;
        seen.count.push(ms(begin.elapsed()));
        ensure!(found.due == self.due, "{} are due, and not {}", found.due, self.due);
        let begin = Instant::now();
        queue::next_due(connection.client()).await?;
        seen.next.push(ms(begin.elapsed()));
        Ok(())
    }

    pub async fn take_up(&self, seen: &mut Seen) -> Result<()> {
        let begin = Instant::now();
        self.saga.take_up(None, ORIGIN).await?.context("nothing is due any more")?;
        seen.take_up.push(ms(begin.elapsed()));
        Ok(())
    }

    pub async fn work(&self, seen: &mut Seen) -> Result<()> {
        let begin = Instant::now();
        let invocation = Invocation { id: "bench".to_owned(), ends_at: begin + AT_WORK + KEPT_BACK };
        let report = Box::pin(run(&self.deps, &invocation)).await.map_err(|error| anyhow!("{error}"))?;
        ensure!(report.finished > 0 && report.failed == 0, "not as it should be: {report:?}");
        let finished = ratio(u64::try_from(report.finished)?, 1);
        seen.per_second.push(finished / begin.elapsed().as_secs_f64());
        Ok(())
    }
}
