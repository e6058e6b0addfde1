use std::fmt::Write;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use shared::crypto::{KeyRing, SealingKeys};
use shared::webhook::desk::{self, Event};
use time::OffsetDateTime;
use tokio_postgres::Client;

use super::advice::advice;
use super::connect;
use super::which::named;
use crate::store::{From, Store};
use crate::words::{at, clean};

/// Show an event, and what was said if that is asked for
///
/// Reads the secret `database/jobs`; with `--body` also `sealing`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Our id, or the provider's; whatever has it is shown
    #[arg(value_name = "ID|EVENT")]
    event: String,
    /// Open what the provider sent and show it. It holds what customers gave: names, addresses, what they bought
    #[arg(long)]
    body: bool,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::open(args.from).await?;
    let client = connect(&store).await?;
    let ring = if args.body { Some(store.read::<SealingKeys, KeyRing>("sealing").await?) } else { None };
    let mut shown = Vec::new();
    for event in named(&client, &args.event).await? {
        let mut said = head(&event)?;
        if let Some(ring) = &ring {
            write!(said, "\n\n{}", opened(&client, ring, &event).await?)?;
        }
        shown.push(said);
    }
    Ok(shown.join("\n\n"))
}

fn head(event: &Event) -> Result<String> {
    let mut said = format!("event {}  {}\n", event.id, event.state);
    let account = match (event.account.as_str(), event.provider.as_str()) {
        ("", _) => "our own".to_owned(),
        (account, "btcpay") => format!("store {account}"),
        (account, _) => account.to_owned(),
    };
    let mode = event.livemode.map(|live| if live { "live" } else { "test" });
    let time = |time: Option<OffsetDateTime>| time.map(at).unwrap_or_default();
    let object = event.object_id.clone().unwrap_or_default();
    for (name, value) in [
        ("provider", event.provider.clone()),
        ("account", account),
        ("webhook", event.webhook_id.clone()),
        ("event", event.event_id.clone()),
        ("type", event.kind.clone()),
        ("object", object.clone()),
        ("mode", mode.unwrap_or_default().to_owned()),
        ("version", event.api_version.clone().unwrap_or_default()),
        ("happened", time(event.occurred_at)),
        ("received", at(event.received_at)),
        ("due", time(event.due_at)),
        ("finished", time(event.finished_at)),
        ("attempts", event.attempts.to_string()),
        ("error", event.last_error_code.clone().unwrap_or_default()),
    ] {
        if !value.is_empty() {
            writeln!(said, "  {name:<9} {}", clean(&value))?;
        }
    }
    write!(said, "\nnext: {}", next(event))?;
    if !object.is_empty() {
        write!(said, "\n      satchel payments show {} has the history of its object", clean(&object))?;
    }
    Ok(said)
}

fn next(event: &Event) -> String {
    let code = event.last_error_code.as_deref();
    match (event.state.as_str(), code) {
        ("received", None) => "process_webhook_events takes it up when it is due".to_owned(),
        ("received", Some(code)) => {
            format!(
                "process_webhook_events tries it again when it is due; last trouble {code}: {}",
                advice(code)
            )
        }
        ("ignored", Some(code)) => {
            format!("{code}: {} (satchel webhooks replay {})", advice(code), event.id)
        }
        ("dead", code) => {
            let why = code.map(|code| format!("{code}: {}; ", advice(code))).unwrap_or_default();
            format!("{why}satchel webhooks replay {0}, or satchel webhooks dismiss {0}", event.id)
        }
        _ => "nothing to do".to_owned(),
    }
}

/// What was said, in lines if it is JSON.
async fn opened(client: &Client, ring: &KeyRing, event: &Event) -> Result<String> {
    let body = desk::body(client, ring, event.id).await?.context("the event was deleted meanwhile")?;
    let body = body.map_err(|error| anyhow!("the body of event {}: {error}", event.id))?;
    let text = match serde_json::from_slice::<Value>(body.expose()) {
        Ok(value) => serde_json::to_string_pretty(&value)?,
        Err(_) => String::from_utf8_lossy(body.expose()).into_owned(),
    };
    Ok(text.replace(|c: char| c.is_control() && c != '\n', " "))
}
