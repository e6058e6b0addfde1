//! What cannot be applied at once waits, and BTCPay is told that all is well.

use std::time::{Duration, Instant};

use btcpay_webhook::Deps;
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::json;
use testing::Result;

use super::applied::{AMOUNT, Shop, Sold};
use super::{NAME, fate, received, rows};

/// A payment that was made, and of which nobody has told yet.
async fn paid() -> Result<(Shop, Sold)> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.pay(&sold)?;
    Ok((shop, sold))
}

/// Tells of it; the answer comes within seconds, and the row waits for this reason.
async fn waits(shop: &Shop, sold: &Sold, variables: &[(&str, &str)]) -> Result<String> {
    let deps = shop.world.wire_with(NAME, variables, Deps::wire).await?;
    let began = Instant::now();
    received(&deps, &shop.tells(sold, "InvoiceSettled", &json!({}))).await?;
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    let waiting = "webhook_events WHERE state = 'received' AND attempts = 1 AND due_at > received_at
         AND due_at <= received_at + interval '1 minute' AND finished_at IS NULL";
    assert_eq!(rows(&shop.world, waiting).await?, 1);
    shop.is(sold, "state = 'created' AND received_minor = 0").await?;
    assert_eq!((rows(&shop.world, "ledger").await?, rows(&shop.world, "payment_objects").await?), (0, 0));
    let (_, code) = fate(&shop.world, &format!("InvoiceSettledOf{}", sold.invoice)).await?;
    Ok(code.unwrap_or_default())
}

#[tokio::test]
async fn with_btcpay_away_the_row_waits() -> Result<()> {
    let (shop, sold) = paid().await?;
    shop.world.sandbox.faults().away(Service::Btcpay);
    let code = waits(&shop, &sold, &[]).await?;
    assert!(code.starts_with("BTCPAY_"), "{code}");
    Ok(())
}

#[tokio::test]
async fn with_a_btcpay_that_says_nothing_the_row_waits_and_the_answer_comes() -> Result<()> {
    let (shop, sold) = paid().await?;
    shop.world.sandbox.faults().add(Route::service(Service::Btcpay), When::Always, Misbehaviour::Hang)?;
    let code = waits(&shop, &sold, &[]).await?;
    assert!(code.starts_with("BTCPAY_"), "{code}");
    Ok(())
}

#[tokio::test]
async fn with_a_btcpay_that_talks_nonsense_the_row_waits() -> Result<()> {
    for nonsense in [
        Misbehaviour::Garbage,
        Misbehaviour::CutBody { bytes: 40 },
        Misbehaviour::FailBefore { status: 500, body: "{}".to_owned() },
        Misbehaviour::RateLimited { retry_after: 60 },
    ] {
        let (shop, sold) = paid().await?;
        let kind = nonsense.kind();
        shop.world.sandbox.faults().add(Route::service(Service::Btcpay), When::Always, nonsense)?;
        let code = waits(&shop, &sold, &[]).await?;
        assert!(code.starts_with("BTCPAY_"), "{kind}: {code}");
    }
    Ok(())
}

#[tokio::test]
async fn without_btcpay_the_row_waits_for_its_configuration() -> Result<()> {
    let (shop, sold) = paid().await?;
    let code = waits(&shop, &sold, &[("BTCPAY_URL", ""), ("BTCPAY_SECRET", "")]).await?;
    assert_eq!(code, "NOT_CONFIGURED");
    Ok(())
}

#[tokio::test]
async fn what_waits_is_not_applied_by_a_copy_and_counts_once_when_another_event_brings_it() -> Result<()> {
    let (shop, sold) = paid().await?;
    shop.world.sandbox.faults().away(Service::Btcpay);
    waits(&shop, &sold, &[]).await?;
    shop.world.sandbox.faults().back(Service::Btcpay);
    let deps = shop.world.wire(NAME, Deps::wire).await?;
    received(&deps, &shop.tells(&sold, "InvoiceSettled", &json!({ "isRedelivery": true }))).await?;
    shop.is(&sold, "state = 'created'").await?;
    received(&deps, &shop.tells(&sold, "InvoicePaymentSettled", &json!({}))).await?;
    shop.is_settled_once(&sold, AMOUNT).await?;
    assert_eq!(rows(&shop.world, "webhook_events WHERE state = 'received'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn while_it_is_applied_nobody_else_takes_the_row_up() -> Result<()> {
    let (shop, sold) = paid().await?;
    let stall = Misbehaviour::stall(Duration::from_millis(700));
    shop.world.sandbox.faults().add(Route::service(Service::Btcpay), When::Times(1), stall)?;
    let deps = shop.world.wire(NAME, Deps::wire).await?;
    let call = shop.tells(&sold, "InvoiceSettled", &json!({}));
    let look = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        rows(&shop.world, "webhook_events WHERE state = 'received' AND attempts = 1 AND due_at = received_at + interval '1 minute'")
            .await
    };
    let (answered, held) = futures_util::future::join(received(&deps, &call), look).await;
    answered?;
    assert_eq!(held?, 1);
    shop.is_settled_once(&sold, AMOUNT).await
}
