//! That everybody does the same work: the statements of one delivery and of its copy are those of `statements.json`, in
//! order, and after the same events the tables hold the same rows, their bodies sealed alike.

use super::contender::{Contender, Crew, Lane, Work};
use super::events::{Batch, Delivery, Ids};
use super::ground::Ground;
use super::script::{NEW, REPEAT, Recorded, Whose, without_types};
use crate::peers;
use crate::setup::recording::{Mark, while_at_work};
use anyhow::{Context, Result, ensure};
use shared::db::roles::Role;
use std::collections::BTreeMap;
use testing::postgres::Server;
use tokio_postgres::Client;

/// The first connects and prepares; the last is looked at.
const EVENTS: u64 = 4;

/// What a row is compared without: what is made by lot, and when.
const TABLES: [(&str, &str); 5] = [
    ("webhook_events", "{id,body_sealed,received_at,finished_at}"),
    ("payments", "{created_at,updated_at}"),
    ("payment_objects", "{created_at,updated_at}"),
    ("ledger", "{id,created_at}"),
    ("outbox", "{id,created_at,next_attempt_at}"),
];

type Rows = BTreeMap<&'static str, Vec<String>>;

pub async fn check(ground: &Ground, server: &Server, first: u64, [new, copy]: &[Recorded; 2]) -> Result<()> {
    let batch = Batch::new(ground, first..first + EVENTS).await?;
    let mut seen: Option<Rows> = None;
    for contender in Contender::ALL {
        again(ground, &batch).await?;
        let work = async |mark: Mark<'_>| deliver(ground, contender, &batch, mark).await;
        let statements = while_at_work((&ground.admin, server), Role::Webhooks, work).await?;
        let ran: Vec<String> = statements.iter().map(|statement| without_types(&statement.sql)).collect();
        let expected = expected()?;
        ensure!(ran == expected, "{} does not run the statements: {ran:#?}\n{expected:#?}", contender.name());
        compare(contender.name(), &mut seen, rows(ground, &batch).await?)?;
    }
    // pgbench's statements, each event and its copy by the number alone.
    again(ground, &batch).await?;
    for n in batch.numbers.clone() {
        run(ground, new, &batch, n).await?;
        run(ground, copy, &batch, n).await?;
    }
    compare("pgbench", &mut seen, tables(&ground.admin).await?)?;
    ground.empty().await
}

/// The same payments wait again.
async fn again(ground: &Ground, batch: &Batch) -> Result<()> {
    ground.empty().await?;
    ground.payments(&batch.numbers).await
}

async fn run(ground: &Ground, recorded: &Recorded, batch: &Batch, n: u64) -> Result<()> {
    let client = ground.db.connect(Role::Webhooks).await?;
    let statements = recorded.of(ground, Whose::Of(batch, n)).await?;
    Ok(client.batch_execute(&statements.join(";\n")).await?)
}

async fn deliver(ground: &Ground, contender: Contender, batch: &Batch, mark: Mark<'_>) -> Result<()> {
    let mut crew = Crew::start(ground, contender, Work::Webhook, 1).await?;
    let (lane, copies) = (&mut crew.lanes[0], batch.again()?);
    let last = batch.deliveries.len() - 1;
    for (delivery, copy) in batch.deliveries.iter().zip(&copies).take(last) {
        both(lane, delivery, copy).await?;
    }
    mark.set().await?;
    both(lane, &batch.deliveries[last], &copies[last]).await?;
    refuses(&mut crew.lanes[0], &copies[0]).await?;
    crew.stop().await;
    Ok(())
}

async fn both(lane: &mut Lane, delivery: &Delivery, copy: &Delivery) -> Result<()> {
    lane.send(delivery).await?;
    lane.send(copy).await?;
    Ok(())
}

/// A server that verified nothing would be quick.
async fn refuses(lane: &mut Lane, delivery: &Delivery) -> Result<()> {
    let mut forged = delivery.clone();
    forged.signature = forged.signature.replace("v1=", "v1=00");
    let event = std::str::from_utf8(&forged.event)?.replace("v1=", "v1=00");
    forged.event = event.into_bytes().into();
    let answered = lane.send(&forged).await;
    ensure!(answered.is_err(), "a forged delivery is answered with 200");
    Ok(())
}

/// Of one delivery and its copy.
fn expected() -> Result<Vec<String>> {
    let of = |name: &&str| {
        if name.starts_with(char::is_uppercase) {
            return Ok((*name).to_owned());
        }
        Ok(without_types(&peers::statement(name)?))
    };
    NEW.iter().chain(REPEAT).map(of).collect()
}

/// All that a contender left, with bodies that open to what was sent.
async fn rows(ground: &Ground, batch: &Batch) -> Result<Rows> {
    let ring = ground.ring()?;
    let written =
        ground.admin.query_typed("SELECT id, event_id, body, body_sealed FROM webhook_events", &[]).await?;
    for (n, delivery) in batch.numbers.clone().zip(&batch.deliveries) {
        let ids = Ids::new(&batch.stem, n)?;
        let row = written.iter().find(|row| row.get::<_, &str>("event_id") == ids.event);
        let row = row.with_context(|| format!("{} is not written down", ids.event))?;
        let opened = shared::webhook::body(row, &ring).map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(opened.expose().as_slice() == delivery.body, "another body is sealed than was sent");
        let id: uuid::Uuid = row.get("id");
        ensure!(id.get_version_num() == 7, "{id} does not sort by its time");
    }
    tables(&ground.admin).await
}

async fn tables(admin: &Client) -> Result<Rows> {
    let mut rows = Rows::new();
    for (table, left_out) in TABLES {
        let sql =
            format!("SELECT (to_jsonb(t) - '{left_out}'::text[])::text AS row FROM {table} t ORDER BY 1");
        let found = admin.query_typed(&sql, &[]).await?;
        rows.insert(table, found.iter().map(|row| row.get("row")).collect());
    }
    Ok(rows)
}

fn compare(name: &str, seen: &mut Option<Rows>, rows: Rows) -> Result<()> {
    for (table, found) in &rows {
        ensure!(found.len() as u64 == EVENTS, "{name} leaves {} rows in {table}", found.len());
    }
    if let Some(seen) = seen {
        ensure!(*seen == rows, "{name} leaves other rows: {rows:#?}\n{seen:#?}");
    } else {
        *seen = Some(rows);
    }
    Ok(())
}
