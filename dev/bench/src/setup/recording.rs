//! Statements as Postgres wrote them down. Those of one setup make a script for `pgbench`: the same rows in the same
//! transactions under the same role, and no saga, no providers.

use super::ground::{Ground, set_up, user};
use super::peer::Script;
use anyhow::{Context, Result, ensure};
use shared::db::roles::Role;
use shared::setup::{NodeSource, row};
use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;
use testing::postgres::Server;
use tokio_postgres::Client;

/// One that was written down, and what stood in its places; `None` is NULL.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    pub sql: String,
    pub values: Vec<Option<String>>,
}

impl Statement {
    /// With its values in their places.
    pub async fn whole(&self, admin: &Client) -> Result<String> {
        filled(self, &types(admin, &self.sql).await?, &Names::new())
    }
}

/// Texts that are one request's own, and what makes another's.
pub type Names = Vec<(String, String)>;

/// The script: one time through it is one setup, of the user whose number is `:n`.
pub async fn script(ground: &Ground, server: &Server, first: u64) -> Result<Script> {
    let statements = record(ground, server, first).await?;
    let names = names(ground, first + 1).await?;
    let mut text = String::from("\\set i :i + 1\n\\set n :base + :client_id * :stride + :i\n");
    for statement in &statements {
        let types = types(&ground.admin, &statement.sql).await?;
        writeln!(text, "{};", filled(statement, &types, &names)?)?;
    }
    Ok(Script { name: "setup-statements.sql", text })
}

/// What the role's next connections run while `work` is at it, the statements before its `Mark` left out.
pub async fn while_at_work(
    (admin, server): (&Client, &Server),
    role: Role,
    work: impl AsyncFnOnce(Mark<'_>) -> Result<()>,
) -> Result<Vec<Statement>> {
    admin.batch_execute(&format!("ALTER ROLE {} SET log_statement = 'all'", role.name())).await?;
    let begin = Cell::new(0);
    let worked = work(Mark { server, begin: &begin }).await;
    admin.batch_execute(&format!("ALTER ROLE {} RESET log_statement", role.name())).await?;
    worked?;
    let log = written(server).await?;
    let mut statements = statements(&log[begin.get()..])?;
    statements.retain(|statement| !statement.sql.is_empty());
    Ok(statements)
}

/// Where the recording begins.
pub struct Mark<'a> {
    server: &'a Server,
    begin: &'a Cell<usize>,
}

impl Mark<'_> {
    pub async fn set(&self) -> Result<()> {
        self.begin.set(written(self.server).await?.len());
        Ok(())
    }
}

async fn written(server: &Server) -> Result<String> {
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(fs::read_to_string(server.log_path())?)
}

/// The second setup of a process: the first connects and reads secrets.
async fn record(ground: &Ground, server: &Server, first: u64) -> Result<Vec<Statement>> {
    ground.users(first..first + 2).await?;
    let work = async |mark: Mark<'_>| {
        let saga = ground.wiring("setup_lightning")?.saga().await?;
        set_up(&saga, first, NodeSource::Voltage).await?;
        mark.set().await?;
        set_up(&saga, first + 1, NodeSource::Voltage).await
    };
    let mut statements = while_at_work((&ground.admin, server), Role::Api, work).await?;
    // Once a second, and not once a setup.
    statements.retain(|statement| !statement.sql.contains("breaker_count"));
    ensure!(statements.len() > 8, "Postgres wrote down only {statements:?}");
    Ok(statements)
}

async fn names(ground: &Ground, n: u64) -> Result<Names> {
    let owner = user(n)?;
    let setup = row::find_of(&ground.admin, owner).await?.context("the setup is not there")?;
    let store = setup.btcpay_store_id.context("a finished setup has a store")?;
    let node = setup.voltage_node_id.context("a finished setup has a node")?;
    let padded = |length: usize| format!("lpad(:n::text, {length}, '0')");
    Ok(vec![
        (owner.to_string(), "lpad(:n::text, 32, '0')::uuid::text".into()),
        (setup.id.to_string(), "lpad('5' || lpad(:n::text, 24, '0'), 32, '0')::uuid::text".into()),
        (setup.username, "'u' || :n::text".into()),
        (store.clone(), padded(store.len())),
        (node.clone(), padded(node.len())),
    ])
}

/// What the server takes each place for.
pub async fn types(admin: &Client, sql: &str) -> Result<Vec<String>> {
    if !sql.contains('$') {
        return Ok(Vec::new());
    }
    let prepared = admin.prepare(sql).await.with_context(|| format!("cannot be prepared: {sql}"))?;
    Ok(prepared.params().iter().map(|param| param.name().to_owned()).collect())
}

