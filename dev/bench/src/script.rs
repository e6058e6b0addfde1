//! The functions' statements as a `pgbench` script, and a bare driver that runs it where `pgbench` is not.

use crate::peers::statement;
use crate::seed::{ACCOUNTS, pubkey};
use anyhow::{Context, Result};
use tokio_postgres::{Client, SimpleQueryMessage};

/// Between the first numbers of two clients: enough for any run, and not a multiple of the accounts, so that
/// no two clients are at one account at a time.
pub const STRIDE: u64 = 100_050;

/// In pieces, because `pgbench` takes a colon and a letter for a variable even in quotes.
const DID: &str = "'did:' || 'mnemonic:' || lpad(:a::text, 16, '0')";
const USER: &str = "lpad(:a::text, 32, '0')::uuid";
const ID: &str = "lpad(:n::text, 32, '0')::uuid";
/// The functions' keys are hashes; these are as many, and free.
const KEYS: &str = "ARRAY[int8send(:a::int8), int8send(:a::int8 + 100000)]";
const WINDOW: &str = "date_trunc('minute', now())";
const ADDRESS: &str = "'10.7.0.1'";
const MONTH: &str = "now() + interval '30 days'";

pub struct Script(Vec<String>);

impl Script {
    pub fn create_challenge() -> Result<Self> {
        let title = format!("'{}'", "x".repeat(260));
        let soon = "now() + interval '5 minutes'";
        let nothing = "NULL";
        Ok(Self(vec![
            fill("count", &[KEYS, WINDOW])?,
            "START TRANSACTION".into(),
            fill(
                "create",
                &[
                    "gen_random_uuid()",
                    DID,
                    "'mnemonic_login'",
                    &title,
                    nothing,
                    nothing,
                    nothing,
                    nothing,
                    "now()",
                    soon,
                ],
            )?,
            "COMMIT".into(),
        ]))
    }

    pub fn verify_lightning_signature() -> Result<Self> {
        let key = format!("'{}'", pubkey(0)?);
        // pgbench cannot work out the key of an account, and asks for it.
        let node = format!("(SELECT subject FROM identities WHERE user_id = {USER} AND kind = 'node')");
        let (sealed, link) = (bytea(65), bytea(32));
        let json = format!("\"pubkey\":\"{}\",\"type\":\"mnemonic_login\"", pubkey(0)?);
        let details = format!("('{{\"did\":\"did:' || 'mnemonic:' || '0000000000000000\",{json}}}')");
        Ok(Self(vec![
            fill("count", &[KEYS, WINDOW])?,
            fill("find", &[ID, DID, "now()"])?,
            "START TRANSACTION".into(),
            fill("confirm", &[ID, DID, "now()", "10"])?,
            fill("login", &[USER, "now()", &node])?,
            format!("{} \\gset head_", fill("head", &[&format!("({USER})::text")])?),
            fill(
                "audit",
                &[
                    &format!("({USER})::text"),
                    ":head_count::int8 + 1",
                    ID,
                    USER,
                    "'session.created'",
                    "'challenge'",
                    &format!("({ID})::text"),
                    &details,
                    ADDRESS,
                    "'bench'",
                    "now()",
                    &link,
                ],
            )?,
            fill(
                "session",
                &[
                    ID,
                    USER,
                    "'did'",
                    DID,
                    &key,
                    "now()",
                    &sealed,
                    "now()",
                    MONTH,
                    MONTH,
                    ADDRESS,
                    "'satchel-bench'",
                    "NULL",
                    "NULL",
                ],
            )?,
            "COMMIT".into(),
        ]))
    }

    pub fn for_pgbench(&self) -> String {
        let mut text =
            format!("\\set i :i + 1\n\\set n :base + :client_id * {STRIDE} + :i\n\\set a :n % {ACCOUNTS}\n");
        for step in &self.0 {
            text.push_str(step);
            text.push_str(if step.contains("\\gset") { "\n" } else { ";\n" });
        }
        text
    }

    /// One transaction of the script, for the bare driver.
    pub async fn run(&self, client: &Client, n: u64) -> Result<()> {
        let mut head = String::new();
        for step in &self.0 {
            let sql = step.split(" \\gset").next().unwrap_or(step);
            let sql = sql
                .replace(":head_count", &head)
                .replace(":n::", &format!("{n}::"))
                .replace(":a::", &format!("{}::", n % ACCOUNTS));
            let answer = client.simple_query(&sql).await?;
            if step.contains("\\gset") {
                let row = answer.iter().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                row.context("no head came back")?.clone_into(&mut head);
            }
        }
        Ok(())
    }
}

fn fill(name: &str, values: &[&str]) -> Result<String> {
    let mut sql = statement(name)?;
    // From the last, so that $1 is not found in $12.
    for (index, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", index + 1), value);
    }
    Ok(sql)
}

fn bytea(length: usize) -> String {
    format!("'\\x{}'::bytea", "5a".repeat(length))
}

#[cfg(test)]
mod tests {
    use super::Script;

    #[test]
    fn every_place_of_a_statement_is_filled() {
        for script in [Script::create_challenge().unwrap(), Script::verify_lightning_signature().unwrap()] {
            let text = script.for_pgbench();
            assert!(!text.contains('$'), "{text}");
        }
    }
}
