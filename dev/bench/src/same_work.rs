//! That everybody does the same work: Postgres writes down the statements of one warm request of each contender,
//! and they must be those of `statements.json`, in order; and the audit chains they wrote must verify.

use crate::peers::statement;
use crate::seed;
use crate::single::{invoke, start};
use crate::world::{Runtime, World};
use anyhow::{Context, Result, ensure};
use shared::audit::{self, AuditDocument, AuditKey};
use std::fs;
use std::time::Duration;
use testing::deployment::SECRET_PREFIX;

const CREATE: &[&str] = &["count", "START TRANSACTION", "create", "COMMIT"];
const VERIFY: &[&str] =
    &["count", "find", "START TRANSACTION", "confirm", "login", "head", "audit", "session", "COMMIT"];

/// The first request also connects and publishes the key, and the second reads what was published.
const WARM: u64 = 3;

pub async fn check(world: &World, first: u64) -> Result<()> {
    world.admin.batch_execute("ALTER ROLE satchel_auth SET log_statement = 'all'").await?;
    let mut n = first;
    for runtime in Runtime::ALL {
        for (function, names) in [("create_challenge", CREATE), ("verify_lightning_signature", VERIFY)] {
            let events = if names.len() == VERIFY.len() {
                seed::answers(world, n..n + WARM).await?
            } else {
                seed::questions(n..n + WARM)?
            };
            n += WARM;
            let seen = statements_of_the_last(world, runtime, function, events).await?;
            let expected: Result<Vec<String>> =
                names
                    .iter()
                    .map(|name| {
                        if name.starts_with(char::is_uppercase) {
                            Ok((*name).into())
                        } else {
                            statement(name)
                        }
                    })
                    .collect();
            let expected = expected?;
            ensure!(
                seen == expected,
                "{} in {} does not run the statements of statements.json:\n{seen:#?}\n{expected:#?}",
                function,
                runtime.name()
            );
        }
    }
    world.admin.batch_execute("ALTER ROLE satchel_auth RESET log_statement").await?;
    same_chains(world).await
}

/// Rows that each contender linked to its account's chain with an HMAC of its own making.
async fn same_chains(world: &World) -> Result<()> {
    let document = world.sandbox.secrets().get(&format!("{SECRET_PREFIX}/audit")).context("no audit key")?;
    let document: AuditDocument = serde_json::from_str(&document)?;
    let key = AuditKey::try_from(document).map_err(anyhow::Error::msg)?;
    let verified = audit::verify(&world.admin, &key).await?;
    verified.map_err(|broken| anyhow::anyhow!("a contender writes another audit log: {broken}"))?;
    Ok(())
}

async fn statements_of_the_last(
    world: &World,
    runtime: Runtime,
    function: &str,
    mut events: Vec<bytes::Bytes>,
) -> Result<Vec<String>> {
    let api = start(world, runtime, function).await?;
    let last = events.pop().context("no event")?;
    for event in events {
        invoke(&api, event).await?;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = fs::read_to_string(world.server.log_path())?.len();
    invoke(&api, last).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let log = fs::read_to_string(world.server.log_path())?;
    api.kill().await;
    Ok(statements(&log[before..]))
}

/// From `… LOG:  execute <name>: SELECT …` and `… LOG:  statement: START TRANSACTION`, whose later lines begin with a tab.
fn statements(log: &str) -> Vec<String> {
    let joined = log.replace("\n\t", " ");
    let statement = |line: &str| {
        let text = line.split_once("LOG:  ")?.1;
        let text = text
            .strip_prefix("statement: ")
            .or_else(|| text.strip_prefix("execute ")?.split_once(": ").map(|parts| parts.1))?;
        Some(text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches(';').to_owned())
    };
    joined.lines().filter_map(statement).collect()
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn statements_are_read_from_the_log_whatever_they_were_sent_as() {
        let log = "2026-01-09 12:00:00.000 UTC [7] LOG:  statement: START TRANSACTION;\n\
                   2026-01-09 12:00:00.000 UTC [7] LOG:  execute <unnamed>: SELECT 1,\n\t       2\n\
                   2026-01-09 12:00:00.000 UTC [7] DETAIL:  parameters: $1 = 'x'\n\
                   2026-01-09 12:00:00.000 UTC [7] LOG:  execute __asyncpg_stmt_1__: SELECT 3\n";
        assert_eq!(statements(log), ["START TRANSACTION", "SELECT 1, 2", "SELECT 3"]);
    }
}
