//! What follows from a delivery at once: BTCPay is asked, and its answer believed.

use anyhow::Context;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::btcpay::{Btcpay, NewInvoice};
use shared::db::roles::Role;
use shared::payment::{self, NewPayment, Source};
use shared::random::Random;
use shared::upstream::Upstream;
use testing::{Call, Result, Store, World};

use super::{DID, NAME, delivery, fate, received, rows, send, signed, wire};

pub const AMOUNT: u64 = 250_000;

/// Somebody with a store that BTCPay knows.
pub struct Shop {
    pub world: World,
    pub store: Store,
    btcpay: Btcpay,
    user_id: String,
}

/// A payment of ours and the invoice BTCPay made for it.
pub struct Sold {
    pub order_id: String,
    pub invoice: String,
}

impl Shop {
    pub async fn open() -> Result<Self> {
        let world = World::start().await?;
        world.catch_up();
        let node = world.node("node12")?;
        let user = world.sign_in(DID, &node.pubkey).await?;
        let store = world.give_store(&user, &node).await?;
        let mut config = world.config(world.environment(NAME)?);
        let upstream = Upstream::wire(&mut config);
        let btcpay = Btcpay::wire(&mut config, &upstream).context("no BTCPay")?;
        Ok(Self { world, store, btcpay, user_id: user.user_id.to_string() })
    }

    /// A row of ours over `msat`, and an invoice that carries its id.
    pub async fn sell(&self, msat: u64) -> Result<Sold> {
        let order_id = self.order(msat, &self.store.id).await?;
        self.invoice(&order_id, msat).await
    }

    /// Only our row.
    pub async fn order(&self, msat: u64, account: &str) -> Result<String> {
        let id = Random::system().id(self.world.now());
        let new = NewPayment {
            id,
            user_id: self.user_id.parse()?,
            source: Source { provider: "btcpay", account },
            currency: "btc",
            amount_minor: i64::try_from(msat)?,
            expires_at: None,
            poll_at: None,
        };
        payment::create(&self.world.db.connect(Role::Jobs).await?, &new, self.world.now()).await?;
        Ok(id.to_string())
    }

    /// Only BTCPay's invoice.
    pub async fn invoice(&self, order_id: &str, msat: u64) -> Result<Sold> {
        let store = self.store.id.parse()?;
        let new = NewInvoice {
            order_id: order_id.parse()?,
            amount_msat: msat,
            description: "tea",
            expiry_minutes: 15,
        };
        let invoice = self.btcpay.create_invoice(&store, &new).await?;
        self.btcpay.bolt11(&store, &invoice.id).await?;
        Ok(Sold { order_id: order_id.to_owned(), invoice: invoice.id.to_string() })
    }

