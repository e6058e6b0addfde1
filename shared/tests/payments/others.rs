//! What may happen to a subscription, and to a payout.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::story::{BEGIN, event, payment_id};

#[derive(Clone, Debug)]
pub struct Subscription {
    pub amount: i64,
    /// It carries our own id itself; else only the session that made it does.
    named: bool,
    /// Its invoices name the intent that paid them.
    old_shape: bool,
    /// After the first: renewed or behind.
    periods: Vec<bool>,
    end: &'static str,
    gaps: Vec<i64>,
}

pub fn subscription() -> impl Strategy<Value = Subscription> {
    use prop::sample::select;
    let ends = select(vec!["active", "canceled", "past_due", "unpaid", "paused"]);
    let drawn = (
        100_i64..1_000_000,
        any::<bool>(),
        any::<bool>(),
        vec(any::<bool>(), 0..3),
        ends,
        vec(0_i64..3, 1..8),
    );
    drawn.prop_map(|(amount, named, old_shape, periods, end, gaps)| Subscription {
        amount,
        named,
        old_shape,
        periods,
        end,
        gaps,
    })
}

impl Subscription {
    pub fn ends(&self) -> &'static str {
        self.end
    }

    fn object(&self, name: &str, status: &str, periods: i64) -> Value {
        let metadata = if self.named { json!({ "payment_id": payment_id(name) }) } else { json!({}) };
        json!({
            "id": format!("sub_{name}"), "object": "subscription", "status": status, "customer": "cus_1",
            "cancel_at_period_end": false, "created": BEGIN, "metadata": metadata,
            "items": { "object": "list", "data": [{ "id": "si_1", "current_period_end": BEGIN + periods * 2_592_000 }] },
        })
    }

    fn invoice(&self, name: &str, period: i64, status: &str) -> Value {
        let mut invoice = json!({
            "id": format!("in_{period}_{name}"), "object": "invoice", "status": status, "currency": "usd",
            "amount_paid": if status == "paid" { self.amount } else { 0 }, "created": BEGIN, "metadata": {},
        });
        if self.old_shape {
            invoice["subscription"] = json!(format!("sub_{name}"));
            let intent = (status != "draft").then(|| format!("pi_{period}_{name}"));
            invoice["payment_intent"] = json!(intent);
        } else {
            let parent = json!({ "subscription": format!("sub_{name}"), "metadata": {} });
            invoice["parent"] = json!({ "type": "subscription_details", "subscription_details": parent });
        }
        invoice
    }

    fn intent(&self, name: &str, period: i64, status: &str) -> Value {
        json!({
            "id": format!("pi_{period}_{name}"), "object": "payment_intent", "status": status, "amount": self.amount,
            "amount_received": if status == "succeeded" { self.amount } else { 0 }, "currency": "usd",
            "created": BEGIN, "metadata": {}, "last_payment_error": null,
        })
    }

    fn session(&self, name: &str) -> Value {
        json!({
            "id": format!("cs_{name}"), "object": "checkout.session", "mode": "subscription", "status": "complete",
            "payment_status": "paid", "amount_total": self.amount, "currency": "usd", "payment_intent": null,
            "client_reference_id": payment_id(name), "metadata": {}, "subscription": format!("sub_{name}"),
        })
    }

    /// In the order in which it happens.
    pub fn tell(&self, name: &str) -> Vec<Value> {
        let mut said: Vec<(&str, Value)> =
            vec![("customer.subscription.created", self.object(name, "incomplete", 1))];
        let mut status = "incomplete";
        for (period, paid) in (1_i64..).zip([true].iter().chain(&self.periods)) {
            said.push(("invoice.finalization_failed", self.invoice(name, period, "draft")));
            said.push(("invoice.payment_failed", self.invoice(name, period, "open")));
            if *paid {
                said.push(("payment_intent.succeeded", self.intent(name, period, "succeeded")));
                said.push(("invoice.paid", self.invoice(name, period, "paid")));
            }
            status = if *paid { "active" } else { "past_due" };
            said.push(("customer.subscription.updated", self.object(name, status, period)));
            if period == 1 {
                said.push(("checkout.session.completed", self.session(name)));
            }
        }
        let last = i64::try_from(self.periods.len()).unwrap_or_default() + 1;
        if self.end != status {
            let ends = if self.end == "canceled" {
                "customer.subscription.deleted"
            } else {
                "customer.subscription.updated"
            };
            said.push((ends, self.object(name, self.end, last)));
        }
        let mut at = 0;
        let mut before = String::new();
        let told = said.into_iter().enumerate().map(|(nth, (kind, object))| {
            at += self.gaps[nth % self.gaps.len()];
            // From one status back to another: Stripe does not do that within a second.
            if kind.starts_with("customer.subscription") && before == "past_due" {
                at += 1;
            }
            if kind.starts_with("customer.subscription") {
                object["status"].as_str().unwrap_or_default().clone_into(&mut before);
            }
            let mut event = event(name, at, kind, object);
            event["id"] = json!(format!("evt_{nth}_{name}"));
            event
        });
        told.collect()
    }
}

#[derive(Clone, Debug)]
pub struct Payout {
    pub amount: i64,
    statuses: &'static [&'static str],
    gaps: Vec<i64>,
}

/// The ways a payout goes.
const WAYS: [&[&str]; 6] = [
    &["pending"],
    &["pending", "canceled"],
    &["pending", "in_transit"],
    &["pending", "in_transit", "paid", "paid"],
    &["pending", "in_transit", "failed"],
    &["pending", "in_transit", "paid", "failed"],
];

pub fn payout() -> impl Strategy<Value = Payout> {
    let drawn = (1_i64..1_000_000, prop::sample::select(&WAYS[..]), vec(0_i64..3, 1..5));
    drawn.prop_map(|(amount, statuses, gaps)| Payout { amount, statuses, gaps })
}

impl Payout {
    pub fn ends(&self) -> &'static str {
        self.statuses.last().copied().unwrap_or_default()
    }

    pub fn tell(&self, name: &str) -> Vec<Value> {
        let mut at = 0;
        let told = self.statuses.iter().enumerate().map(|(nth, status)| {
            at += self.gaps[nth % self.gaps.len()];
            let kind = match *status {
                "pending" => "payout.created",
                "paid" if nth == 3 => "payout.reconciliation_completed",
                "paid" => "payout.paid",
                "failed" => "payout.failed",
                "canceled" => "payout.canceled",
                _ => "payout.updated",
            };
            let object = json!({
                "id": format!("po_{name}"), "object": "payout", "status": status, "amount": self.amount,
                "currency": "usd", "arrival_date": BEGIN + 86_400, "created": BEGIN,
                "failure_code": if *status == "failed" { json!("account_closed") } else { Value::Null },
            });
            let mut event = event(name, at, kind, object);
            event["id"] = json!(format!("evt_{nth}_{name}"));
            event
        });
        told.collect()
    }
}
