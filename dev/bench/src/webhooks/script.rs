//! Statements as Postgres wrote them down while our function was at work, and as a script for `pgbench`: the same rows
//! in the same transaction under the same role, and no function.

use super::contender::{Contender, Crew, Work};
use super::events::{Batch, Ids, SCATTER};
use super::ground::{Ground, USERS};
use crate::peers;
use crate::setup::recording::{Mark, Names, Statement, expression, filled, types, while_at_work};
use anyhow::{Context, Result, ensure};
use shared::db::roles::Role;
use std::fmt::Write as _;
use std::ops::Range;
use testing::postgres::Server;

/// What a new event runs, by the names of `statements.json`.
pub const NEW: &[&str] = &[
    "START TRANSACTION",
    "event",
    "lock",
    "known",
    "hold",
    "object",
    "moved",
    "objects",
    "payment",
    "message",
    "COMMIT",
];
/// What a copy runs.
pub const REPEAT: &[&str] = &["START TRANSACTION", "event", "lock", "redirect", "COMMIT"];

/// One delivery's statements.
pub struct Recorded {
    pub statements: Vec<Statement>,
    ids: Ids,
    stem: String,
    second: i64,
}

/// What `pgbench` is given.
pub struct Script {
    pub name: &'static str,
    pub text: String,
    /// What is sealed, as a variable: sent apart from its statement, as ours is.
    pub body: String,
}

/// Whose statements they are to become.
#[derive(Clone, Copy)]
pub enum Whose<'a> {
    /// That of the variable `n`.
    Variable,
    Of(&'a Batch, u64),
}

/// Of the new event and of its copy.
pub async fn record(ground: &Ground, server: &Server, first: u64) -> Result<[Recorded; 2]> {
    let batch = Batch::new(ground, first..first + 3).await?;
    let work = async |mark: Mark<'_>| {
        let mut crew = Crew::start(ground, Contender::Ours, Work::Webhook, 1).await?;
        let lane = &mut crew.lanes[0];
        for delivery in &batch.deliveries[..2] {
            lane.send(delivery).await?;
        }
        mark.set().await?;
        lane.send(&batch.deliveries[2]).await?;
        lane.send(&batch.again()?[2]).await?;
        crew.stop().await;
        Ok(())
    };
    let mut statements = while_at_work((&ground.admin, server), Role::Webhooks, work).await?;
    ensure!(
        statements.len() == NEW.len() + REPEAT.len(),
        "not the statements of an event and its copy: {statements:#?}"
    );
    let copy = statements.split_off(NEW.len());
    let recorded = |statements: Vec<Statement>, names: &[&str]| {
        let mut typed = Vec::new();
        for (statement, name) in statements.into_iter().zip(names) {
            typed.push(Statement { sql: named(name, &statement.sql)?, values: statement.values });
        }
        Ok(Recorded {
            statements: typed,
            ids: Ids::new(&batch.stem, first + 2)?,
            stem: batch.stem.clone(),
            second: batch.second,
        })
    };
    let new: Result<Recorded> = recorded(statements, NEW);
    Ok([new?, recorded(copy, REPEAT)?])
}

/// The statement of this name, with the types of its places; it is to be the one that ran.
fn named(name: &str, ran: &str) -> Result<String> {
    let known = if name.starts_with(char::is_uppercase) { name.to_owned() } else { peers::statement(name)? };
    ensure!(
        without_types(&known) == ran,
        "statements.json has another {name} than what ran:\n{ran}\n{known}"
    );
    Ok(known)
}

/// Ours names the types of its places beside the statement, others within.
pub fn without_types(sql: &str) -> String {
    let mut pieces = sql.split("::");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        text.push_str(rest.strip_prefix("[]").unwrap_or(rest));
    }
    text
}

