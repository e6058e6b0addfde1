//! What was heard and written of objects, each in the order in which it happened.

use std::fmt::Write;

use anyhow::Result;
use shared::db::{self, GenericClient, Type};
use shared::webhook::desk;

use super::money::{Sums, money};
use crate::webhooks::lines;
use crate::words::{at, clean, columns};

/// Events shown. Nothing that is paid once has as many.
const MOST: i64 = 1_000;

/// The ledger of these objects, and what it comes to.
pub async fn ledger(said: &mut String, client: &impl GenericClient, object_ids: &[String]) -> Result<bool> {
    let rows = db::query(
        client,
        "SELECT kind, source_object, object_id, amount_minor, currency, occurred_at FROM ledger
         WHERE object_id = ANY($1) ORDER BY occurred_at, id LIMIT $2",
        &[(&object_ids, Type::TEXT_ARRAY), (&MOST, Type::INT8)],
    )
    .await?;
    let mut sums = Sums::default();
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let (amount, currency): (i64, &str) = (row.get("amount_minor"), row.get("currency"));
            sums.add(amount, currency);
            [
                format!("  {}", at(row.get("occurred_at"))),
                row.get::<_, String>("kind"),
                money(amount, currency),
                clean(row.get("source_object")),
                clean(row.get("object_id")),
            ]
        })
        .collect();
    if !cells.is_empty() {
        write!(said, "\nledger\n{}", columns(&cells))?;
        for sum in sums.lines() {
            writeln!(said, "  sum {sum}")?;
        }
    }
    Ok(!cells.is_empty())
}

/// What later parts were told, or are to be told, under one of these keys.
pub async fn outbox(said: &mut String, client: &impl GenericClient, keys: &[String]) -> Result<()> {
    let rows = db::query(
        client,
        "SELECT topic, key, version, created_at, published_at, attempts FROM outbox
         WHERE key = ANY($1)
         ORDER BY created_at, version
         LIMIT $2",
        &[(&keys, Type::TEXT_ARRAY), (&MOST, Type::INT8)],
    )
    .await?;
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let published = row.get::<_, Option<_>>("published_at");
            let attempts: i32 = row.get("attempts");
            [
                format!("  {}", at(row.get("created_at"))),
                clean(row.get("topic")),
                clean(row.get("key")),
                format!("version {}", row.get::<_, i64>("version")),
                published.map_or_else(
                    || format!("not published, {attempts} attempts"),
                    |time| format!("published {}", at(time)),
                ),
            ]
        })
        .collect();
    if !cells.is_empty() {
        write!(said, "\noutbox\n{}", columns(&cells))?;
    }
    Ok(())
}

/// What we were told about these objects.
pub async fn events(said: &mut String, client: &impl GenericClient, object_ids: &[String]) -> Result<bool> {
    let events = desk::about(client, object_ids, MOST).await?;
    if !events.is_empty() {
        let listed = lines(&events);
        let listed: Vec<_> = events
            .iter()
            .zip(listed.lines())
            .map(|(event, line)| {
                [format!("  {}", event.occurred_at.map_or_else(|| "-".to_owned(), at)), line.to_owned()]
            })
            .collect();
        write!(
            said,
            "\nevents: happened, received, provider, account, type, event, object, state, attempts, error, id\n{}",
            columns(&listed)
        )?;
    }
    Ok(!events.is_empty())
}