    /// As BTCPay would tell of this invoice.
    pub fn tells(&self, sold: &Sold, kind: &str, more: &Value) -> Call {
        let mut changes = json!({
            "type": kind, "invoiceId": sold.invoice, "deliveryId": format!("{kind}Of{}", sold.invoice),
            "originalDeliveryId": format!("{kind}Of{}", sold.invoice), "metadata": { "orderId": sold.order_id },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            changes[name] = value.clone();
        }
        signed(&self.store, &delivery(&self.store, &changes))
    }

    pub async fn told(&self, sold: &Sold, kind: &str) -> Result<()> {
        received(&wire(&self.world).await?, &self.tells(sold, kind, &json!({}))).await?;
        let expected = ("done".to_owned(), None);
        assert_eq!(fate(&self.world, &format!("{kind}Of{}", sold.invoice)).await?, expected);
        Ok(())
    }

    pub fn pay(&self, sold: &Sold) -> Result<()> {
        self.world.sandbox.btcpay().pay_invoice(&self.store.id, &sold.invoice)
    }

    pub async fn is(&self, sold: &Sold, what: &str) -> Result<()> {
        let found = rows(&self.world, &format!("payments WHERE id = '{}' AND {what}", sold.order_id)).await?;
        assert_eq!(found, 1, "not {what}");
        Ok(())
    }

    /// Settled once: in the ledger by the invoice's name, in millisatoshi, and told of.
    pub async fn is_settled_once(&self, sold: &Sold, amount: u64) -> Result<()> {
        self.is(sold, &format!("state = 'paid' AND received_minor = {amount} AND NOT manually_marked"))
            .await?;
        let moved = format!(
            "ledger WHERE provider = 'btcpay' AND account = '{}' AND source_object = '{}' AND kind = 'payment'
             AND amount_minor = {amount} AND currency = 'btc'",
            self.store.id, sold.invoice
        );
        assert_eq!((rows(&self.world, &moved).await?, rows(&self.world, "ledger").await?), (1, 1));
        let granted = format!("outbox WHERE topic = 'entitlement.granted' AND key = '{}'", sold.order_id);
        assert_eq!((rows(&self.world, &granted).await?, rows(&self.world, "outbox").await?), (1, 1));
        Ok(())
    }

    /// How often BTCPay was asked for an invoice.
    fn asked(&self) -> u64 {
        let calls = self.world.sandbox.calls();
        let reads = calls.iter().filter(|call| call.method == "GET" && call.path.contains("/invoices/"));
        reads.filter(|call| !call.path.ends_with("/payment-methods")).map(|call| call.count).sum()
    }
}

#[tokio::test]
async fn an_invoice_of_ours_that_was_paid_is_settled_by_its_delivery() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.pay(&sold)?;
    shop.told(&sold, "InvoiceSettled").await?;
    shop.is_settled_once(&sold, AMOUNT).await?;
    let done =
        "webhook_events WHERE state = 'done' AND attempts = 1 AND due_at IS NULL AND finished_at IS NOT NULL";
    assert_eq!(rows(&shop.world, done).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_delivery_is_no_proof_of_money() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    for kind in ["InvoiceCreated", "InvoiceReceivedPayment", "InvoicePaymentSettled", "InvoiceSettled"] {
        shop.told(&sold, kind).await?;
        shop.is(&sold, "state = 'open' AND received_minor = 0 AND NOT entitled").await?;
    }
    assert_eq!((rows(&shop.world, "ledger").await?, rows(&shop.world, "outbox").await?), (0, 0));
    Ok(())
}

#[tokio::test]
async fn whatever_is_told_after_a_payment_it_is_settled_once() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.pay(&sold)?;
    // The last ones are false: BTCPay says otherwise when it is asked.
    for kind in [
        "InvoicePaymentSettled",
        "InvoiceSettled",
        "InvoiceProcessing",
        "InvoiceCreated",
        "InvoiceExpired",
        "InvoiceInvalid",
    ] {
        shop.told(&sold, kind).await?;
        shop.is_settled_once(&sold, AMOUNT).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_redelivery_changes_nothing_and_asks_nobody() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.pay(&sold)?;
    shop.told(&sold, "InvoiceSettled").await?;
    let asked = shop.asked();
    let deps = wire(&shop.world).await?;
    for nth in 0..5 {
        let again = json!({ "deliveryId": format!("again{nth}"), "isRedelivery": true });
        received(&deps, &shop.tells(&sold, "InvoiceSettled", &again)).await?;
    }
    assert_eq!(shop.asked(), asked);
    assert_eq!(rows(&shop.world, "webhook_events").await?, 1);
    shop.is_settled_once(&sold, AMOUNT).await
}

#[tokio::test]
async fn of_two_hundred_copies_at_once_one_settles() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.pay(&sold)?;
    let kinds = ["InvoiceReceivedPayment", "InvoiceProcessing", "InvoicePaymentSettled", "InvoiceSettled"];
    let copies: Vec<Call> = (0..200)
        .map(|nth| {
            let copy = json!({ "deliveryId": format!("copy{nth}"), "isRedelivery": nth >= kinds.len() });
            shop.tells(&sold, kinds[nth % kinds.len()], &copy)
        })
        .collect();
    let pool = [("DATABASE_POOL_SIZE", "20")];
    let deps = shop.world.wire_with(NAME, &pool, btcpay_webhook::Deps::wire).await?;
    for answer in join_all(copies.iter().map(|copy| send(&deps, copy))).await {
        assert_eq!(answer?.status, 200);
    }
    assert_eq!(rows(&shop.world, "webhook_events WHERE state = 'done'").await?, 4);
    assert_eq!(rows(&shop.world, "webhook_events").await?, 4);
    shop.is_settled_once(&sold, AMOUNT).await
}

