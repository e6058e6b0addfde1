//! Everything that leaves a function: its log, its answers, and what stands readable in the database.

use e2e::{Answer, Log, Result, Stack};
use serde_json::Value;
use tokio_postgres::types::Type;

use super::canary::Canaries;

/// Where a canary may be seen: canary, place, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("user agent of a sign-in", "column sessions.user_agent", "people tell their sessions apart by it"),
    ("idempotency key", "column idempotency_keys.key", "it names a request and opens nothing"),
    ("node_id of /v1/nodes", "answer to node_id of /v1/nodes", "the name its owner gave the node"),
    ("node_id of /v1/nodes", "column nodes.node_id", "the name its owner gave the node"),
    ("node_id of /v1/nodes", "column audit_logs.resource_id", "the name its owner gave the node"),
    ("access token", "answer to the sign-in", "the answer's purpose"),
    ("refresh token", "answer to the sign-in", "the answer's purpose"),
    ("firebase token", "answer to the sign-in", "the answer's purpose"),
    ("seed_sealed of user-0", "answer to the handover", "the answer's purpose"),
    ("username of /v1/lightning/setup", "column lightning_setups.username", "the name its owner chose"),
    ("username of /v1/lightning/setup", "column lightning_addresses.username", "the name its owner chose"),
    ("memo of /v1/invoices", "column invoices.memo", "every payer reads it"),
    ("e-mail address", "column identities.subject", "it is what they sign in with"),
    ("e-mail address", "column sessions.identity_subject", "what was signed in with"),
    ("e-mail address", "column one_time_tokens.email", "whose mailbox is to be proven"),
    ("e-mail address", "answer to a token of an e-mail", "whoever brought the token read their mail"),
    ("access token of an account", "answer to a sign-up", "the answer's purpose"),
    ("refresh token of an account", "answer to a sign-up", "the answer's purpose"),
    ("refresh token of a form", "answer to a sign-in by form", "the answer's purpose"),
    ("refresh token of a session", "answer to a session of a session", "the answer's purpose"),
];

#[derive(Default)]
pub struct Corpus(Vec<(String, String)>);

impl Corpus {
    pub fn answer(&mut self, to: &str, answer: &Answer) {
        let text = format!("{:?}\n{}", answer.headers, String::from_utf8_lossy(&answer.body));
        self.0.push((format!("answer to {to}"), text));
    }

    /// What a function answers whoever runs it.
    pub fn report(&mut self, of: &str, report: &Value) {
        self.0.push((format!("report of {of}"), report.to_string()));
    }

    pub fn log(&mut self, log: &Log) {
        self.0.extend(log.lines().into_iter().map(|(function, line)| (format!("log of {function}"), line)));
    }

    /// Every column of every table as text; `bytea` is hex then.
    pub async fn database(&mut self, stack: &Stack) -> Result<()> {
        let admin = stack.admin().await?;
        let columns = admin
            .query_typed(
                "SELECT table_name::text, column_name::text FROM information_schema.columns
                 WHERE table_schema = 'public'",
                &[],
            )
            .await?;
        for column in columns {
            let (table, column): (&str, &str) = (column.get(0), column.get(1));
            let values = format!("SELECT {column}::text FROM {table} WHERE $1");
            for row in admin.query_typed(&values, &[(&true, Type::BOOL)]).await? {
                let value: Option<String> = row.get(0);
                self.0.push((format!("column {table}.{column}"), value.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// How many texts are from a place that begins so.
    pub fn count(&self, place: &str) -> usize {
        self.0.iter().filter(|(found, _)| found.starts_with(place)).count()
    }

    /// How many texts from such a place hold a canary of this name.
    pub fn seen(&self, canaries: &Canaries, name: &str, place: &str) -> usize {
        let holds = |text: &str| canaries.in_text(text).any(|canary| canary.name == name);
        self.0.iter().filter(|(found, text)| found.starts_with(place) && holds(text)).count()
    }

    /// Each leak, told in full.
    pub fn leaks(&self, canaries: &Canaries) -> Vec<String> {
        let allowed = |name: &str, place: &str| EXCEPTIONS.iter().any(|(n, p, _)| *n == name && *p == place);
        let mut leaks: Vec<String> = self
            .0
            .iter()
            .flat_map(|(place, text)| canaries.in_text(text).map(move |canary| (canary, place, text)))
            .filter(|(canary, place, _)| !allowed(&canary.name, place))
            .map(|(canary, place, text)| format!("{} in {place}: {:.1000}", canary.name, text))
            .collect();
        leaks.sort();
        leaks
    }
}
