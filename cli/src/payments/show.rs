use std::fmt::Write;

use anyhow::{Result, bail};
use shared::db::Row;
use time::OffsetDateTime;
use uuid::Uuid;

use super::find::{Found, Object, find};
use super::history;
use super::money::money;
use crate::store::{From, Store};
use crate::webhooks::connect;
use crate::words::{at, clean, columns};

/// Show a payment and all that was heard of it, or an object and what belongs together with it
///
/// The payment as it stands, its objects at the provider, the ledger with its sums, what the outbox tells of it, its
/// subscriptions, and the events about its objects in the order in which they happened. Reads the secret
/// `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The payment's id, or the provider's id of an object or a subscription
    #[arg(value_name = "ID")]
    payment: String,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let client = connect(&Store::open(args.from).await?).await?;
    let text = &args.payment;
    let found = find(&client, text).await?;
    let mut said = String::new();
    head(&mut said, text, &found)?;
    objects(&mut said, &found.objects)?;
    subscriptions(&mut said, &found.subscriptions)?;

    let subscribed = found.subscriptions.iter().map(|row| row.get::<_, String>("subscription_id"));
    let mut names: Vec<String> = subscribed.collect();
    let mut keys = names.clone();
    keys.extend(found.payment.as_ref().map(|row| row.get::<_, Uuid>("id").to_string()));
    names.extend(found.objects.iter().map(|object| object.id.clone()));
    if !names.contains(text) {
        names.push(text.clone());
    }
    let moved = history::ledger(&mut said, &client, &names).await?;
    history::outbox(&mut said, &client, &keys).await?;
    let heard = history::events(&mut said, &client, &names).await?;
    let kept = found.payment.is_some() || !found.objects.is_empty() || !found.subscriptions.is_empty();
    if !kept && !moved && !heard {
        bail!("nothing was heard of {text}, and no payment has this id");
    }
    Ok(said.trim_end().to_owned())
}

fn head(said: &mut String, text: &str, found: &Found) -> Result<()> {
    let Some(row) = &found.payment else {
        writeln!(said, "{}  no payment of ours", clean(text))?;
        return Ok(());
    };
    let id: Uuid = row.get("id");
    let (state, currency): (&str, &str) = (row.get("state"), row.get("currency"));
    let amount = |column| money(row.get(column), currency);
    let time = |column| row.get::<_, Option<OffsetDateTime>>(column).map_or_else(|| "-".to_owned(), at);
    writeln!(said, "payment {id}  {state}")?;
    for (name, value) in [
        ("account", row.get::<_, Uuid>("user_id").to_string()),
        ("provider", format!("{} {}", row.get::<_, &str>("provider"), clean(row.get("account")))),
        ("amount", amount("amount_minor")),
        ("received", amount("received_minor")),
        ("refunded", amount("refunded_minor")),
        ("entitled", yes(row.get("entitled"))),
        ("late", yes(row.get("late"))),
        (
            "marked",
            if row.get("manually_marked") { "by hand at the provider: no money was seen" } else { "no" }
                .to_owned(),
        ),
        ("version", row.get::<_, i64>("version").to_string()),
        ("begun", at(row.get("created_at"))),
        ("changed", at(row.get("updated_at"))),
        ("expires", time("expires_at")),
        ("poll at", time("poll_at")),
    ] {
        writeln!(said, "  {name:<9} {value}")?;
    }
    Ok(())
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "no" }.to_owned()
}

fn objects(said: &mut String, objects: &[Object]) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let cells: Vec<_> = objects
        .iter()
        .map(|object| {
            let currency = object.currency.as_deref().unwrap_or_default();
            let asked = match object.asked_minor {
                None => String::new(),
                Some(asked) if asked == object.amount_minor => String::new(),
                Some(asked) => format!(" of {} asked", money(asked, currency)),
            };
            let refunded = match object.refunded_minor {
                0 => String::new(),
                refunded => format!(", {} refunded", money(refunded, currency)),
            };
            let claimed = match (object.payment_id, object.reference) {
                (Some(_), _) => String::new(),
                (None, Some(reference)) => format!(", names payment {reference}"),
                (None, None) => ", names no payment".to_owned(),
            };
            let refetch = if object.refetch_at.is_some() { ", is to be asked about" } else { "" };
            [
                format!("  {}", object.kind),
                clean(&object.id),
                clean(&object.status),
                format!("as of {}", at(object.seen_at)),
                format!("{}{asked}{refunded}{claimed}{refetch}", money(object.amount_minor, currency)),
            ]
        })
        .collect();
    write!(said, "\nobjects\n{}", columns(&cells))?;
    Ok(())
}

fn subscriptions(said: &mut String, rows: &[Row]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let end: Option<OffsetDateTime> = row.get("current_period_end_at");
            let end = end.map_or_else(|| "no period".to_owned(), |end| format!("period ends {}", at(end)));
            [
                format!("  {}", clean(row.get("subscription_id"))),
                clean(row.get("status")),
                format!("as of {}", at(row.get("seen_at"))),
                format!("entitled {}", yes(row.get("entitled"))),
                format!("version {}", row.get::<_, i64>("version")),
                format!(
                    "{end}{}",
                    if row.get("cancel_at_period_end") { ", when it is canceled" } else { "" }
                ),
            ]
        })
        .collect();
    write!(said, "\nsubscriptions\n{}", columns(&cells))?;
    Ok(())
}