impl Recorded {
    /// What is this event's own, and what stands in its place.
    fn names(&self, whose: Whose<'_>) -> Result<Names> {
        let number = match whose {
            Whose::Variable => ":n".to_owned(),
            Whose::Of(_, n) => n.to_string(),
        };
        let (stem, second) = match whose {
            Whose::Variable => (&self.stem, self.second),
            Whose::Of(batch, _) => (&batch.stem, batch.second),
        };
        let (times, below) = SCATTER;
        let tail = format!("lpad(({number}::int8 * {times} % {below})::text, 8, '0')");
        let mut names = vec![
            (self.ids.event.clone(), format!("'evt_1{stem}' || {tail}")),
            (self.ids.intent.clone(), format!("'pi_3{stem}' || {tail}")),
            (self.ids.payment.clone(), format!("lpad({number}::text, 32, '0')::uuid::text")),
            (self.ids.user.clone(), format!("lpad(({number}::int8 % {USERS})::text, 32, '0')::uuid::text")),
        ];
        if matches!(whose, Whose::Of(..)) {
            let at = time::OffsetDateTime::from_unix_timestamp(self.second)?;
            // As Postgres writes it down.
            let at = format!("{} {:02}:{:02}:{:02}+00", at.date(), at.hour(), at.minute(), at.second());
            names.push((at, format!("to_timestamp({second})::text")));
        }
        for statement in &self.statements {
            let value = |at: usize| statement.values.get(at).and_then(Option::as_deref);
            let holds = |table: &str| statement.sql.starts_with(&format!("INSERT INTO {table}"));
            if statement.sql.contains("pg_advisory_xact_lock") {
                let keys = value(0).context("nothing is locked")?.trim_matches(['{', '}']);
                for (nth, key) in keys.split(',').enumerate() {
                    names.push((key.to_owned(), format!("({number}::int8 * 10 + {nth})::text")));
                }
            }
            let own = if holds("ledger") { value(2) } else { value(0) };
            if let Some(id) =
                own.filter(|_| ["webhook_events", "ledger", "outbox"].iter().any(|table| holds(table)))
            {
                let id = id.trim_matches(['{', '}']);
                // Its time, and a number in place of the lot.
                let time = id.get(..15).context("an id of ours is a UUID")?;
                names.push((id.to_owned(), format!("'{time}000-8000-' || lpad({number}::text, 12, '0')")));
            }
            if holds("webhook_events") && matches!(whose, Whose::Variable) {
                names.push((self.body()?.to_owned(), ":body".to_owned()));
            }
        }
        Ok(names)
    }

    fn body(&self) -> Result<&str> {
        const PLACE: usize = 10;
        let event =
            self.statements.iter().find(|statement| statement.sql.starts_with("INSERT INTO webhook_events"));
        event.and_then(|event| event.values.get(PLACE)?.as_deref()).context("no event is written down")
    }

    /// The statements as another's.
    pub async fn of(&self, ground: &Ground, whose: Whose<'_>) -> Result<Vec<String>> {
        let names = self.names(whose)?;
        let mut texts = Vec::new();
        for statement in &self.statements {
            let types = types(&ground.admin, &statement.sql).await?;
            let mut lists = lists(statement, &types, &names);
            lists.extend(names.iter().cloned());
            texts.push(filled(statement, &types, &lists)?);
        }
        Ok(texts)
    }

    /// As these numbers' events, one after another.
    pub async fn run(&self, ground: &Ground, numbers: Range<u64>) -> Result<()> {
        let client = ground.db.connect(Role::Webhooks).await?;
        let statements = self
            .of(ground, Whose::Variable)
            .await?
            .join(";\n")
            .replace(":body", &format!("'{}'", self.body()?));
        for n in numbers {
            client.batch_execute(&statements.replace(":n", &n.to_string())).await?;
        }
        Ok(())
    }

    /// `numbers` gives the variable `n` its value.
    pub async fn script(&self, ground: &Ground, name: &'static str, numbers: &str) -> Result<Script> {
        let mut text = format!("{numbers}\n");
        for statement in self.of(ground, Whose::Variable).await? {
            writeln!(text, "{statement};")?;
        }
        Ok(Script { name, text, body: self.body()?.to_owned() })
    }
}

/// Lists as such, element by element: what is read from a text of its own is unknown to the planner.
fn lists(statement: &Statement, types: &[String], names: &Names) -> Names {
    let list = |(value, kind): (&Option<String>, &String)| {
        let value = value.as_deref().filter(|_| kind.starts_with('_'))?;
        let elements = value.trim_matches(['{', '}']).split(',');
        let elements: Vec<String> =
            elements.map(|element| format!("({})", expression(element.trim_matches('"'), names))).collect();
        Some((value.to_owned(), format!("ARRAY[{}]", elements.join(", "))))
    };
    statement.values.iter().zip(types).filter_map(list).collect()
}

#[cfg(test)]
mod tests {
    use super::without_types;

    #[test]
    fn a_statement_is_the_same_with_and_without_the_types_of_its_places() {
        let with = "SELECT id, $2 FROM unnest($1::uuid[], $3::timestamptz[]) AS m (id, t) WHERE a = $2::int8";
        let without = "SELECT id, $2 FROM unnest($1, $3) AS m (id, t) WHERE a = $2";
        assert_eq!(without_types(with), without);
    }
}