#[tokio::test]
async fn what_somebody_settled_by_hand_is_on_record_as_that_and_no_money() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.world.sandbox.btcpay().settle_by_hand(&shop.store.id, &sold.invoice)?;
    let by_hand = shop.tells(&sold, "InvoiceSettled", &json!({ "manuallyMarked": true }));
    received(&wire(&shop.world).await?, &by_hand).await?;
    shop.is(&sold, "manually_marked AND received_minor = 0 AND state = 'paid'").await?;
    assert_eq!(rows(&shop.world, "payment_objects WHERE status = 'settled_marked'").await?, 1);
    assert_eq!(rows(&shop.world, "ledger").await?, 0);
    Ok(())
}

#[tokio::test]
async fn that_it_was_by_hand_is_btcpays_to_say_and_not_the_deliverys() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.pay(&sold)?;
    let lie = shop.tells(&sold, "InvoiceSettled", &json!({ "manuallyMarked": true, "overPaid": true }));
    received(&wire(&shop.world).await?, &lie).await?;
    shop.is_settled_once(&sold, AMOUNT).await
}

#[tokio::test]
async fn what_somebody_marked_as_invalid_has_failed() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.world.sandbox.btcpay().invalidate_invoice(&shop.store.id, &sold.invoice)?;
    shop.told(&sold, "InvoiceInvalid").await?;
    shop.is(&sold, "state = 'failed' AND NOT entitled AND received_minor = 0").await?;
    assert_eq!(rows(&shop.world, "ledger").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_was_paid_too_late_is_paid_and_late() -> Result<()> {
    let shop = Shop::open().await?;
    let sold = shop.sell(AMOUNT).await?;
    shop.world.sandbox.btcpay().expire_invoice(&shop.store.id, &sold.invoice)?;
    shop.told(&sold, "InvoiceExpired").await?;
    shop.is(&sold, "state = 'expired' AND NOT late AND NOT entitled").await?;
    shop.pay(&sold)?;
    shop.told(&sold, "InvoicePaidAfterExpiration").await?;
    shop.is(&sold, "late AND entitled").await?;
    shop.is_settled_once(&sold, AMOUNT).await
}

#[tokio::test]
async fn an_invoice_of_another_amount_or_order_is_nobodys() -> Result<()> {
    let shop = Shop::open().await?;
    // For an order of ours, at another price; for another account's order; for an order nobody made.
    let ours = shop.order(AMOUNT, &shop.store.id).await?;
    let theirs = shop.order(AMOUNT, "anotherStoreOfSomebody").await?;
    let nobodys = Random::system().id(shop.world.now()).to_string();
    for (order_id, amount) in
        [(&ours, AMOUNT / 10), (&ours, AMOUNT + 1_000), (&theirs, AMOUNT), (&nobodys, AMOUNT)]
    {
        let sold = shop.invoice(order_id, amount).await?;
        shop.pay(&sold)?;
        shop.told(&sold, "InvoiceSettled").await?;
    }
    assert_eq!(
        rows(&shop.world, "payment_objects WHERE payment_id IS NULL AND status = 'settled'").await?,
        4
    );
    assert_eq!(rows(&shop.world, "payments WHERE state = 'created' AND received_minor = 0").await?, 2);
    assert_eq!(rows(&shop.world, "outbox").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_order_is_what_btcpay_says_and_not_what_the_delivery_says() -> Result<()> {
    let shop = Shop::open().await?;
    let (mine, other) = (shop.sell(AMOUNT).await?, shop.sell(AMOUNT).await?);
    shop.pay(&mine)?;
    let lie = shop.tells(&mine, "InvoiceSettled", &json!({ "metadata": { "orderId": other.order_id } }));
    received(&wire(&shop.world).await?, &lie).await?;
    shop.is(&other, "state = 'created'").await?;
    shop.is_settled_once(&mine, AMOUNT).await
}
