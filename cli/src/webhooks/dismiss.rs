use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::json;
use shared::audit::{self, AuditDocument, AuditKey, Entry, Origin};
use shared::db;
use shared::random::Random;
use shared::webhook::desk::{self, Event};
use uuid::Uuid;

use super::connect;
use super::which::named;
use crate::store::{From, Store};
use crate::when::now;
use crate::words::{clean, count};

/// Lay dead letters to rest that nobody will ever go through
///
/// What they told stays without effect, and they are ignored events from now on, which `replay` takes only by id. All of
/// those named are dismissed or none; events that are not dead are refused. Reads the secrets `database/jobs` and
/// `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Our ids, or the provider's
    #[arg(value_name = "ID|EVENT", required = true)]
    events: Vec<String>,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::open(args.from).await?;
    let key = store.read::<AuditDocument, AuditKey>("audit").await?;
    let mut client = connect(&store).await?;
    let (random, now) = (Random::system(), now(&client).await?);
    let mut events = BTreeMap::new();
    for name in &args.events {
        events.extend(named(&client, name).await?.into_iter().map(|event| (event.id, event)));
    }
    let ids: Vec<Uuid> = events.keys().copied().collect();
    let tx = client.transaction().await?;
    let dismissed = desk::dismiss(&tx, &ids, now).await?;
    let mut left = events;
    for event in &dismissed {
        left.remove(&event.id);
    }
    if !left.is_empty() {
        let listed = listed(left.values());
        bail!("nothing was dismissed; not dead ({} of {}): {listed}", left.len(), ids.len());
    }
    for event in &dismissed {
        let entry = Entry {
            user_id: None,
            action: "webhook.dismissed",
            resource: ("webhook_events", &event.id.to_string()),
            details: json!({ "code": event.code }),
            origin: Origin { ip: None, request_id: "satchel webhooks dismiss" },
            now,
        };
        audit::append(&tx, &key, &entry, &random).await?;
    }
    db::commit(tx).await?;
    Ok(format!("{} dismissed", count(dismissed.len(), "dead letter")))
}

/// As they stood a moment ago.
fn listed<'a>(events: impl Iterator<Item = &'a Event>) -> String {
    let one = |event: &Event| format!("{} {} ({})", event.id, clean(&event.event_id), event.state);
    events.map(one).collect::<Vec<_>>().join(", ")
}
