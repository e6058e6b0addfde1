//! Several runs beside one another, and several rows of one invoice.

use sandbox::Service;
use testing::Result;

use super::{full, open, process, rows, settled_once, wire};

#[tokio::test]
async fn two_at_once_share_the_work_and_do_each_row_once() -> Result<()> {
    let (world, shop) = open().await?;
    let mut invoices = Vec::new();
    for _ in 0..if full() { 100 } else { 15 } {
        let paid = shop.paid(&world).await?;
        for kind in ["InvoiceProcessing", "InvoiceSettled"] {
            shop.told(&world, &paid, kind).await?;
        }
        invoices.push(paid);
    }
    let told = invoices.len() as u64 * 2;
    let reads = || {
        world.sandbox.calls_to(Service::Btcpay, &format!("/btcpay/api/v1/stores/{}/invoices", shop.store.id))
    };
    let before = reads();
    let (first, second) = (wire(&world).await?, wire(&world).await?);

    let (first, second) = tokio::join!(process(&first), process(&second));

    let (first, second) = (first?, second?);
    assert_eq!(first.done + second.done, told, "{first:?} {second:?}");
    assert!(first.done > 0 && second.done > 0, "{first:?} {second:?}");
    assert_eq!(reads() - before, told, "a row was asked about twice");
    assert_eq!(
        rows(&world, "webhook_events WHERE state = 'done' AND attempts = 1").await?,
        i64::try_from(told)?
    );
    for invoice in &invoices {
        settled_once(&world, invoice).await?;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.db.count(deadlocks).await?, 0);
    Ok(())
}
