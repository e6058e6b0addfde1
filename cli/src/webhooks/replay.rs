use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shared::audit::{self, AuditDocument, AuditKey, Entry, Origin};
use shared::db;
use shared::random::Random;
use shared::webhook::desk::{self, Filter, State};
use time::OffsetDateTime;
use tokio_postgres::Client;
use uuid::Uuid;

use super::connect;
use super::which::{Which, named};
use crate::store::{From, Store};
use crate::when::now;
use crate::words::{at, count, say};

/// Events set back by one transaction: so few that nobody notices, however many there are.
const BATCH: i64 = 1_000;
/// Without a state given, what was gone through is left alone.
const UNFINISHED: [State; 3] = [State::Received, State::Ignored, State::Dead];

/// Have events gone through again, as if they had just come
///
/// Says how many, and sets them back if told to with `--yes`; the function `process_webhook_events` does the rest. Takes
/// events by their ids, or all that the options choose, but those that are done only by id or with `--state done`, and
/// those that were dismissed only by id. What was gone through before does no harm a second time. Reads the secrets
/// `database/jobs` and `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Our ids, or the provider's
    #[arg(value_name = "ID|EVENT", required_unless_present_any = CHOOSING, conflicts_with_all = CHOOSING)]
    events: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Do it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    from: From,
}

const CHOOSING: [&str; 7] = ["provider", "state", "kind", "object", "account", "since", "until"];

pub async fn run(args: Args) -> Result<String> {
    let store = Store::open(args.from).await?;
    let mut client = connect(&store).await?;
    let now = now(&client).await?;
    let mut replay = Replay { key: None, random: Random::system(), now };
    if args.yes {
        replay.key = Some(store.read::<AuditDocument, AuditKey>("audit").await?);
    }
    if args.events.is_empty() {
        replay.chosen(&mut client, &args.which).await
    } else {
        replay.named(&mut client, &args.events).await
    }
}

struct Replay {
    /// What audits it; nothing when it is only told what would be done.
    key: Option<AuditKey>,
    random: Random,
    now: OffsetDateTime,
}

impl Replay {
    async fn named(&self, client: &mut Client, names: &[String]) -> Result<String> {
        let mut ids = Vec::new();
        // All of them are looked for before any is set back.
        for name in names {
            ids.extend(named(client, name).await?.iter().map(|event| event.id));
        }
        ids.sort_unstable();
        ids.dedup();
        let Some(key) = &self.key else { return Ok(would(ids.len(), "")) };
        let mut done = 0;
        for id in ids {
            let details = |count| json!({ "count": count });
            done += self.batch(client, key, (&[id], &State::ALL), (&id.to_string(), &details)).await?;
        }
        Ok(replayed(done))
    }

    async fn chosen(&self, client: &mut Client, which: &Which) -> Result<String> {
        let mut filter = which.filter(&UNFINISHED, self.now)?;
        // What comes in meanwhile is on its way anyway.
        filter.until = Some(filter.until.map_or(self.now, |until| until.min(self.now)));
        let Some(key) = &self.key else {
            let states = desk::count(client, &filter).await?;
            let all: i64 = states.iter().map(|(_, events)| events).sum();
            let states: Vec<_> = states.iter().map(|(state, events)| format!("{events} {state}")).collect();
            let states = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
            return Ok(would(usize::try_from(all)?, &states));
        };
        let text = text(&filter)?;
        let (mut after, mut done) = (Uuid::nil(), 0);
        loop {
            let ids = desk::next_ids(client, &filter, (after, BATCH)).await?;
            let Some(last) = ids.last() else { return Ok(replayed(done)) };
            after = *last;
            let details = |count| json!({ "count": count, "from": ids.first(), "to": ids.last() });
            let batch = self.batch(client, key, (&ids, &filter.states), (&text, &details)).await;
            done += batch.with_context(|| format!("{} set back, no more", count_of(done)))?;
            if ids.len() == usize::try_from(BATCH)? {
                say(&format!("{} set back", count_of(done)));
            }
        }
    }

    /// Sets these back and audits it, both or neither.
    async fn batch(
        &self,
        client: &mut Client,
        key: &AuditKey,
        (ids, states): (&[Uuid], &[State]),
        (resource, details): (&str, &dyn Fn(u64) -> Value),
    ) -> Result<u64> {
        let tx = client.transaction().await?;
        let done = desk::replay(&tx, ids, states, self.now).await?;
        if done > 0 {
            let entry = Entry {
                user_id: None,
                action: "webhook.replayed",
                resource: ("webhook_events", resource),
                details: details(done),
                origin: Origin { ip: None, request_id: "satchel webhooks replay" },
                now: self.now,
            };
            audit::append(&tx, key, &entry, &self.random).await?;
        }
        db::commit(tx).await?;
        Ok(done)
    }
}

/// What was chosen, as the audit log has it.
fn text(filter: &Filter) -> Result<String> {
    let states: Vec<_> = filter.states.iter().map(|state| state.name()).collect();
    let mut text = format!("state={}", states.join(","));
    let given = [
        ("provider", filter.provider.map(str::to_owned)),
        ("type", filter.kind.clone()),
        ("object", filter.object_id.clone()),
        ("account", filter.account.clone()),
        ("since", filter.since.map(at)),
        ("until", filter.until.map(at)),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            write!(text, " {name}={value}")?;
        }
    }
    Ok(text)
}

fn would(events: usize, states: &str) -> String {
    match events {
        0 => "no events to replay".to_owned(),
        _ => format!("would replay {}{states}\nNext: the same with --yes", count(events, "event")),
    }
}

fn replayed(events: u64) -> String {
    match events {
        0 => "no events to replay".to_owned(),
        _ => format!(
            "{} to be gone through again: process_webhook_events takes them up within a minute\n\
             At once: aws lambda invoke --function-name satchel-process_webhook_events /dev/stdout",
            count_of(events)
        ),
    }
}

fn count_of(events: u64) -> String {
    count(usize::try_from(events).unwrap_or(usize::MAX), "event")
}
