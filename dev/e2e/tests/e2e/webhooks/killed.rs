//! The process that takes Stripe's webhooks, killed with SIGKILL while Stripe delivers.

use std::time::{Duration, Instant};

use anyhow::Context;
use e2e::Result;
use shared::random::Random;

use super::shop::{PRICE, Shop};

const PATIENCE: Duration = Duration::from_secs(20);

/// Where it hangs when it is killed: the lock that it waits for.
const HOLDS: [(&str, &str); 6] = [
    ("before the inbox row", "LOCK TABLE webhook_events IN SHARE MODE"),
    ("before the effect", "SELECT FROM payments WHERE state = 'created' FOR UPDATE"),
    ("before the object is written", "LOCK TABLE payment_objects IN SHARE MODE"),
    ("before the ledger is written", "LOCK TABLE ledger IN SHARE MODE"),
    ("before the payment is written", "LOCK TABLE payments IN SHARE MODE"),
    ("before the last write", "LOCK TABLE outbox IN SHARE MODE"),
];

#[tokio::test]
async fn killed_at_any_point_of_its_transaction_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let shop = Shop::open().await?;
    let rounds = if e2e::full() { 20 } else { 1 };
    let (mut deaths, mut payments) = (0, Vec::new());
    for round in 0..rounds {
        for (point, lock) in HOLDS {
            let (payment, session) = shop.checkout(None).await?;
            let mut admin = shop.stack.admin().await?;
            let holding = admin.transaction().await?;
            holding.batch_execute(lock).await?;
            shop.stripe.pay(&session)?;
            let waits = tokio::time::timeout(PATIENCE, shop.stack.until_somebody_waits()).await;
            waits.with_context(|| format!("nobody came to {point}"))??;
            shop.kill().await?;
            // Of the events that move nothing, some may have come through meanwhile.
            let lines = shop.stack.db.count("SELECT count(*) FROM ledger").await?;
            assert_eq!(lines, i64::try_from(payments.len())?, "something of it stayed: {point}");
            if !lock.contains("ledger") {
                assert_eq!(shop.standing(payment).await?, "created 0 0 f", "something of it stayed: {point}");
            }
            holding.rollback().await?;
            deaths += 1;
            let became = shop.becomes(payment, &format!("paid {PRICE} 0 t")).await;
            became.with_context(|| format!("killed {point} in round {round}"))?;
            shop.quiet().await?;
            payments.push(payment);
        }
    }
    for payment in &payments {
        assert_eq!(shop.standing(*payment).await?, format!("paid {PRICE} 0 t"));
    }
    shop.nothing_lost_nothing_doubled().await?;
    assert_eq!(shop.moved("payment").await?, PRICE * i64::try_from(payments.len())?);
    assert_eq!(shop.stack.db.count("SELECT count(*) FROM outbox").await?, i64::try_from(payments.len())?);
    println!("{deaths} kills at {} points: 0 lost, 0 doubled", HOLDS.len());
    shop.stack.stop().await
}

/// Between the commit and the answer: the row is there, and Stripe never hears so.
#[tokio::test]
async fn killed_at_random_moments_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let shop = Shop::open().await?;
    let rounds = if e2e::full() { 20 } else { 3 };
    let lots = Random::system();
    let (mut deaths, mut payments) = (0, Vec::new());
    for _ in 0..rounds {
        let (payment, session) = shop.checkout(None).await?;
        let (other, second) = shop.checkout(None).await?;
        shop.stripe.pay(&session)?;
        shop.stripe.pay(&second)?;
        shop.stripe.refund(&session, Some(500))?;
        shop.stripe.dispute(&second)?;
        for _ in 0..4 {
            let [wait] = lots.bytes::<1>();
            tokio::time::sleep(Duration::from_micros(u64::from(wait) * 400)).await;
            let running = shop.stack.gateway.process_ids("stripe_webhook").len();
            shop.kill().await?;
            deaths += running;
        }
        payments.push((payment, format!("partially_refunded {PRICE} 500 t")));
        payments.push((other, format!("disputed {PRICE} 0 t")));
        shop.quiet().await?;
    }
    // And right after a commit, before the answer can be away.
    for _ in 0..rounds {
        let (payment, session) = shop.checkout(None).await?;
        shop.stripe.pay(&session)?;
        let begun = Instant::now();
        while !shop.standing(payment).await?.starts_with("paid") && begun.elapsed() < PATIENCE {}
        deaths += shop.stack.gateway.process_ids("stripe_webhook").len();
        shop.kill().await?;
        payments.push((payment, format!("paid {PRICE} 0 t")));
    }
    for (payment, expected) in &payments {
        shop.becomes(*payment, expected).await?;
    }
    shop.nothing_lost_nothing_doubled().await?;
    let failed = shop.stripe.deliveries().iter().filter(|one| one.status != Some(200)).count();
    anyhow::ensure!(failed > 0, "no delivery met a death");
    println!(
        "{deaths} processes killed, {failed} deliveries failed, {} payments: 0 lost, 0 doubled",
        payments.len()
    );
    shop.stack.stop().await
}
