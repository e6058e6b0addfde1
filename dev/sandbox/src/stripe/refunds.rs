//! Refunds: made, still to come, failed after all.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{act::Act, kind::Kind};

#[derive(Debug, Clone, Default)]
pub(crate) struct NewRefund {
    pub(crate) charge: String,
    /// All that is left.
    pub(crate) amount: Option<i64>,
    pub(crate) metadata: Value,
    pub(crate) reason: Option<String>,
    pub(crate) reverse_transfer: bool,
    pub(crate) refund_application_fee: bool,
    pub(crate) pending: bool,
}

impl Act<'_> {
    pub(crate) fn refund(&mut self, new: NewRefund) -> anyhow::Result<String> {
        let charge = new.charge;
        let total = self.number(&charge, "amount_captured");
        let refunded = self.number(&charge, "amount_refunded");
        ensure!(self.member(&charge, "captured") == true, "Charge {charge} has not been captured.");
        ensure!(refunded < total, "Charge {charge} has already been refunded.");
        let amount = new.amount.unwrap_or(total - refunded);
        ensure!(
            amount <= total - refunded,
            "Refund amount ({amount}) is greater than unrefunded amount on charge ({})",
            total - refunded
        );
        let currency = self.member(&charge, "currency");
        let members = json!({
            "amount": amount,
            "balance_transaction": null,
            "charge": charge,
            "currency": currency,
            "failure_reason": null,
            "failure_balance_transaction": null,
            "metadata": if new.metadata.is_null() { json!({}) } else { new.metadata },
            "payment_intent": self.member(&charge, "payment_intent"),
            "reason": new.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": if new.pending { "pending" } else { "succeeded" },
            "transfer_reversal": null,
        });
        let refund = self.make(Kind::Refund, members);
        let booked = self.balance_transaction("refund", &refund, -amount, 0, &currency);
        self.change(&refund, json!({"balance_transaction": booked}));
        let whole = refunded + amount >= total;
        let before = self.change(&charge, json!({"amount_refunded": refunded + amount, "refunded": whole}));
        self.emit("refund.created", &refund);
        self.emit_changed("charge.refunded", &charge, before);
        if let Some(transfer) = self.member(&charge, "transfer").as_str().filter(|_| new.reverse_transfer) {
            self.reverse_transfer(transfer, amount, &refund);
        }
        let fee = self.member(&charge, "application_fee");
        if let Some(fee) = fee.as_str().filter(|_| new.refund_application_fee && total > 0) {
            let part = self.number(fee, "amount") * amount / total;
            self.refund_fee(fee, part);
        }
        Ok(refund)
    }

    /// One that was pending: the money is with the customer.
    pub(crate) fn finish_refund(&mut self, refund: &str) -> anyhow::Result<()> {
        self.known(Kind::Refund, refund)?;
        let status = self.status(refund);
        ensure!(status == "pending" || status == "requires_action", "the refund is {status}");
        let before = self.change(refund, json!({"status": "succeeded"}));
        self.tell_of_refund(refund, before);
        Ok(())
    }

    /// The customer's bank sends it back, even after it had succeeded: the money is ours again.
    pub(crate) fn fail_refund(&mut self, refund: &str) -> anyhow::Result<()> {
        self.undo_refund(refund, "failed", Some("lost_or_stolen_card"))
    }

    pub(crate) fn cancel_refund(&mut self, refund: &str) -> anyhow::Result<()> {
        self.known(Kind::Refund, refund)?;
        let status = self.status(refund);
        ensure!(status == "pending" || status == "requires_action", "the refund is {status}");
        self.undo_refund(refund, "canceled", None)
    }

    fn undo_refund(&mut self, refund: &str, to: &str, why: Option<&str>) -> anyhow::Result<()> {
        self.known(Kind::Refund, refund)?;
        let status = self.status(refund);
        ensure!(status != "failed" && status != "canceled", "the refund is {status}");
        let (amount, currency) = (self.number(refund, "amount"), self.member(refund, "currency"));
        let back = self.balance_transaction("refund_failure", refund, amount, 0, &currency);
        let changed = json!({"status": to, "failure_reason": why, "failure_balance_transaction": back});
        let before = self.change(refund, changed);
        let charge = self.text(refund, "charge");
        let left = self.number(&charge, "amount_refunded") - amount;
        self.change(&charge, json!({"amount_refunded": left, "refunded": false}));
        if to == "failed" {
            self.emit("refund.failed", refund);
        }
        self.tell_of_refund(refund, before);
        Ok(())
    }

    fn tell_of_refund(&mut self, refund: &str, before: Value) {
        self.emit_changed("refund.updated", refund, before.clone());
        self.emit_changed("charge.refund.updated", refund, before);
    }
}
