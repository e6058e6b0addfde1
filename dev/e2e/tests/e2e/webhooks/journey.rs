//! A checkout, a subscription, a connected account and a Lightning invoice, from the first event to the last.

use anyhow::ensure;
use e2e::Result;
use sandbox::stripe::AccountState;
use serde_json::Value;
use testing::sell;
use uuid::Uuid;

use super::shop::{PRICE, Shop};

#[tokio::test]
async fn a_checkout_is_paid_refunded_in_part_disputed_and_won() -> Result<()> {
    let shop = Shop::open().await?;
    let (payment, session) = shop.checkout(None).await?;

    shop.stripe.decline(&session)?;
    shop.becomes(payment, "failed 0 0 f").await?;
    shop.stripe.pay(&session)?;
    shop.becomes(payment, &format!("paid {PRICE} 0 t")).await?;
    shop.quiet().await?;

    let refund = shop.stripe.refund_later(&session, Some(500))?;
    shop.becomes(payment, &format!("partially_refunded {PRICE} 500 t")).await?;
    shop.stripe.fail_refund(&refund)?;
    shop.becomes(payment, &format!("paid {PRICE} 0 t")).await?;
    shop.stripe.refund(&session, Some(800))?;
    shop.becomes(payment, &format!("partially_refunded {PRICE} 800 t")).await?;
    shop.quiet().await?;
    assert_eq!(shop.moved("%").await?, PRICE - 800);

    let dispute = shop.stripe.open_dispute(&session, Some(1_200), false)?;
    shop.becomes(payment, &format!("disputed {PRICE} 800 t")).await?;
    shop.quiet().await?;
    assert_eq!(shop.moved("dispute").await?, -1_200);
    shop.stripe.move_dispute(&dispute, "under_review")?;
    shop.stripe.move_dispute(&dispute, "won")?;
    shop.becomes(payment, &format!("partially_refunded {PRICE} 800 t")).await?;
    shop.quiet().await?;
    assert_eq!(shop.moved("dispute%ed").await?, 1_200);

    shop.nothing_lost_nothing_doubled().await?;
    // All of it was told more than once, and each time well.
    let tries = shop.stripe.deliveries();
    ensure!(tries.len() >= 2 * shop.stripe.events().len(), "{} deliveries", tries.len());
    ensure!(tries.iter().all(|one| one.status == Some(200)), "not every answer was 200");
    assert_eq!(shop.stack.db.count("SELECT count(*) FROM outbox").await?, 1, "it was the payer's all along");
    shop.stack.stop().await
}

#[tokio::test]
async fn a_dispute_that_is_lost_and_a_refund_of_everything_take_it_from_the_payer() -> Result<()> {
    let shop = Shop::open().await?;
    let (lost, session) = shop.checkout(None).await?;
    shop.stripe.pay(&session)?;
    shop.becomes(lost, &format!("paid {PRICE} 0 t")).await?;
    let dispute = shop.stripe.dispute(&session)?;
    shop.becomes(lost, &format!("disputed {PRICE} 0 t")).await?;
    shop.stripe.move_dispute(&dispute, "lost")?;
    shop.becomes(lost, &format!("dispute_lost {PRICE} 0 f")).await?;

    let (refunded, session) = shop.checkout(None).await?;
    shop.stripe.pay_later(&session)?;
    shop.becomes(refunded, "processing 0 0 f").await?;
    shop.stripe.succeed(&session)?;
    shop.becomes(refunded, &format!("paid {PRICE} 0 t")).await?;
    shop.stripe.refund(&session, None)?;
    shop.becomes(refunded, &format!("refunded {PRICE} {PRICE} f")).await?;

    let (expired, session) = shop.checkout(None).await?;
    shop.stripe.expire_session(&session)?;
    shop.becomes(expired, "expired 0 0 f").await?;

    shop.nothing_lost_nothing_doubled().await?;
    assert_eq!(shop.moved("dispute").await?, -PRICE);
    assert_eq!(
        shop.stack.db.count("SELECT count(*) FROM outbox WHERE topic = 'entitlement.revoked'").await?,
        2
    );
    shop.stack.stop().await
}

