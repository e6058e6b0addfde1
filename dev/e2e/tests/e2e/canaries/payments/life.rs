//! Everything that happens at Stripe to somebody who sells through us.

use anyhow::Context;
use e2e::{Client, Result};
use http::Method;
use sandbox::stripe::{AccountState, Event};
use serde_json::json;
use testing::sell;

use super::Scene;
use crate::canaries::payers::Payer;

impl Scene {
    /// Something of ours to be paid for, and a checkout of it whose payer Stripe knows.
    pub(super) async fn checkout(&self, more: &str) -> Result<String> {
        let payment_id = sell::payment(&self.stack.admin().await?, self.user_id, None, 1_000).await?;
        let Payer { note, email, .. } = &self.payer;
        let email = email.replace('@', "%40");
        let intent = if more.contains("mode=subscription") {
            "mode=subscription&line_items[0][price_data][recurring][interval]=month".to_owned()
        } else {
            format!(
                "mode=payment&payment_intent_data[metadata][payment_id]={payment_id}\
                 &payment_intent_data[metadata][note]={note}&payment_intent_data[description]={note}"
            )
        };
        let more = more.trim_start_matches("mode=subscription");
        let form = format!(
            "{intent}&success_url=https%3A%2F%2Fshop.example.com%2F{note}&client_reference_id={payment_id}\
             &customer_email={email}&metadata[note]={note}&line_items[0][quantity]=1\
             &line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=1000\
             &line_items[0][price_data][product_data][name]={note}{more}"
        );
        let stripe = Client::new(self.stack.sandbox.stripe().base_url());
        let request = stripe.request(&Method::POST, "/v1/checkout/sessions").bearer(&self.key).body(form);
        let session = request.header("content-type", "application/x-www-form-urlencoded").ok().await?;
        Ok(session["id"].as_str().context("no session")?.to_owned())
    }

    /// Everything that happens at Stripe.
    pub(super) async fn life(&self) -> Result<Vec<Event>> {
        let stripe = self.stack.sandbox.stripe();
        let paid = self.checkout("").await?;
        stripe.decline(&paid)?;
        stripe.require_action(&paid)?;
        stripe.pay(&paid)?;
        stripe.refund(&paid, Some(300))?;
        let dispute = stripe.open_dispute(&paid, Some(700), false)?;
        stripe.move_dispute(&dispute, "under_review")?;
        stripe.move_dispute(&dispute, "lost")?;
        stripe.warn_of_fraud(&paid)?;
        let failed = self.checkout("").await?;
        stripe.pay_later(&failed)?;
        stripe.fail(&failed)?;
        stripe.expire_session(&self.checkout("").await?)?;
        let held = self.checkout("&payment_intent_data[capture_method]=manual").await?;
        stripe.hold(&held)?;
        stripe.capture(&held)?;
        let refund = stripe.refund_later(&held, None)?;
        stripe.fail_refund(&refund)?;

        let seller = stripe.add_account();
        stripe.set_account(&seller, AccountState::Active)?;
        let fee = "&payment_intent_data[application_fee_amount]=100&payment_intent_data[transfer_data][destination]=";
        let shared = self.checkout(&format!("{fee}{seller}")).await?;
        stripe.pay(&shared)?;
        stripe.refund(&shared, None)?;
        for account in [None, Some(seller.as_str())] {
            let payout = stripe.add_payout(account, 900, "usd");
            stripe.move_payout(&payout, "failed")?;
        }
        let bought = self.checkout("mode=subscription").await?;
        stripe.pay(&bought)?;
        let session = stripe.object(&bought).context("no session")?;
        let subscription = session["subscription"].as_str().context("no subscription")?;
        stripe.renew(subscription, true)?;
        stripe.renew(subscription, false)?;
        stripe.set_subscription(subscription, "canceled")?;

        let second = stripe.add_account_v2();
        stripe.set_account(&second, AccountState::Restricted)?;
        stripe.emit_thin("v2.core.account[requirements].updated", &second);
        for (kind, object) in [
            ("capability.updated", json!({"id": "transfers", "object": "capability", "account": seller})),
            ("person.updated", json!({"id": "person_1", "object": "person", "account": seller})),
        ] {
            stripe.emit(Some(&seller), kind, object);
        }
        stripe.emit(None, "customer.updated", json!({"id": "cus_1", "object": "customer"}));
        stripe.emit(
            Some(&seller),
            "account.application.deauthorized",
            json!({"id": "ca_1", "object": "application"}),
        );
        Ok(stripe.events())
    }
}
