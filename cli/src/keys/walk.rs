//! Moving the values of a column, batch after batch.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use shared::clock::Clock;
use shared::crypto::KeyRing;
use shared::random::Random;
use shared::reseal::{self, Move, SealedColumn};
use tokio::time::sleep;
use tokio_postgres::Client;

use super::screen::Screen;

/// Values moved by one statement: so few that nobody notices waiting for it, so many that the way to the database
/// and back does not count.
const BATCH: u32 = 200;
/// How often a column is gone through without anything moved before the tool gives up on it.
const PATIENCE: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// What walking takes.
pub struct Walker {
    pub client: Client,
    pub clock: Clock,
    pub random: Random,
    pub screen: Screen,
    /// Values moved in a second at most.
    pub pace: Option<u32>,
    pub moved: u64,
    pub took: Duration,
}

/// One way through a column.
#[derive(Default)]
struct Way {
    moved: u64,
    unreadable: Vec<String>,
}

impl Walker {
    /// Moves every value of the column that is not under the key. Returns what does not open and had to stay, in words.
    pub async fn column(
        &mut self,
        column: &SealedColumn,
        step: Move,
        ring: &KeyRing,
    ) -> Result<Option<String>> {
        let name = format!("{}.{}", column.table, column.column);
        let total = reseal::count_older(&self.client, column, step.key_id).await.context("counting")?;
        if total == 0 {
            return Ok(None);
        }
        let known = reseal::progress(&self.client).await?;
        let known = known.into_iter().find(|row| {
            (row.purpose, row.key_id) == (step.purpose, step.key_id)
                && (row.table.as_str(), row.column.as_str()) == (column.table, column.column)
        });
        let mut from = known.and_then(|row| row.reached);
        let (mut idle, started, moved_before) = (0, Instant::now(), self.moved);
        loop {
            let from_the_start = from.is_none();
            self.screen.next();
            let way = self.way((column, &name, total), step, ring, (from.take(), moved_before)).await?;
            let left = reseal::count_older(&self.client, column, step.key_id).await?;
            if left == 0 {
                self.took += started.elapsed();
                return Ok(None);
            }
            if from_the_start && left == way.unreadable.len() as u64 {
                self.took += started.elapsed();
                let first = way.unreadable.first().map_or("", String::as_str);
                return Ok(Some(format!("{left} of {name} (the first: {first})")));
            }
            // What is left was held or written by requests while we passed.
            if way.moved == 0 && from_the_start {
                idle += 1;
                if idle == PATIENCE {
                    bail!("{left} of {name} are held by others all the time: run this again later");
                }
                sleep(PAUSE).await;
            }
        }
    }

    async fn way(
        &mut self,
        (column, name, total): (&SealedColumn, &str, u64),
        step: Move,
        ring: &KeyRing,
        (mut from, moved_before): (Option<String>, u64),
    ) -> Result<Way> {
        let limit = self.pace.map_or(BATCH, |pace| pace.min(BATCH));
        let (mut way, started) = (Way::default(), Instant::now());
        loop {
            let place = (from.as_deref(), i64::from(limit));
            let at = (self.clock.now(), &self.random);
            let batch = reseal::batch(&self.client, (column, step.key_id), place, ring, at).await?;
            way.moved += batch.resealed;
            way.unreadable.extend(batch.unreadable);
            self.moved += batch.resealed;
            let Some(reached) = batch.reached else { return Ok(way) };
            from = Some(reached);
            let (done, seconds) = (self.moved - moved_before, started.elapsed().as_secs_f64());
            self.screen.show(|| format!("{name}: {done} of {total}, {} a second", rate(way.moved, seconds)));
            if let Some(pace) = self.pace {
                let due = Duration::from_secs_f64(per_second(way.moved, f64::from(pace)));
                sleep(due.saturating_sub(started.elapsed())).await;
            }
        }
    }
}

/// Whole ones a second.
pub fn rate(count: u64, seconds: f64) -> String {
    format!("{:.0}", per_second(count, seconds.max(0.001)))
}

#[expect(clippy::cast_precision_loss, reason = "for people, and a pause")]
fn per_second(count: u64, by: f64) -> f64 {
    count as f64 / by
}