#[tokio::test]
async fn a_connected_account_s_payment_comes_by_its_own_address() -> Result<()> {
    let shop = Shop::open().await?;
    let account = shop.stripe.add_account();
    shop.stripe.set_account(&account, AccountState::Active)?;
    let (payment, session) = shop.checkout(Some(&account)).await?;
    shop.stripe.pay(&session)?;
    shop.becomes(payment, &format!("paid {PRICE} 0 t")).await?;
    shop.quiet().await?;
    let active =
        format!("SELECT count(*) FROM connected_accounts WHERE account = '{account}' AND charges_enabled");
    assert_eq!(shop.stack.db.count(&active).await?, 1);
    let elsewhere = format!("SELECT count(*) FROM ledger WHERE account <> '{account}' AND kind = 'payment'");
    assert_eq!(shop.stack.db.count(&elsewhere).await?, 0);
    shop.stack.stop().await
}

#[tokio::test]
async fn a_subscription_is_the_buyer_s_from_its_first_payment_to_its_end() -> Result<()> {
    let shop = Shop::open().await?;
    let payment = sell::payment(&shop.stack.admin().await?, shop.user_id, None, PRICE).await?;
    let session = sell::subscribe(&shop.stripe, payment, PRICE).await?;
    shop.stripe.pay(&session)?;
    shop.quiet().await?;
    let standing = async || -> Result<(String, String)> {
        let admin = shop.stack.admin().await?;
        let found = format!(
            "SELECT concat_ws(' ', status, entitled, user_id = '{}'), subscription_id FROM subscriptions
             WHERE payment_id = '{payment}'",
            shop.user_id
        );
        let row = admin.query_typed_one(&found, &[]).await?;
        Ok((row.get(0), row.get(1)))
    };
    let (active, subscription) = standing().await?;
    assert_eq!(active, "active t t");
    shop.stripe.renew(&subscription, false)?;
    shop.quiet().await?;
    assert_eq!(standing().await?.0, "past_due t t");
    shop.stripe.set_subscription(&subscription, "canceled")?;
    shop.quiet().await?;
    assert_eq!(standing().await?.0, "canceled f t");
    let told = format!("SELECT count(*) FROM outbox WHERE key = '{subscription}'");
    assert_eq!(shop.stack.db.count(&told).await?, 2);
    shop.stack.stop().await
}

/// BTCPay has nobody to deliver to here: every webhook is lost.
#[tokio::test]
async fn a_lightning_invoice_whose_webhook_was_lost_is_found_by_the_hourly_run() -> Result<()> {
    let shop = Shop::open().await?;
    let (stack, owner, tokens) = (&shop.stack, &shop.owner, &shop.tokens);
    let answer = owner.set_up(tokens, "coffee", "voltage").send().await?;
    ensure!(answer.status == 200 || answer.status == 202, "{answer}");
    while owner.setup_status(tokens).ok().await?["status"] != "fully_configured" {
        stack.an_hour_passes().await?;
        stack.resume().await?;
    }
    let made = owner.invoice(tokens, 42_000).send().await?.json()?;
    let payment: Uuid = made["invoice_id"].as_str().unwrap_or_default().parse()?;
    let store = stack.setup("coffee").await?.btcpay_store_id.unwrap_or_default();
    let invoices = stack.sandbox.btcpay().invoices(&store);
    let invoice = invoices.first().ok_or_else(|| anyhow::anyhow!("no invoice at BTCPay"))?;
    stack.sandbox.btcpay().pay_invoice(&store, &invoice.id)?;
    assert_eq!(shop.standing(payment).await?, "created 0 0 f");

    let due = format!("UPDATE payments SET poll_at = now() WHERE id = '{payment}'");
    stack.admin().await?.batch_execute(&due).await?;
    let told: Value = serde_json::from_slice(&stack.gateway.run_schedule("reconcile_payments").await?)?;
    assert_eq!(told["btcpay"]["found"], 1, "{told}");
    assert_eq!(shop.standing(payment).await?, "paid 42000 0 t");
    assert_eq!(shop.moved("payment").await?, 42_000);
    shop.stack.stop().await
}
