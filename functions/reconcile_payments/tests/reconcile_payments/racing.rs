//! The webhook and the poll of one invoice at the same moment.

use serde_json::json;
use shared::btcpay::webhook::Delivery;
use shared::crypto::{KeyRing, SealingKeys};
use shared::random::Random;
use shared::webhook::{self, Fate, NewRow, Processor};
use testing::sell::Invoice;
use testing::{Result, World};
use time::Duration;
use tokio::time::Instant;

use super::{NAME, Shop, full, open, reconcile, rows, run_sql, settled_once, wire};

/// As `btcpay_webhook` writes it down before it applies it.
async fn told(world: &World, shop: &Shop, invoice: &Invoice) -> Result<()> {
    let body = json!({
        "deliveryId": invoice.btcpay_id, "webhookId": shop.store.webhook_id, "originalDeliveryId": invoice.btcpay_id,
        "isRedelivery": false, "type": "InvoiceSettled", "timestamp": world.now().unix_timestamp(),
        "storeId": shop.store.id, "invoiceId": invoice.btcpay_id, "metadata": { "orderId": invoice.id },
    });
    let body = body.to_string();
    let delivery = Delivery::parse(body.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let store = shop.store.id.parse().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let event = webhook::btcpay::event(&store, &delivery, body.as_bytes());
    let mut config = world.config(world.environment(NAME)?);
    let ring = config.secret::<SealingKeys, KeyRing>("SEALING_SECRET").get().await?;
    let row = NewRow::seal(&ring, &Random::system(), &event, world.now())?;
    let fate = webhook::btcpay::fate(&delivery, world.now(), 0);
    webhook::record(&world.db.admin().await?, &row, fate, world.now()).await?;
    Ok(())
}

#[tokio::test]
async fn the_webhook_and_the_poll_settle_an_invoice_once_whoever_is_first() -> Result<()> {
    let (world, shop) = open().await?;
    let poll = wire(&world).await?;
    let webhook = world.wire("process_webhook_events", Processor::wire).await?;
    let rounds = if full() { 200 } else { 30 };
    let lots = Random::system();
    let (mut found, mut invoices) = (0, Vec::new());
    for _ in 0..rounds {
        let invoice = shop.invoice(&world).await?;
        world.sandbox.btcpay().pay_invoice(&shop.store.id, &invoice.btcpay_id)?;
        told(&world, &shop, &invoice).await?;
        run_sql(&world, "UPDATE payments SET poll_at = created_at WHERE poll_at IS NOT NULL").await?;
        let taken = webhook.take().await?.ok_or_else(|| anyhow::anyhow!("nothing is due"))?;
        let [head_start] = lots.bytes::<1>();
        let (fate, report) = tokio::join!(
            async {
                tokio::time::sleep(std::time::Duration::from_micros(u64::from(head_start) * 40)).await;
                webhook.drive(&taken, Instant::now() + std::time::Duration::from_secs(20)).await
            },
            reconcile(&poll),
        );
        assert_eq!(fate?, Some(Fate::Done));
        let report = report?.btcpay;
        assert_eq!((report.seen, report.failed), (1, 0));
        found += report.found;
        settled_once(&world, &invoice).await?;
        invoices.push(invoice);
        world.advance(Duration::SECOND);
    }
    for invoice in &invoices {
        settled_once(&world, invoice).await?;
    }
    assert_eq!(rows(&world, "ledger").await?, rounds);
    assert_eq!(rows(&world, "outbox").await?, rounds);
    assert_eq!(rows(&world, "payments WHERE version > 1").await?, 0);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.db.count(deadlocks).await?, 0);
    println!("{rounds} races: {found} by the poll, the others by the webhook");
    Ok(())
}
