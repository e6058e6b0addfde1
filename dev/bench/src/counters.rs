//! What Postgres itself has counted.

use anyhow::Result;
use std::time::Duration;
use tokio_postgres::Client;

/// So far.
#[derive(Clone, Copy)]
pub struct Counters {
    pub commits: u64,
    /// Of the log: what a commit waits for.
    pub flushes: u64,
    pub log_bytes: u64,
    /// Inserted, changed and deleted.
    pub rows: u64,
    /// Transactions that wrote, which are those that a disk is waited for.
    pub writes: u64,
}

impl Counters {
    /// After the time for which a session may keep its counts to itself.
    pub async fn read(admin: &Client) -> Result<Self> {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let version: i32 =
            admin.query_typed_one("SELECT current_setting('server_version_num')::int", &[]).await?.get(0);
        let flushes = if version < 180_000 {
            "SELECT wal_sync FROM pg_stat_wal"
        } else {
            "SELECT sum(fsyncs)::int8 FROM pg_stat_io WHERE object = 'wal'"
        };
        let sql = format!(
            "SELECT xact_commit, ({flushes}), (SELECT wal_bytes::int8 FROM pg_stat_wal),
                    tup_inserted + tup_updated + tup_deleted,
                    pg_snapshot_xmax(pg_current_snapshot())::text::int8
             FROM pg_stat_database WHERE datname = current_database()"
        );
        let row = admin.query_typed_one(&sql, &[]).await?;
        let at = |index: usize| row.get::<_, i64>(index).cast_unsigned();
        Ok(Self { commits: at(0), flushes: at(1), log_bytes: at(2), rows: at(3), writes: at(4) })
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            commits: self.commits - before.commits,
            flushes: self.flushes - before.flushes,
            log_bytes: self.log_bytes - before.log_bytes,
            rows: self.rows - before.rows,
            writes: self.writes - before.writes,
        }
    }
}
