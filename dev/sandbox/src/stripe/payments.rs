//! Payment intents and their charges: money asked for, held, taken, or refused.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{act::Act, kind::Kind};

/// What an intent is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewIntent {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) metadata: Value,
    pub(crate) application_fee_amount: Option<i64>,
    pub(crate) destination: Option<String>,
    pub(crate) manual: bool,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
}

impl Act<'_> {
    pub(crate) fn new_intent(&mut self, new: NewIntent) -> String {
        let secret = self.state.new_id("secret_", 25);
        let members = json!({
            "amount": new.amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "application": null,
            "application_fee_amount": new.application_fee_amount,
            "canceled_at": null,
            "cancellation_reason": null,
            "capture_method": if new.manual { "manual" } else { "automatic_async" },
            "confirmation_method": "automatic",
            "currency": new.currency,
            "customer": new.customer,
            "description": new.description,
            "last_payment_error": null,
            "latest_charge": null,
            "metadata": new.metadata,
            "next_action": null,
            "on_behalf_of": null,
            "payment_method": null,
            "payment_method_types": ["card"],
            "processing": null,
            "status": "requires_payment_method",
            "transfer_data": new.destination.map(|to| json!({"destination": to})),
            "transfer_group": null,
        });
        let id = self.make(Kind::Intent, members);
        self.change(&id, json!({"client_secret": format!("{id}_{secret}")}));
        self.emit("payment_intent.created", &id);
        id
    }

    pub(crate) fn status(&self, id: &str) -> String {
        self.text(id, "status")
    }

    fn waits_for_payment(&self, intent: &str) -> anyhow::Result<()> {
        let status = self.status(intent);
        let open = ["requires_payment_method", "requires_confirmation", "requires_action"];
        ensure!(open.contains(&status.as_str()), "the payment intent is {status}");
        Ok(())
    }

    /// The money is there: at once, or after it was on its way.
    pub(crate) fn succeed(&mut self, intent: &str) -> anyhow::Result<()> {
        let processing = self.status(intent) == "processing";
        if !processing {
            self.waits_for_payment(intent)?;
        }
        let amount = self.number(intent, "amount");
        let charge =
            if processing { self.text(intent, "latest_charge") } else { self.charge(intent, "succeeded") };
        let taken = json!({"status": "succeeded", "paid": true, "captured": true, "amount_captured": amount});
        self.change(&charge, taken);
        self.change(
            intent,
            json!({
                "status": "succeeded",
                "amount_received": amount,
                "latest_charge": charge,
                "last_payment_error": null,
                "next_action": null,
                "processing": null,
            }),
        );
        self.book_charge(&charge);
        self.emit("charge.succeeded", &charge);
        self.emit("payment_intent.succeeded", intent);
        self.after_success(intent);
        Ok(())
    }

    /// The money is on its way, as with a bank debit.
    pub(crate) fn process(&mut self, intent: &str) -> anyhow::Result<()> {
        self.waits_for_payment(intent)?;
        let charge = self.charge(intent, "pending");
        let processing = json!({"status": "processing", "latest_charge": charge, "last_payment_error": null});
        self.change(intent, processing);
        self.emit("charge.pending", &charge);
        self.emit("payment_intent.processing", intent);
        Ok(())
    }

    /// Refused at once, or after it was on its way: the customer may try again.
    pub(crate) fn decline(&mut self, intent: &str, why: &str) -> anyhow::Result<()> {
        let processing = self.status(intent) == "processing";
        if !processing {
            self.waits_for_payment(intent)?;
        }
        let charge =
            if processing { self.text(intent, "latest_charge") } else { self.charge(intent, "failed") };
        let message = "Your card was declined.";
        let failed = json!({
            "status": "failed",
            "paid": false,
            "captured": false,
            "failure_code": why,
            "failure_message": message,
        });
        self.change(&charge, failed);
        let error = json!({"type": "card_error", "code": why, "decline_code": why, "message": message, "charge": charge});
        self.change(
            intent,
            json!({
                "status": "requires_payment_method",
                "latest_charge": charge,
                "last_payment_error": error,
                "next_action": null,
            }),
        );
        self.emit("charge.failed", &charge);
        self.emit("payment_intent.payment_failed", intent);
        self.after_failure(intent, processing);
        Ok(())
    }

    /// The customer has to do something at his bank first.
    pub(crate) fn require_action(&mut self, intent: &str) -> anyhow::Result<()> {
        self.waits_for_payment(intent)?;
        let action = json!({"type": "use_stripe_sdk", "use_stripe_sdk": {}});
        self.change(intent, json!({"status": "requires_action", "next_action": action}));
        self.emit("payment_intent.requires_action", intent);
        Ok(())
    }

    /// The money is held and not yet taken.
    pub(crate) fn hold(&mut self, intent: &str) -> anyhow::Result<()> {
        self.waits_for_payment(intent)?;
        let charge = self.charge(intent, "succeeded");
        self.change(&charge, json!({"paid": true, "captured": false}));
        let amount = self.number(intent, "amount");
        self.change(
            intent,
            json!({"status": "requires_capture", "amount_capturable": amount, "latest_charge": charge}),
        );
        self.emit("charge.succeeded", &charge);
        self.emit("payment_intent.amount_capturable_updated", intent);
        Ok(())
    }

    pub(crate) fn capture(&mut self, intent: &str, amount: Option<i64>) -> anyhow::Result<()> {
        let (status, held) = (self.status(intent), self.number(intent, "amount_capturable"));
        ensure!(status == "requires_capture", "the payment intent is {status}");
        let amount = amount.unwrap_or(held);
        ensure!((1..=held).contains(&amount), "{held} can be captured, and not {amount}");
        let charge = self.text(intent, "latest_charge");
        self.change(&charge, json!({"captured": true, "amount_captured": amount}));
        self.change(
            intent,
            json!({"status": "succeeded", "amount_capturable": 0, "amount_received": amount}),
        );
        self.book_charge(&charge);
        self.emit("charge.captured", &charge);
        self.emit("payment_intent.succeeded", intent);
        self.after_success(intent);
        Ok(())
    }

    pub(crate) fn cancel_intent(&mut self, intent: &str, why: Option<&str>) -> anyhow::Result<()> {
        let status = self.status(intent);
        let over = ["succeeded", "canceled", "processing"];
        ensure!(!over.contains(&status.as_str()), "the payment intent is {status}");
        let now = self.now();
        if status == "requires_capture" {
            let charge = self.text(intent, "latest_charge");
            let amount = self.number(&charge, "amount");
            self.change(&charge, json!({"refunded": true, "amount_refunded": amount}));
            self.emit("charge.expired", &charge);
        }
        self.change(
            intent,
            json!({
                "status": "canceled",
                "amount_capturable": 0,
                "canceled_at": now,
                "cancellation_reason": why,
                "next_action": null,
            }),
        );
        self.emit("payment_intent.canceled", intent);
        Ok(())
    }

    fn charge(&mut self, intent: &str, status: &str) -> String {
        let of = |name: &str| self.member(intent, name);
        let members = json!({
            "amount": of("amount"),
            "amount_captured": 0,
            "amount_refunded": 0,
            "application": null,
            "application_fee": null,
            "application_fee_amount": of("application_fee_amount"),
            "balance_transaction": null,
            "billing_details": {"email": "buyer@example.com", "name": "Jenny Rosen", "phone": null},
            "captured": false,
            "currency": of("currency"),
            "customer": of("customer"),
            "description": of("description"),
            "disputed": false,
            "failure_code": null,
            "failure_message": null,
            "metadata": of("metadata"),
            "paid": false,
            "payment_intent": intent,
            "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}, "type": "card"},
            "refunded": false,
            "status": status,
            "transfer_data": of("transfer_data"),
        });
        self.make(Kind::Charge, members)
    }
}
