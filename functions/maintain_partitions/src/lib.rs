//! Every day — make the months ahead that activities are kept in, and drop those that are long past. Rows that had no
//! month to go to raise `DefaultPartitionRows`: for months, nothing had made one.
//!
//! Safe to run twice, late, or beside itself: each step looks at what is there and does the next thing, under a lock.

use shared::activity::partitions::{self, Report};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::metrics;
use shared::runtime::Error;

pub struct Deps {
    db: Db,
    clock: Clock,
    kept_days: i32,
}

impl Deps {
    /// Wires `ACTIVITY_LOG_RETENTION_DAYS` (90).
    pub fn wire(config: &mut Config) -> Self {
        let kept_days = config.number("ACTIVITY_LOG_RETENTION_DAYS", 90, 1..=3_650);
        Self { db: Db::wire(config), clock: config.clock(), kept_days: kept_days.cast_signed() }
    }
}

pub async fn run(deps: &Deps) -> Result<Report, Error> {
    let connection = deps.db.connection_for_job().await?;
    let report = partitions::keep(connection.client(), deps.kept_days, deps.clock.now()).await?;
    metrics::level("DefaultPartitionRows", report.waiting);
    Ok(report)
}
