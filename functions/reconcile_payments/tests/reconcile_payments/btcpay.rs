//! BTCPay's invoices, whose webhooks it forgets when it restarts.

use sandbox::{Misbehaviour, Route, Service, When};
use testing::Result;
use time::Duration;

use super::{NONE, PRICE, Part, open, reconcile, reconcile_for, rows, run_sql, settled_once, standing, wire};

#[tokio::test]
async fn an_invoice_whose_webhook_was_lost_is_found_and_settled() -> Result<()> {
    let (world, shop) = open().await?;
    let (paid, waits) = (shop.invoice(&world).await?, shop.invoice(&world).await?);
    world.sandbox.btcpay().pay_invoice(&shop.store.id, &paid.btcpay_id)?;
    let deps = wire(&world).await?;
    assert_eq!(reconcile(&deps).await?.btcpay, NONE, "it is too early to ask");
    world.advance(Duration::minutes(6));

    let report = reconcile(&deps).await?;

    assert_eq!(report.btcpay, Part { seen: 2, found: 2, failed: 0 });
    settled_once(&world, &paid).await?;
    assert_eq!(standing(&world, waits.id).await?, "open 0 0 f f");
    // What is settled is asked about no more, and what waits is told once.
    world.advance(Duration::minutes(31));
    assert_eq!(reconcile(&deps).await?.btcpay, Part { seen: 1, found: 0, failed: 0 });
    settled_once(&world, &paid).await?;
    assert_eq!(rows(&world, "webhook_events WHERE state = 'done' AND type = 'InvoicePolled'").await?, 2);
    Ok(())
}

