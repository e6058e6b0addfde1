//! The real binary: what it refuses to start without, what it tells, and that it may be killed.

use std::time::{Duration, Instant};

use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::{Value, json};
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, request};

use super::{NAME, PRICE, full, open, rows, run_sql, standing};

const BINARY: &str = env!("CARGO_BIN_EXE_reconcile_payments");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);

fn event() -> Result<Value> {
    Ok(serde_json::from_str(&request::event_text(NAME)?)?)
}

async fn report(api: &RuntimeApi) -> Result<Value> {
    let invocation = api.invoke(&event()?).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
}

#[tokio::test]
async fn the_binary_finds_what_was_lost_and_counts_it() -> Result<()> {
    let (world, shop) = open().await?;
    let (payment, _) = shop.checkout(&world, None).await?;
    // The binary has the machine's clock: the event's second has to be over.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let api = world.binary(BINARY, NAME).await?;
    let told = report(&api).await?;
    assert!(told["stripe"]["found"].as_u64().is_some_and(|found| found > 0), "{told}");
    assert_eq!(told["btcpay"], json!({ "seen": 0, "found": 0, "failed": 0 }));
    assert_eq!(standing(&world, payment).await?, format!("paid {PRICE} 0 f t"));
    api.wait_for_log("\"PaymentsReconciled\":", LOGGED_WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let bare = binary::bare_environment(&world, &[("STRIPE_LIVEMODE", "canary")]);
    let problems =
        ["STRIPE_LIVEMODE is none of true, false", "DATABASE_SECRET is missing", "SEALING_SECRET is missing"];
    binary::refuses_to_start(BINARY, &bare, &problems, &["canary"]).await
}

/// Killed while Stripe answers, and while what it answered is written down.
#[tokio::test]
async fn killed_at_any_moment_the_next_run_finds_the_same_and_doubles_nothing() -> Result<()> {
    let (world, shop) = open().await?;
    let rounds = if full() { 20 } else { 2 };
    let mut payments = Vec::new();
    let mut admin = world.db.admin().await?;
    for _ in 0..rounds {
        for in_its_transaction in [false, true] {
            let (payment, session) = shop.checkout(&world, None).await?;
            world.sandbox.stripe().refund(&session, Some(1_000))?;
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            run_sql(&world, "UPDATE reconcile_cursors SET reached_at = now() - interval '1 minute'").await?;
            let holding = admin.transaction().await?;
            let path = "/stripe/v1/events";
            let before = world.sandbox.calls_to(Service::Stripe, path);
            if in_its_transaction {
                holding
                    .batch_execute(&format!("SELECT FROM payments WHERE id = '{payment}' FOR UPDATE"))
                    .await?;
            } else {
                let route = Route::service(Service::Stripe).path(path);
                world.sandbox.faults().add(
                    route,
                    When::Always,
                    Misbehaviour::StallAfter { millis: 60_000 },
                )?;
            }
            let api = world.binary(BINARY, NAME).await?;
            let event = event()?;
            let ready = async {
                let started = Instant::now();
                let waiting = "SELECT count(*) FROM pg_stat_activity
                               WHERE datname = current_database() AND wait_event_type = 'Lock'";
                while if in_its_transaction {
                    world.db.count(waiting).await? == 0
                } else {
                    world.sandbox.calls_to(Service::Stripe, path) == before
                } {
                    anyhow::ensure!(started.elapsed() < PATIENCE, "it never came so far");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                anyhow::Ok(())
            };
            tokio::select! {
                done = api.invoke(&event) => anyhow::bail!("it lived on: {done:?}\n{:#?}", api.logs()),
                ready = ready => ready?,
            }
            api.kill().await;
            holding.rollback().await?;
            world.sandbox.faults().clear();

            let api = world.binary(BINARY, NAME).await?;
            let told = report(&api).await?;
            assert_eq!(told["stripe"]["failed"], 0, "{told}");
            payments.push(payment);
        }
    }
    let deaths = i64::try_from(payments.len())?;
    for payment in payments {
        assert_eq!(standing(&world, payment).await?, format!("partially_refunded {PRICE} 1000 f t"));
    }
    assert_eq!(rows(&world, "ledger").await?, 2 * deaths);
    assert_eq!(rows(&world, "outbox").await?, deaths);
    assert_eq!(rows(&world, "webhook_events WHERE state <> 'done'").await?, 0);
    println!("{deaths} processes killed, 0 lost, 0 doubled");
    Ok(())
}
