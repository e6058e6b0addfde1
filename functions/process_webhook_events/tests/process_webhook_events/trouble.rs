//! A provider that is away, slow, or answers with something else.

use std::time::Duration;

use sandbox::{Misbehaviour, Route, Service, When};
use shared::webhook::queue::{LEASE, MOST_ATTEMPTS};
use testing::{Result, World};
use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::{NOTHING, Report, open, process, rows, run_sql, settled_once, untouched, wire};

/// The attempts, when it is due, and why it waits, of the only row.
async fn waiting(world: &World) -> Result<(i32, OffsetDateTime, String)> {
    let sql = "SELECT attempts, due_at, last_error_code FROM webhook_events WHERE state = 'received'";
    let row = world.db.admin().await?.query_typed_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

#[tokio::test]
async fn a_provider_that_is_away_is_asked_again_less_and_less_often_and_settles_once_it_is_back() -> Result<()>
{
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    let deps = wire(&world).await?;
    world.sandbox.faults().broken(Service::Btcpay);
    for attempt in 1..=12_i32 {
        assert_eq!(process(&deps).await?, Report { waiting: 1, ..NOTHING }, "attempt {attempt}");
        let (attempts, due_at, code) = waiting(&world).await?;
        assert_eq!(attempts, attempt);
        assert!(!code.is_empty());
        let longest = (time::Duration::seconds(15) * 2_i32.pow(u32::try_from(attempt)? - 1))
            .min(time::Duration::hours(1));
        let wait = due_at - world.now();
        assert!((longest / 2..=longest).contains(&wait), "attempt {attempt} waits {wait}, at most {longest}");
        // Not a second earlier.
        world.advance(wait - time::Duration::SECOND);
        assert_eq!(process(&deps).await?, NOTHING);
        world.advance(time::Duration::SECOND);
    }
    untouched(&world, &paid).await?;

    world.sandbox.faults().up(Service::Btcpay);
    world.advance(time::Duration::minutes(1));
    assert_eq!(process(&deps).await?, Report { done: 1, ..NOTHING });
    assert_eq!(
        rows(&world, "webhook_events WHERE state = 'done' AND attempts = 13 AND finished_at IS NOT NULL")
            .await?,
        1
    );
    settled_once(&world, &paid).await
}

#[tokio::test]
async fn rows_that_failed_together_do_not_come_back_together() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    for kind in
        ["InvoiceCreated", "InvoiceProcessing", "InvoiceReceivedPayment", "InvoiceSettled", "InvoiceExpired"]
    {
        shop.told(&world, &paid, kind).await?;
    }
    world.sandbox.faults().down(Service::Btcpay);
    assert_eq!(process(&wire(&world).await?).await?, Report { waiting: 5, ..NOTHING });
    let times = world.db.count("SELECT count(DISTINCT due_at) FROM webhook_events").await?;
    assert!(times > 1, "all five are due at once");
    Ok(())
}

#[tokio::test]
async fn what_fails_to_the_end_is_dead_with_its_code_and_no_sooner() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    run_sql(&world, &format!("UPDATE webhook_events SET attempts = {}", MOST_ATTEMPTS - 2)).await?;
    let deps = wire(&world).await?;
    let route = Route::service(Service::Btcpay).method("GET");
    let answer = Misbehaviour::FailBefore { status: 500, body: "out of order".into() };
    world.sandbox.faults().add(route, When::Always, answer)?;

    assert_eq!(process(&deps).await?, Report { waiting: 1, ..NOTHING });
    world.advance(time::Duration::hours(1));
    assert_eq!(process(&deps).await?, Report { dead: 1, ..NOTHING });

    let admin = world.db.admin().await?;
    let dead = "SELECT attempts, last_error_code FROM webhook_events
                WHERE state = 'dead' AND due_at IS NULL AND finished_at IS NOT NULL";
    let row = admin.query_typed_one(dead, &[]).await?;
    assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1)), (MOST_ATTEMPTS, "BTCPAY_UNAVAILABLE"));
    world.sandbox.faults().clear();
    world.advance(time::Duration::days(1));
    assert_eq!(process(&deps).await?, NOTHING);
    untouched(&world, &paid).await
}

