//! The real binary, killed with SIGKILL around each of its effects.

use std::time::{Duration, Instant};

use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::{Value, json};
use testing::binary::RuntimeApi;
use testing::sell::Invoice;
use testing::{Result, World, request};

use super::{NAME, Shop, full, open, rows, run_sql, settled_once, untouched};

const BINARY: &str = env!("CARGO_BIN_EXE_process_webhook_events");
const PATIENCE: Duration = Duration::from_secs(20);

/// What the process does not live to see.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// BTCPay was asked, and has not looked.
    Call,
    /// BTCPay has looked, and its answer is on the way.
    Answer,
    /// The answer is there; its transaction is begun and waits.
    Commit,
    /// The row is done; another one is in hand.
    End,
}

const MOMENTS: [Before; 4] = [Before::Call, Before::Answer, Before::Commit, Before::End];

fn event() -> Result<Value> {
    Ok(serde_json::from_str(&request::event_text(NAME)?)?)
}

fn path(shop: &Shop, invoice: &Invoice) -> String {
    format!("/btcpay/api/v1/stores/{}/invoices/{}", shop.store.id, invoice.btcpay_id)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_so().await? {
        anyhow::ensure!(started.elapsed() < PATIENCE, "{what} never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Runs the binary and kills it at this moment of the work on `invoice`.
async fn dies(world: &World, shop: &Shop, invoice: &Invoice, moment: Before) -> Result<()> {
    let api = world.binary(BINARY, NAME).await?;
    let path = path(shop, invoice);
    let route = Route::service(Service::Btcpay).method("GET").path(&path);
    let before = world.sandbox.calls_to(Service::Btcpay, &path);
    let called = async || Ok(world.sandbox.calls_to(Service::Btcpay, &path) > before);
    let faults = world.sandbox.faults();
    let mut admin = world.db.admin().await?;
    let holding = admin.transaction().await?;
    match moment {
        Before::Call => faults.add(route, When::Always, Misbehaviour::Hang)?,
        Before::Answer => faults.add(route, When::Always, Misbehaviour::StallAfter { millis: 60_000 })?,
        Before::Commit => {
            holding
                .batch_execute(&format!("SELECT FROM payments WHERE id = '{}' FOR UPDATE", invoice.id))
                .await?;
        }
        Before::End => {
            let other = shop.paid(world).await?;
            let route = Route::service(Service::Btcpay).method("GET").path(&self::path(shop, &other));
            shop.told(world, &other, "InvoiceSettled").await?;
            faults.add(route, When::Always, Misbehaviour::Hang)?;
        }
    }
    let event = event()?;
    let ready = async {
        match moment {
            Before::Call | Before::Answer => {
                until("the call", called).await?;
                // The work is done by then, if it is done at all.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Before::Commit => {
                let waiting = "SELECT count(*) FROM pg_stat_activity
                               WHERE datname = current_database() AND wait_event_type = 'Lock'";
                until("its transaction", async || Ok(world.db.count(waiting).await? > 0)).await?;
            }
            Before::End => {
                let done =
                    format!("webhook_events WHERE state = 'done' AND object_id = '{}'", invoice.btcpay_id);
                until("its end", async || Ok(rows(world, &done).await? > 0)).await?;
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = api.invoke(&event) => anyhow::bail!("it lived past {moment:?}: {done:?}\n{:#?}", api.logs()),
        ready = ready => ready?,
    }
    api.kill().await;
    holding.rollback().await?;
    faults.clear();
    Ok(())
}

/// The lease is over, and the next minute's run does what is left.
async fn goes_on(world: &World) -> Result<Value> {
    run_sql(world, "UPDATE webhook_events SET due_at = now() WHERE state = 'received'").await?;
    let api: RuntimeApi = world.binary(BINARY, NAME).await?;
    let invocation = api.invoke(&event()?).await?;
    anyhow::ensure!(!invocation.is_error, "{invocation:?}\n{:#?}", api.logs());
    invocation.json()
}

#[tokio::test]
async fn killed_around_any_effect_nothing_is_lost_and_nothing_doubled_after_the_next_run() -> Result<()> {
    let (world, shop) = open().await?;
    let rounds = if full() { 20 } else { 3 };
    let mut invoices = Vec::new();
    for round in 0..rounds {
        for moment in MOMENTS {
            // The binary's clock goes on.
            world.catch_up();
            let paid = shop.paid(&world).await?;
            shop.told(&world, &paid, "InvoiceSettled").await?;
            dies(&world, &shop, &paid, moment).await?;
            if moment == Before::End {
                settled_once(&world, &paid).await?;
            } else {
                untouched(&world, &paid).await?;
            }
            let told = goes_on(&world).await?;
            assert_eq!(
                (&told["done"], &told["waiting"]),
                (&json!(1), &json!(0)),
                "{moment:?} of round {round}: {told}"
            );
            settled_once(&world, &paid).await?;
            invoices.push(paid);
        }
    }
    for invoice in &invoices {
        settled_once(&world, invoice).await?;
    }
    // Those of the last moment had a companion each.
    let deaths = i64::try_from(invoices.len())?;
    let all = deaths + i64::from(rounds);
    assert_eq!(rows(&world, "webhook_events WHERE state = 'done'").await?, all);
    assert_eq!((rows(&world, "ledger").await?, rows(&world, "outbox").await?), (all, all));
    println!("{deaths} processes killed, {all} payments, 0 lost, 0 doubled");
    Ok(())
}
