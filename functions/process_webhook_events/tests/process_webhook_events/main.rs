//! Every minute — what webhooks left to be done.
//!
//! `SATCHEL_FULL=1` runs what takes long in its long form.

mod killed;
mod runtime;
mod side_by_side;
mod stripe;
mod trouble;

use std::time::{Duration, Instant};

use process_webhook_events::{Deps, Report, run};
use serde_json::json;
use shared::btcpay::webhook::Delivery;
use shared::crypto::{KeyRing, SealingKeys};
use shared::random::Random;
use shared::runtime::Invocation;
use shared::webhook::{self, NewRow, Recorded};
use testing::sell::Invoice;
use testing::{Result, SignedIn, Store, World};

const NAME: &str = "process_webhook_events";
/// More than any run here takes, and what is kept back of it.
const A_RUN: Duration = Duration::from_secs(80);
const PRICE: i64 = 21_000;
const NOTHING: Report = Report { done: 0, ignored: 0, dead: 0, waiting: 0, claimed: 0, refetched: 0 };

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn process(deps: &Deps) -> Result<Report> {
    let invocation = Invocation { id: String::from("an-invocation"), ends_at: Instant::now() + A_RUN };
    run(deps, &invocation).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

/// Whether to take the time (`cargo xtask test --full`).
fn full() -> bool {
    std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1")
}

/// Somebody who sells, with a store of their own.
struct Shop {
    user: SignedIn,
    store: Store,
}

/// A world at the machine's time, which is the sandbox's.
async fn open() -> Result<(World, Shop)> {
    let world = World::start().await?;
    world.catch_up();
    let node = world.node("seller")?;
    let user = world.sign_in("did:mnemonic:9f86d081884c7d65", &node.pubkey).await?;
    let store = world.give_store(&user, &node).await?;
    Ok((world, Shop { user, store }))
}

impl Shop {
    async fn invoice(&self, world: &World) -> Result<Invoice> {
        world.invoice(&self.user, PRICE).await
    }

    async fn paid(&self, world: &World) -> Result<Invoice> {
        let invoice = self.invoice(world).await?;
        world.sandbox.btcpay().pay_invoice(&self.store.id, &invoice.btcpay_id)?;
        Ok(invoice)
    }

    /// A delivery of BTCPay's about the invoice is in the inbox and due, as if it could not be applied when it came.
    async fn told(&self, world: &World, invoice: &Invoice, kind: &str) -> Result<()> {
        let id = format!("{kind}{}", invoice.btcpay_id);
        let body = json!({
            "deliveryId": id, "webhookId": self.store.webhook_id, "originalDeliveryId": id, "isRedelivery": false,
            "type": kind, "timestamp": world.now().unix_timestamp(), "storeId": self.store.id,
            "invoiceId": invoice.btcpay_id, "metadata": { "orderId": invoice.id },
        });
        let body = body.to_string();
        let delivery = Delivery::parse(body.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
        let store = self.store.id.parse().map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let event = webhook::btcpay::event(&store, &delivery, body.as_bytes());
        let now = world.now();
        let row = NewRow::seal(&*ring(world).await?, &Random::system(), &event, now)?;
        let fate = webhook::btcpay::fate(&delivery, now, 0);
        let recorded = webhook::record(&world.db.admin().await?, &row, fate, now).await?;
        anyhow::ensure!(recorded == Recorded::New, "it was told already");
        Ok(())
    }
}

async fn ring(world: &World) -> Result<std::sync::Arc<KeyRing>> {
    let mut config = world.config(world.environment(NAME)?);
    Ok(config.secret::<SealingKeys, KeyRing>("SEALING_SECRET").get().await?)
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

async fn run_sql(world: &World, sql: &str) -> Result<()> {
    Ok(world.db.admin().await?.batch_execute(sql).await?)
}

/// The invoice's money is there exactly once, whoever told of it how often.
async fn settled_once(world: &World, invoice: &Invoice) -> Result<()> {
    let (id, btcpay_id) = (invoice.id, &invoice.btcpay_id);
    for (what, table) in [
        (
            "payment",
            format!(
                "payments WHERE id = '{id}' AND state = 'paid' AND received_minor = {PRICE} AND entitled
                 AND version = 1 AND poll_at IS NULL"
            ),
        ),
        (
            "line of the ledger",
            format!("ledger WHERE source_object = '{btcpay_id}' AND amount_minor = {PRICE}"),
        ),
        ("line of the ledger of any kind", format!("ledger WHERE object_id = '{btcpay_id}'")),
        ("message", format!("outbox WHERE key = '{id}'")),
        ("object", format!("payment_objects WHERE payment_id = '{id}' AND status = 'settled'")),
    ] {
        let found = rows(world, &table).await?;
        anyhow::ensure!(found == 1, "{found} times the {what} of {invoice:?}");
    }
    Ok(())
}

async fn untouched(world: &World, invoice: &Invoice) -> Result<()> {
    let created = format!("payments WHERE id = '{}' AND state = 'created' AND version = 0", invoice.id);
    anyhow::ensure!(rows(world, &created).await? == 1, "something became of {invoice:?}");
    let moved = rows(world, &format!("ledger WHERE object_id = '{}'", invoice.btcpay_id)).await?;
    anyhow::ensure!(moved == 0, "money moved for {invoice:?}");
    Ok(())
}

#[tokio::test]
async fn an_invoice_that_was_told_of_is_read_again_and_settled() -> Result<()> {
    let (world, shop) = open().await?;
    let (paid, open) = (shop.paid(&world).await?, shop.invoice(&world).await?);
    for kind in ["InvoiceCreated", "InvoiceReceivedPayment", "InvoiceProcessing", "InvoiceSettled"] {
        shop.told(&world, &paid, kind).await?;
    }
    // Whatever a delivery says: the invoice says otherwise.
    shop.told(&world, &open, "InvoiceSettled").await?;
    let deps = wire(&world).await?;

    assert_eq!(process(&deps).await?, Report { done: 5, ..NOTHING });

    settled_once(&world, &paid).await?;
    let open = format!("payments WHERE id = '{}' AND state = 'open' AND NOT entitled", open.id);
    assert_eq!((rows(&world, &open).await?, rows(&world, "ledger").await?), (1, 1));
    assert_eq!(process(&deps).await?, NOTHING);
    assert_eq!(rows(&world, "webhook_events WHERE state = 'done' AND attempts = 1").await?, 5);
    Ok(())
}

#[tokio::test]
async fn what_is_not_due_is_left_alone() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    run_sql(&world, "UPDATE webhook_events SET due_at = due_at + interval '1 minute'").await?;
    let deps = wire(&world).await?;
    assert_eq!(process(&deps).await?, NOTHING);
    untouched(&world, &paid).await?;
    world.advance(time::Duration::minutes(1));
    assert_eq!(process(&deps).await?, Report { done: 1, ..NOTHING });
    settled_once(&world, &paid).await
}

#[tokio::test]
async fn a_row_from_before_bodies_were_sealed_is_processed() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    run_sql(&world, "UPDATE webhook_events SET body_sealed = NULL, body = '{}', occurred_at = NULL").await?;
    assert_eq!(process(&wire(&world).await?).await?, Report { done: 1, ..NOTHING });
    settled_once(&world, &paid).await
}

#[tokio::test]
async fn an_invoice_of_another_price_or_order_is_never_ours() -> Result<()> {
    let (world, shop) = open().await?;
    let (dearer, other) = (shop.paid(&world).await?, shop.paid(&world).await?);
    run_sql(
        &world,
        &format!("UPDATE payments SET amount_minor = amount_minor + 1000 WHERE id = '{}'", dearer.id),
    )
    .await?;
    run_sql(&world, &format!("UPDATE payments SET account = 'another' WHERE id = '{}'", other.id)).await?;
    for invoice in [&dearer, &other] {
        shop.told(&world, invoice, "InvoiceSettled").await?;
    }
    let deps = wire(&world).await?;
    assert_eq!(process(&deps).await?, Report { done: 2, ..NOTHING });
    assert_eq!(process(&deps).await?, NOTHING);
    assert_eq!(rows(&world, "payments WHERE state = 'created' AND version = 0").await?, 2);
    assert_eq!(rows(&world, "payment_objects WHERE payment_id IS NULL").await?, 2);
    assert_eq!(rows(&world, "outbox").await?, 0);
    // The store got the money all the same.
    assert_eq!(rows(&world, "ledger").await?, 2);
    Ok(())
}