#[tokio::test]
async fn what_kills_whoever_takes_it_up_is_given_up_as_well() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    // As often as that it was taken up, and nobody came back.
    run_sql(&world, &format!("UPDATE webhook_events SET attempts = {MOST_ATTEMPTS}")).await?;
    assert_eq!(process(&wire(&world).await?).await?, Report { dead: 1, ..NOTHING });
    assert_eq!(
        rows(&world, "webhook_events WHERE state = 'dead' AND last_error_code = 'GIVEN_UP'").await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn an_invoice_that_is_not_there_waits_and_one_whose_id_is_none_is_dead_at_once() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    let deps = wire(&world).await?;
    run_sql(&world, "UPDATE webhook_events SET object_id = 'NoSuchInvoiceAtAll0000'").await?;
    assert_eq!(process(&deps).await?, Report { waiting: 1, ..NOTHING });
    run_sql(&world, "UPDATE webhook_events SET object_id = '../stores', due_at = received_at").await?;
    assert_eq!(process(&deps).await?, Report { dead: 1, ..NOTHING });
    assert_eq!(rows(&world, "webhook_events WHERE last_error_code = 'UNREADABLE'").await?, 1);
    untouched(&world, &paid).await
}

#[tokio::test]
async fn without_the_provider_in_the_configuration_it_waits_and_says_why() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    let without = [("BTCPAY_URL", ""), ("BTCPAY_SECRET", ""), ("BTCPAY_ACCOUNT", "")];
    let deps = world.wire_with(super::NAME, &without, process_webhook_events::Deps::wire).await?;
    assert_eq!(process(&deps).await?, Report { waiting: 1, ..NOTHING });
    assert_eq!(waiting(&world).await?.2, "NOT_CONFIGURED");
    untouched(&world, &paid).await
}

#[tokio::test]
async fn a_run_that_loses_its_lease_writes_nothing() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    let (slow, other) = (wire(&world).await?, wire(&world).await?);
    let path = format!("/btcpay/api/v1/stores/{}/invoices/{}", shop.store.id, paid.btcpay_id);
    let faults = world.sandbox.faults();
    // The answer is good, and takes its time.
    let route = || Route::service(Service::Btcpay).method("GET").path(&path);
    faults.add(route(), When::Times(1), Misbehaviour::StallAfter { millis: 1_500 })?;
    let before = world.sandbox.calls_to(Service::Btcpay, &path);

    let (slow, other) = tokio::join!(process(&slow), async {
        while world.sandbox.calls_to(Service::Btcpay, &path) == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        world.advance(LEASE + time::Duration::SECOND);
        // Whoever takes it up then has no luck: there is nothing to be seen but what the slow one wrote.
        faults.clear();
        faults.add(route(), When::Always, Misbehaviour::FailBefore { status: 500, body: String::new() })?;
        process(&other).await
    });

    assert_eq!(other?, Report { waiting: 1, ..NOTHING });
    assert_eq!(slow?, NOTHING, "it held the row no more");
    untouched(&world, &paid).await?;
    assert_eq!(waiting(&world).await?.0, 2);
    world.sandbox.faults().clear();
    world.advance(time::Duration::hours(1));
    assert_eq!(process(&wire(&world).await?).await?, Report { done: 1, ..NOTHING });
    settled_once(&world, &paid).await
}

/// What follows from one row is refused by the database; the others are not held up.
#[tokio::test]
async fn a_row_the_database_refuses_waits_and_the_next_one_is_done() -> Result<()> {
    let (world, shop) = open().await?;
    let (bad, good) = (shop.paid(&world).await?, shop.paid(&world).await?);
    for invoice in [&bad, &good] {
        shop.told(&world, invoice, "InvoiceSettled").await?;
    }
    let admin = world.db.admin().await?;
    let refuse =
        format!("ALTER TABLE ledger ADD CONSTRAINT odd CHECK (source_object <> '{}')", bad.btcpay_id);
    admin.batch_execute(&refuse).await?;
    let deps = wire(&world).await?;
    assert_eq!(process(&deps).await?, Report { done: 1, waiting: 1, ..NOTHING });
    assert_eq!(waiting(&world).await?.2, "NOT_APPLIED");
    settled_once(&world, &good).await?;
    untouched(&world, &bad).await?;
    let nothing_of_it = "SELECT 1 FROM payment_objects WHERE object_id = $1";
    assert!(admin.query_typed(nothing_of_it, &[(&bad.btcpay_id, Type::TEXT)]).await?.is_empty());
    admin.batch_execute("ALTER TABLE ledger DROP CONSTRAINT odd").await?;
    world.advance(time::Duration::hours(1));
    assert_eq!(process(&deps).await?, Report { done: 1, ..NOTHING });
    settled_once(&world, &bad).await
}
