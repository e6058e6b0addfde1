use std::fmt::Write;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use shared::db::roles::Role;
use shared::db::{self, Row, Type};
use time::OffsetDateTime;
use uuid::Uuid;

use super::words::at;
use crate::store::{From, Store};

/// List setups, the one that changed last first
///
/// Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those in this state
    #[arg(long)]
    state: Option<State>,
    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// As JSON, an array of objects
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    from: From,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Somebody is at it, or will be
    Running,
    /// Nobody goes on until it is retried
    Failed,
    /// Everything is there
    Finished,
    /// Taken back
    Undone,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Undone => "undone",
        }
    }
}

#[derive(Serialize)]
struct Line {
    id: Uuid,
    user_id: Uuid,
    address: String,
    node_source: String,
    state: String,
    step: String,
    attempts: i32,
    last_error_code: Option<String>,
    failures: i32,
    #[serde(with = "time::serde::rfc3339")]
    due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::open(args.from).await?;
    let client = store.connect(Role::Jobs).await?;
    let rows = db::query(
        &client,
        "SELECT s.id, s.user_id, s.address, s.node_source, s.state, s.step, s.failures, s.due_at, s.created_at,
                s.updated_at, COALESCE(p.attempts, 0) AS attempts, p.last_error_code
         FROM lightning_setups s
         LEFT JOIN lightning_setup_steps p ON p.setup_id = s.id AND p.name = s.step
         WHERE CAST($1 AS text) IS NULL OR s.state = $1
         ORDER BY s.updated_at DESC, s.id LIMIT $2",
        &[
            (&args.state.map(State::name), Type::TEXT),
            // One more, to know that there are more.
            (&(i64::from(args.limit) + 1), Type::INT8),
        ],
    )
    .await?;
    let limit = args.limit as usize;
    let lines: Vec<Line> = rows.iter().take(limit).map(Line::read).collect();
    if args.json {
        return Ok(serde_json::to_string_pretty(&lines)?);
    }
    if lines.is_empty() {
        return Ok("no setups".to_owned());
    }
    let widest = lines.iter().map(|line| line.address.len()).max().unwrap_or_default();
    let mut said = String::new();
    for line in &lines {
        let Line { id, address, state, step, .. } = line;
        let changed = at(line.updated_at);
        write!(said, "{id}  {state:<8}  {step:<14}  {address:<widest$}  {changed}")?;
        if let Some(code) = &line.last_error_code {
            write!(said, "  {code}")?;
        }
        said.push('\n');
    }
    if rows.len() > limit {
        writeln!(said, "and more: --limit shows them, --state chooses")?;
    }
    Ok(said.trim_end().to_owned())
}

impl Line {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            user_id: row.get("user_id"),
            address: row.get("address"),
            node_source: row.get("node_source"),
            state: row.get("state"),
            step: row.get("step"),
            attempts: row.get("attempts"),
            last_error_code: row.get("last_error_code"),
            failures: row.get("failures"),
            due_at: row.get("due_at"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        }
    }
}
