use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use shared::db::{self, Type};
use shared::setup::Saga;
use uuid::Uuid;

pub use crate::words::say;

const LOOK: Duration = Duration::from_millis(300);

/// Does the work, and meanwhile says what is written into the log of these setups, a line for each row.
pub async fn shown<T>(saga: &Saga, setups: &[Uuid], work: impl Future<Output = T>) -> Result<T> {
    let mut watcher = Watcher::new(saga, setups).await?;
    let done = tokio::select! {
        done = work => done,
        never = watcher.watch() => match never {},
    };
    // What could not be seen was done all the same.
    let _ = watcher.look().await;
    Ok(done)
}

struct Watcher<'a> {
    saga: &'a Saga,
    setups: &'a [Uuid],
    /// Rows up to here were there before.
    before: i64,
    /// How many are fully configured.
    done: usize,
    /// The last row said of each setup. Rows of one setup are written in order; rows of several are not.
    said: BTreeMap<Uuid, i64>,
}

impl<'a> Watcher<'a> {
    async fn new(saga: &'a Saga, setups: &'a [Uuid]) -> Result<Self> {
        let connection = saga.db.connection().await?;
        let sql = "SELECT COALESCE(max(id), 0) AS last FROM lightning_setup_log";
        let before = db::query_one(connection.client(), sql, &[]).await?.get("last");
        Ok(Self { saga, setups, before, done: 0, said: BTreeMap::new() })
    }

    async fn watch(&mut self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            // If it is the database, the work will say so.
            let _ = self.look().await;
        }
    }

    async fn look(&mut self) -> Result<()> {
        let connection = self.saga.db.connection().await?;
        let rows = db::query(
            connection.client(),
            "SELECT l.id, l.setup_id, l.step, l.event, l.error_code, s.address
             FROM lightning_setup_log l JOIN lightning_setups s ON s.id = l.setup_id
             WHERE l.setup_id = ANY ($1) AND l.id > $2 ORDER BY l.id",
            &[(&self.setups, Type::UUID_ARRAY), (&self.before, Type::INT8)],
        )
        .await?;
        for row in rows {
            let (id, setup_id): (i64, Uuid) = (row.get("id"), row.get("setup_id"));
            let last = self.said.entry(setup_id).or_insert(self.before);
            if id > *last {
                *last = id;
                let (address, step, event): (&str, &str, &str) =
                    (row.get("address"), row.get("step"), row.get("event"));
                let code: Option<&str> = row.get("error_code");
                let line = format!("{address}  {step:<14}  {event:<10}  {}", code.unwrap_or_default());
                say(line.trim_end());
                if event == "activated" {
                    self.done += 1;
                    say(&format!("{address} is fully configured ({} of {})", self.done, self.setups.len()));
                }
            }
        }
        Ok(())
    }
}
