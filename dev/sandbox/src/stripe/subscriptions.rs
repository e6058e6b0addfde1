//! Subscriptions and the invoices of their periods.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{act::Act, kind::Kind, payments::NewIntent};

const MONTH: i64 = 30 * 86_400;

impl Act<'_> {
    /// A customer, an incomplete subscription and its first invoice; gives the intent that pays it.
    pub(crate) fn start_subscription(&mut self, session: &str) -> String {
        let known = self.member(session, "customer").as_str().map(str::to_owned);
        let customer = known.unwrap_or_else(|| {
            let email = self.member(session, "customer_email");
            let customer = self.make(Kind::Customer, json!({"email": email, "name": null}));
            self.emit("customer.created", &customer);
            customer
        });
        let data = self.hidden(session, "subscription_data");
        let (now, currency) = (self.now(), self.member(session, "currency"));
        let item_id = self.state.new_id("si_", 14);
        let item = json!({
            "id": item_id,
            "object": "subscription_item",
            "current_period_start": now,
            "current_period_end": now + MONTH,
            "metadata": {},
            "price": {
                "object": "price",
                "currency": currency,
                "recurring": {"interval": "month", "interval_count": 1},
                "unit_amount": self.member(session, "amount_total"),
            },
            "quantity": 1,
        });
        let members = json!({
            "application_fee_percent": data["application_fee_percent"],
            "cancel_at": null,
            "cancel_at_period_end": false,
            "canceled_at": null,
            "collection_method": "charge_automatically",
            "currency": currency,
            "current_period_start": now,
            "current_period_end": now + MONTH,
            "customer": customer,
            "ended_at": null,
            "items": {"object": "list", "data": [item], "has_more": false},
            "latest_invoice": null,
            "metadata": data["metadata"],
            "start_date": now,
            "status": "incomplete",
            "transfer_data": data["transfer_data"],
            "trial_end": null,
            "trial_start": null,
        });
        let subscription = self.make(Kind::Subscription, members);
        let amount = self.number(session, "amount_total");
        self.hide(&subscription, json!({"amount": amount}));
        let (invoice, intent) = self.new_invoice(&subscription, "subscription_create");
        self.change(session, json!({"customer": customer, "subscription": subscription, "invoice": invoice}));
        self.emit("customer.subscription.created", &subscription);
        intent
    }

    /// For the period there is; gives it and its intent.
    fn new_invoice(&mut self, subscription: &str, reason: &str) -> (String, String) {
        let (currency, customer) = (self.text(subscription, "currency"), self.text(subscription, "customer"));
        let amount = self.hidden(subscription, "amount").as_i64().unwrap_or_default();
        let (start, end) = (
            self.member(subscription, "current_period_start"),
            self.member(subscription, "current_period_end"),
        );
        let destination =
            self.member(subscription, "transfer_data")["destination"].as_str().map(str::to_owned);
        let members = json!({
            "amount_due": amount,
            "amount_paid": 0,
            "amount_remaining": amount,
            "attempt_count": 0,
            "attempted": false,
            "auto_advance": true,
            "billing_reason": reason,
            "collection_method": "charge_automatically",
            "currency": currency,
            "customer": customer,
            "paid": false,
            "parent": {
                "quote_details": null,
                "subscription_details": {
                    "metadata": self.member(subscription, "metadata"),
                    "subscription": subscription,
                },
                "type": "subscription_details",
            },
            "period_start": start,
            "period_end": end,
            "status": "open",
            "subscription": subscription,
            "total": amount,
        });
        let invoice = self.make(Kind::Invoice, members);
        self.emit("invoice.created", &invoice);
        let intent = self.new_intent(NewIntent {
            amount,
            currency,
            metadata: json!({}),
            destination,
            customer: Some(customer),
            ..NewIntent::default()
        });
        self.hide(&intent, json!({"invoice": invoice}));
        self.change(
            &invoice,
            json!({"payment_intent": intent, "charge": null, "payments": payments(&invoice, &intent, amount)}),
        );
        self.change(subscription, json!({"latest_invoice": invoice}));
        self.emit("invoice.finalized", &invoice);
        (invoice, intent)
    }

    pub(crate) fn invoice_paid(&mut self, invoice: &str) {
        let amount = self.number(invoice, "amount_due");
        let intent = self.text(invoice, "payment_intent");
        let charge = self.member(&intent, "latest_charge");
        let attempts = self.number(invoice, "attempt_count") + 1;
        self.change(
            invoice,
            json!({
                "amount_paid": amount,
                "amount_remaining": 0,
                "attempt_count": attempts,
                "attempted": true,
                "charge": charge,
                "paid": true,
                "status": "paid",
            }),
        );
        self.emit("invoice.payment_succeeded", invoice);
        self.emit("invoice.paid", invoice);
        let subscription = self.text(invoice, "subscription");
        let status = self.status(&subscription);
        if ["incomplete", "past_due", "unpaid", "trialing"].contains(&status.as_str()) {
            self.update_subscription(&subscription, json!({"status": "active"}));
        }
    }

    pub(crate) fn invoice_failed(&mut self, invoice: &str) {
        let attempts = self.number(invoice, "attempt_count") + 1;
        self.change(invoice, json!({"attempt_count": attempts, "attempted": true}));
        self.emit("invoice.payment_failed", invoice);
        let subscription = self.text(invoice, "subscription");
        if self.status(&subscription) == "active" {
            self.update_subscription(&subscription, json!({"status": "past_due"}));
        }
    }

    /// By hand: an open invoice nobody shall or will pay.
    pub(crate) fn close_invoice(&mut self, invoice: &str, status: &str) -> anyhow::Result<()> {
        self.known(Kind::Invoice, invoice)?;
        let (now, then) = (self.status(invoice), ["void", "uncollectible"]);
        ensure!(now == "open" && then.contains(&status), "an invoice that is {now} does not become {status}");
        self.change(invoice, json!({"status": status}));
        let kind = if status == "void" { "invoice.voided" } else { "invoice.marked_uncollectible" };
        self.emit(kind, invoice);
        Ok(())
    }

    pub(crate) fn update_subscription(&mut self, subscription: &str, members: Value) {
        let before = self.change(subscription, members);
        self.emit_changed("customer.subscription.updated", subscription, before);
    }

    /// The next period begins, and its invoice is paid or not.
    pub(crate) fn renew(&mut self, subscription: &str, paid: bool) -> anyhow::Result<()> {
        self.known(Kind::Subscription, subscription)?;
        let status = self.status(subscription);
        let running = ["active", "trialing", "past_due"];
        ensure!(running.contains(&status.as_str()), "the subscription is {status}");
        let start = self.number(subscription, "current_period_end");
        let mut items = self.member(subscription, "items");
        items["data"][0]["current_period_start"] = json!(start);
        items["data"][0]["current_period_end"] = json!(start + MONTH);
        let period =
            json!({"current_period_start": start, "current_period_end": start + MONTH, "items": items});
        self.update_subscription(subscription, period);
        let (_, intent) = self.new_invoice(subscription, "subscription_cycle");
        if paid { self.succeed(&intent) } else { self.decline(&intent, "card_declined") }
    }

    /// Into any status, with the event that goes with it.
    pub(crate) fn set_subscription(&mut self, subscription: &str, status: &str) -> anyhow::Result<()> {
        self.known(Kind::Subscription, subscription)?;
        let before = self.status(subscription);
        ensure!(before != "canceled" && before != "incomplete_expired", "the subscription is {before}");
        let now = self.now();
        match status {
            "canceled" | "incomplete_expired" => {
                let ended = json!({"status": status, "canceled_at": now, "ended_at": now});
                self.change(subscription, ended);
                self.emit("customer.subscription.deleted", subscription);
            }
            "paused" => {
                self.change(subscription, json!({"status": status}));
                self.emit("customer.subscription.paused", subscription);
            }
            "active" if before == "paused" => {
                self.change(subscription, json!({"status": status}));
                self.emit("customer.subscription.resumed", subscription);
            }
            "trialing" | "active" | "past_due" | "unpaid" | "incomplete" => {
                self.update_subscription(subscription, json!({"status": status}));
            }
            _ => anyhow::bail!("{status:?} is no status of a subscription"),
        }
        Ok(())
    }
}

fn payments(invoice: &str, intent: &str, amount: i64) -> Value {
    let one = json!({
        "object": "invoice_payment",
        "amount_requested": amount,
        "invoice": invoice,
        "is_default": true,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
    });
    super::event::list(&[one], &format!("/v1/invoice_payments?invoice={invoice}"))
}
