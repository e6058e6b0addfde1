//! What the sandbox's BTCPay itself writes, byte for byte.

use std::time::Duration;

use anyhow::Context;
use sandbox::btcpay::Delivery;
use shared::btcpay::{Btcpay, NewInvoice};
use shared::crypto::Secret;
use shared::random::Random;
use shared::upstream::Upstream;
use testing::{Call, Result, World};

use super::{DID, NAME, ROUTE, hmac, kept_body, received, rows, wire};

/// BTCPay writes a delivery down once it has tried it.
async fn tried(world: &World, count: usize) -> Result<Vec<Delivery>> {
    for _ in 0..200 {
        let deliveries = world.sandbox.btcpay().deliveries();
        if deliveries.len() >= count {
            return Ok(deliveries);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("of {count} deliveries only {:?}", world.sandbox.btcpay().deliveries())
}

#[tokio::test]
async fn every_delivery_of_a_paid_invoice_is_received_once_redeliveries_included() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let node = world.node("node12")?;
    let user = world.sign_in(DID, &node.pubkey).await?;
    let store = world.give_store(&user, &node).await?;
    let btcpay = {
        let mut config = world.config(world.environment(NAME)?);
        let upstream = Upstream::wire(&mut config);
        Btcpay::wire(&mut config, &upstream).context("no BTCPay")?
    };
    let id = store.id.parse()?;
    // Nobody listens there: what BTCPay wrote is taken from its own records.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let secret = Secret::new(store.webhook_secret.clone());
    btcpay.create_webhook(&id, &format!("http://{deaf}/"), &secret).await?;
    world.sandbox.btcpay().set_retry_waits(&[]);
    let order_id = Random::system().id(world.now());
    let new = NewInvoice { order_id, amount_msat: 250_000, description: "tea", expiry_minutes: 15 };
    let invoice = btcpay.create_invoice(&id, &new).await?;
    btcpay.bolt11(&id, &invoice.id).await?;
    world.sandbox.btcpay().pay_invoice(&store.id, invoice.id.as_str())?;
    let first = tried(&world, 3).await?;
    world.sandbox.btcpay().redeliver(&first[0].id)?;
    let all = tried(&world, first.len() + 1).await?;

    let deps = wire(&world).await?;
    for delivery in all.iter().chain(&all) {
        let mac = hmac(&store.webhook_secret, &delivery.body);
        let call = Call::new(ROUTE)
            .path("store_id", &store.id)
            .body(delivery.body.to_vec())
            .header("btcpay-sig", &format!("sha256={mac}"));
        received(&deps, &call).await.with_context(|| format!("{delivery:?}"))?;
    }
    assert_eq!(rows(&world, "webhook_events").await?, i64::try_from(first.len())?);
    for delivery in &first {
        let kept = format!(
            "webhook_events WHERE type = '{}' AND event_id = '{}' AND object_id = '{}'",
            delivery.event, delivery.original, invoice.id
        );
        assert_eq!(rows(&world, &kept).await?, 1, "{delivery:?}");
        assert_eq!(kept_body(&world, &delivery.original).await?, delivery.body);
    }
    assert_eq!(
        rows(&world, "webhook_events WHERE state = 'done' AND attempts = 1").await?,
        i64::try_from(first.len())?
    );
    // Nobody of ours waits for it; it is kept for whoever does.
    let unclaimed = format!(
        "payment_objects WHERE reference = '{order_id}' AND payment_id IS NULL AND status = 'settled'"
    );
    assert_eq!((rows(&world, &unclaimed).await?, rows(&world, "ledger").await?), (1, 1));
    Ok(())
}
