//! What one event costs, by how much the inbox holds: several databases in turn, each with a function at work on it,
//! and how Postgres goes about each statement.

use super::alone;
use super::contender::{Contender, Work};
use super::events::Batch;
use super::fill::fill;
use super::ground::Ground;
use super::script::{NEW, Recorded, Whose};
use crate::figures::percentile;
use crate::machine::ratio;
use crate::single::Warm;
use anyhow::{Context, Result};
use serde_json::Value;
use shared::db::roles::Role;
use testing::postgres::Server;
use tokio_postgres::Client;

/// The inbox at one size.
pub struct Point {
    pub rows: u64,
    pub ground: Ground,
    pub filled_in: std::time::Duration,
    pub warm: Vec<Warm>,
    /// Of the table and each of its indexes, in bytes.
    pub sizes: Vec<(String, u64)>,
    next: u64,
    /// Of each statement of [`NEW`].
    seen: Vec<Vec<[f64; 4]>>,
}

/// A statement on its own, the middle of several events.
pub struct Cost {
    pub name: &'static str,
    pub planning_ms: f64,
    pub execution_ms: f64,
    /// Of Postgres' own memory and of the disk's.
    pub pages: f64,
    pub read: f64,
}

impl Point {
    pub async fn new(server: &Server, rows: u64) -> Result<Self> {
        let ground = Ground::on(server).await?;
        ground.history().await?;
        let begin = std::time::Instant::now();
        fill(&ground, rows).await?;
        let (filled_in, seen) = (begin.elapsed(), vec![Vec::new(); NEW.len()]);
        let sizes = sizes(&ground.admin).await?;
        Ok(Self { rows, ground, filled_in, warm: Vec::new(), sizes, next: 10_000_000, seen })
    }

    async fn batch(&mut self, count: u64) -> Result<Batch> {
        let first = self.next;
        self.next += count;
        Batch::new(&self.ground, first..first + count).await
    }

    /// One round of events, one at a time.
    pub async fn round(&mut self, requests: usize, warm_up: usize) -> Result<()> {
        let batch = self.batch((requests + warm_up) as u64).await?;
        self.ground.settle().await?;
        let measured =
            alone::measure(&self.ground, Contender::Ours, Work::Webhook, &batch.deliveries, warm_up).await?;
        self.warm.push(measured);
        Ok(())
    }

    /// Each statement of one event, of which nothing is kept.
    pub async fn explain(&mut self, recorded: &Recorded) -> Result<()> {
        let batch = self.batch(1).await?;
        let statements = recorded.of(&self.ground, Whose::Of(&batch, batch.numbers.start)).await?;
        let admin = &self.ground.admin;
        admin.batch_execute(&format!("BEGIN; SET LOCAL ROLE {}", Role::Webhooks.name())).await?;
        for ((name, sql), seen) in NEW.iter().zip(statements).zip(&mut self.seen) {
            if name.starts_with(char::is_uppercase) {
                continue;
            }
            let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}");
            let plan: Value = admin.query_typed_one(&explain, &[]).await?.get(0);
            let plan = plan.get(0).context("no plan")?;
            let number = |pointer: &str| plan.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();
            let (hit, read) = (number("/Plan/Shared Hit Blocks"), number("/Plan/Shared Read Blocks"));
            seen.push([number("/Planning Time"), number("/Execution Time"), hit + read, read]);
        }
        Ok(admin.batch_execute("ROLLBACK").await?)
    }

    /// The middle of what was seen of each statement.
    pub fn statements(&self) -> Vec<Cost> {
        let seen = NEW.iter().zip(&self.seen).filter(|(_, seen)| !seen.is_empty());
        seen.map(|(name, seen)| {
            // The first finds nothing in memory.
            let middle =
                |at: usize| percentile(&seen.iter().skip(1).map(|one| one[at]).collect::<Vec<_>>(), 50);
            let (planning_ms, execution_ms, pages, read) = (middle(0), middle(1), middle(2), middle(3));
            Cost { name, planning_ms, execution_ms, pages, read }
        })
        .collect()
    }

    /// The middle of the rounds: p50 and p99 in milliseconds, then CPU microseconds of the function and of Postgres.
    pub fn middles(&self) -> [f64; 4] {
        let warm = crate::single::middle(&self.warm);
        [warm.p50.as_secs_f64() * 1e3, warm.p99.as_secs_f64() * 1e3, warm.application_us, warm.postgres_us]
    }

    /// Bytes of a row, its table and indexes together.
    pub fn bytes_a_row(&self) -> f64 {
        ratio(self.sizes.iter().map(|(_, bytes)| bytes).sum(), self.rows)
    }
}

async fn sizes(admin: &Client) -> Result<Vec<(String, u64)>> {
    let sql = "SELECT 'webhook_events' AS name, pg_table_size('webhook_events') AS bytes UNION ALL
               (SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index
                WHERE indrelid = 'webhook_events'::regclass ORDER BY 1)";
    let rows = admin.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
}
