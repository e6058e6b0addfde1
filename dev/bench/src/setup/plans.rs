//! How Postgres goes about the statements that ask for what is due: the very ones the resumer runs.

use super::ground::{Ground, ORIGIN};
use super::recording::{Mark, while_at_work};
use anyhow::{Context, Result, ensure};
use shared::db::roles::Role;
use shared::setup::{Saga, WalletAccess, queue};
use testing::postgres::Server;

/// What is asked, and what a statement that asks it holds.
const QUESTIONS: [(&str, &str); 3] = [
    ("how much is due", "count(*) AS due"),
    ("when the next will be", "min(due_at) AS next"),
    ("take one up", "FOR UPDATE SKIP LOCKED"),
];

pub struct Plan {
    pub question: &'static str,
    pub lines: Vec<String>,
}

impl Plan {
    /// By the index of what runs, and not by a look at every row.
    pub fn is_narrow(&self) -> bool {
        let has = |text: &str| self.lines.iter().any(|line| line.contains(text));
        has("lightning_setups_due_idx") && !has("Seq Scan on lightning_setups")
    }
}

/// Nothing is taken up by this.
pub async fn read(ground: &Ground, server: &Server) -> Result<Vec<Plan>> {
    let work = async |mark: Mark<'_>| {
        let mut config = ground.wiring("resume_lightning_setups")?.config();
        let saga = Saga::wire(&mut config, WalletAccess::Read);
        config.finish().await?;
        let connection = saga.db.connection().await?;
        mark.set().await?;
        queue::read(connection.client(), saga.clock.now()).await?;
        queue::next_due(connection.client()).await?;
        drop(connection);
        saga.take_up(None, ORIGIN).await?.context("nothing is due")?;
        Ok(())
    };
    let statements = while_at_work((&ground.admin, server), Role::Jobs, work).await?;
    let mut plans = Vec::new();
    for (question, sign) in QUESTIONS {
        let asked = statements.iter().find(|statement| statement.sql.contains(sign));
        let sql =
            asked.with_context(|| format!("no statement asks {question}"))?.whole(&ground.admin).await?;
        let admin = &ground.admin;
        admin.batch_execute(&format!("BEGIN; SET LOCAL ROLE {}", Role::Jobs.name())).await?;
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}");
        let rows = admin.query_typed(&explain, &[]).await;
        admin.batch_execute("ROLLBACK").await?;
        let lines: Vec<String> = rows?.iter().map(|row| row.get(0)).collect();
        ensure!(!lines.is_empty(), "no plan for {question}");
        plans.push(Plan { question, lines });
    }
    Ok(plans)
}