/// A statement with its values in their places, and another's where they are one's own.
pub fn filled(statement: &Statement, types: &[String], names: &Names) -> Result<String> {
    let mut pieces = statement.sql.split('$');
    let mut sql = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (place, rest) = piece.split_at(digits);
        let at = place.parse::<usize>()? - 1;
        let value = statement.values.get(at).with_context(|| format!("no ${place} for {}", statement.sql))?;
        let kind = types.get(at).with_context(|| format!("no type for ${place} of {}", statement.sql))?;
        let literal = value.as_deref().map_or_else(|| "NULL".to_owned(), |value| expression(value, names));
        write!(sql, "({literal})::{kind}{rest}")?;
    }
    Ok(sql)
}

/// A text with what is one request's own taken out of it.
pub fn expression(value: &str, names: &Names) -> String {
    for (own, others) in names {
        if let Some((before, after)) = value.split_once(own.as_str()) {
            let around = [before, after].map(|text| (!text.is_empty()).then(|| expression(text, names)));
            let [before, after] = around;
            let parts = [before, Some(others.clone()), after];
            return parts.into_iter().flatten().collect::<Vec<_>>().join(" || ");
        }
    }
    // `pgbench` takes a colon and a letter for a variable even in quotes.
    let text = value.replace('\\', "\\\\").replace('\'', "''").replace(':', "\\x3a");
    format!("E'{text}'")
}

/// From `… LOG:  execute <unnamed>: SELECT $1` with its `… DETAIL:  parameters: $1 = 'x'`, and from
/// `… LOG:  statement: COMMIT`. Later lines of an entry begin with a tab.
fn statements(log: &str) -> Result<Vec<Statement>> {
    let mut found: Vec<Statement> = Vec::new();
    for line in log.replace("\n\t", " ").lines() {
        if let Some((_, parameters)) = line.split_once("DETAIL:  parameters: ") {
            let last = found.last_mut().context("parameters without a statement")?;
            last.values = values(parameters).with_context(|| format!("not understood: {parameters}"))?;
        } else if let Some((_, entry)) = line.split_once("LOG:  ") {
            let sql = entry
                .strip_prefix("statement: ")
                .or_else(|| entry.strip_prefix("execute ")?.split_once(": ").map(|parts| parts.1));
            if let Some(sql) = sql {
                let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
                let sql = sql.trim_end_matches(';').to_owned();
                found.push(Statement { sql, values: Vec::new() });
            }
        }
    }
    Ok(found)
}

/// From `$1 = 'it''s', $2 = NULL`.
fn values(mut text: &str) -> Option<Vec<Option<String>>> {
    let mut values = Vec::new();
    while !text.is_empty() {
        let (_, rest) = text.split_once(" = ")?;
        if let Some(rest) = rest.strip_prefix("NULL") {
            values.push(None);
            text = rest.strip_prefix(", ").unwrap_or(rest);
            continue;
        }
        let mut rest = rest.strip_prefix('\'')?;
        let mut value = String::new();
        loop {
            let (part, after) = rest.split_once('\'')?;
            value.push_str(part);
            rest = after;
            let Some(after) = rest.strip_prefix('\'') else { break };
            value.push('\'');
            rest = after;
        }
        values.push(Some(value));
        text = rest.strip_prefix(", ").unwrap_or(rest);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::{Statement, filled, statements};

    #[test]
    fn a_setups_statements_become_another_setups() {
        let log = "2026-01-09 12:00:00.000 UTC [7] LOG:  statement: START TRANSACTION\n\
                   2026-01-09 12:00:00.000 UTC [7] LOG:  execute <unnamed>: SELECT $2,\n\t       $1\n\
                   2026-01-09 12:00:00.000 UTC [7] DETAIL:  parameters: $1 = 'to u7@x, it''s {\"a\":true}', $2 = NULL\n";
        let found = statements(log).unwrap();
        assert_eq!(found[0], Statement { sql: "START TRANSACTION".into(), values: vec![] });
        let names = vec![("u7".to_owned(), "'u' || :n::text".to_owned())];
        assert_eq!(
            filled(&found[1], &["text".into(), "int4".into()], &names).unwrap(),
            "SELECT (NULL)::int4, (E'to ' || 'u' || :n::text || E'@x, it''s {\"a\"\\x3atrue}')::text"
        );
    }
}