#[tokio::test]
async fn one_that_expired_and_was_paid_after_all_is_paid_late() -> Result<()> {
    let (world, shop) = open().await?;
    let invoice = shop.invoice(&world).await?;
    let btcpay = world.sandbox.btcpay();
    btcpay.expire_invoice(&shop.store.id, &invoice.btcpay_id)?;
    let deps = wire(&world).await?;
    world.advance(Duration::minutes(15));
    assert_eq!(reconcile(&deps).await?.btcpay.found, 1);
    assert_eq!(standing(&world, invoice.id).await?, "expired 0 0 f f");

    btcpay.pay_invoice(&shop.store.id, &invoice.btcpay_id)?;
    world.advance(Duration::hours(1));
    assert_eq!(reconcile(&deps).await?.btcpay.found, 1);

    assert_eq!(standing(&world, invoice.id).await?, format!("paid {PRICE} 0 t t"));
    assert_eq!(rows(&world, "ledger").await?, 1);
    assert_eq!(rows(&world, "payments WHERE poll_at IS NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn one_that_nobody_pays_is_asked_about_until_two_days_after_it_expired() -> Result<()> {
    let (world, shop) = open().await?;
    let invoice = shop.invoice(&world).await?;
    world.sandbox.btcpay().expire_invoice(&shop.store.id, &invoice.btcpay_id)?;
    let deps = wire(&world).await?;
    let ended = world.now() + Duration::days(2);
    let (mut asked, mut last) = (0, world.now());
    for _ in 0..80 {
        world.advance(Duration::hours(1));
        let seen = reconcile(&deps).await?.btcpay.seen;
        if seen > 0 {
            last = world.now();
        }
        asked += seen;
    }
    assert!((4..80).contains(&asked), "asked {asked} times");
    assert!(last >= ended, "the last time at {last}, and it could be paid until {ended}");
    assert_eq!(rows(&world, "payments WHERE poll_at IS NULL AND state = 'expired'").await?, 1);
    // Late as that, a webhook still counts.
    Ok(())
}

#[tokio::test]
async fn one_that_cannot_be_read_does_not_stop_the_others_and_is_asked_about_again() -> Result<()> {
    let (world, shop) = open().await?;
    let (bad, good) = (shop.invoice(&world).await?, shop.invoice(&world).await?);
    for invoice in [&bad, &good] {
        world.sandbox.btcpay().pay_invoice(&shop.store.id, &invoice.btcpay_id)?;
    }
    let path = format!("/btcpay/api/v1/stores/{}/invoices/{}", shop.store.id, bad.btcpay_id);
    let route = Route::service(Service::Btcpay).path(&path);
    let broken = Misbehaviour::FailBefore { status: 500, body: String::new() };
    world.sandbox.faults().add(route, When::Always, broken)?;
    let deps = wire(&world).await?;
    world.advance(Duration::minutes(6));

    assert_eq!(reconcile(&deps).await?.btcpay, Part { seen: 2, found: 1, failed: 1 });
    settled_once(&world, &good).await?;
    assert_eq!(standing(&world, bad.id).await?, "created 0 0 f f");

    // However late it is by then.
    world.advance(Duration::days(4));
    assert_eq!(reconcile(&deps).await?.btcpay, Part { seen: 1, found: 0, failed: 1 });
    world.sandbox.faults().clear();
    world.advance(Duration::days(2));
    assert_eq!(reconcile(&deps).await?.btcpay, Part { seen: 1, found: 1, failed: 0 });
    settled_once(&world, &bad).await
}

/// The answer that named it never came; BTCPay knows it by our order id.
#[tokio::test]
async fn one_whose_id_we_never_learnt_is_found_by_its_order() -> Result<()> {
    let (world, shop) = open().await?;
    let invoice = shop.invoice(&world).await?;
    world.sandbox.btcpay().pay_invoice(&shop.store.id, &invoice.btcpay_id)?;
    run_sql(
        &world,
        "UPDATE invoices SET state = 'creating', btcpay_invoice_id = NULL, bolt11 = NULL, payment_hash = NULL, expires_at = NULL",
    )
    .await?;
    world.advance(Duration::minutes(6));
    assert_eq!(reconcile(&wire(&world).await?).await?.btcpay, Part { seen: 1, found: 1, failed: 0 });
    settled_once(&world, &invoice).await
}

#[tokio::test]
async fn settled_by_somebody_s_hand_is_paid_without_money() -> Result<()> {
    let (world, shop) = open().await?;
    let invoice = shop.invoice(&world).await?;
    world.sandbox.btcpay().settle_by_hand(&shop.store.id, &invoice.btcpay_id)?;
    world.advance(Duration::minutes(6));
    assert_eq!(reconcile(&wire(&world).await?).await?.btcpay.found, 1);
    assert_eq!(standing(&world, invoice.id).await?, "paid 0 0 f t");
    assert_eq!(
        (rows(&world, "payments WHERE manually_marked").await?, rows(&world, "ledger").await?),
        (1, 0)
    );
    Ok(())
}

/// What there was no time for is not a failure, and as due as before.
#[tokio::test]
async fn a_run_whose_time_is_over_leaves_the_rest_as_it_was() -> Result<()> {
    let (world, shop) = open().await?;
    let invoice = shop.invoice(&world).await?;
    world.sandbox.btcpay().pay_invoice(&shop.store.id, &invoice.btcpay_id)?;
    world.advance(Duration::minutes(6));
    let due = "payments WHERE poll_at = created_at + interval '5 minutes'";
    assert_eq!(rows(&world, due).await?, 1);
    let deps = wire(&world).await?;
    // All of it is kept back for its last words.
    let report = reconcile_for(&deps, std::time::Duration::from_secs(10)).await?;
    assert_eq!((report.btcpay.found, report.btcpay.failed, report.stripe.failed), (0, 0, 0));
    assert_eq!(rows(&world, due).await?, 1, "it was put off");
    assert_eq!(reconcile(&deps).await?.btcpay, Part { seen: 1, found: 1, failed: 0 });
    settled_once(&world, &invoice).await
}

/// While BTCPay is away nobody is asked, and nobody is put off for it.
#[tokio::test]
async fn an_open_breaker_ends_the_asking_and_leaves_the_rest_as_it_was() -> Result<()> {
    let (world, shop) = open().await?;
    let deps = wire(&world).await?;
    let mut invoices = Vec::new();
    for _ in 0..40 {
        invoices.push(shop.invoice(&world).await?);
    }
    world.advance(Duration::minutes(6));
    world.sandbox.faults().broken(Service::Btcpay);
    let report = reconcile(&deps).await?.btcpay;
    assert_eq!(report.found, 0, "{report:?}");
    let due = "payments WHERE poll_at = created_at + interval '5 minutes'";
    let left = rows(&world, due).await?;
    assert!((1..40).contains(&left), "{left} of 40 were left alone: {report:?}");
    world.sandbox.faults().up(Service::Btcpay);
    world.advance(Duration::minutes(1));
    let report = reconcile(&deps).await?.btcpay;
    assert_eq!((report.seen, report.failed), (left.unsigned_abs(), 0), "{report:?}");
    Ok(())
}
