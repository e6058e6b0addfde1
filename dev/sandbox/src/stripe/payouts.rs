//! Payouts: on their way, arrived, and failed even so.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{act::Act, kind::Kind};

impl Act<'_> {
    pub(crate) fn new_payout(
        &mut self,
        amount: i64,
        currency: &str,
        metadata: &Value,
        automatic: bool,
    ) -> String {
        let now = self.now();
        let destination = self.state.new_id("ba_1", 23);
        let members = json!({
            "amount": amount,
            "application_fee": null,
            "application_fee_amount": null,
            "arrival_date": now + 2 * 86_400,
            "automatic": automatic,
            "balance_transaction": null,
            "currency": currency,
            "description": "STRIPE PAYOUT",
            "destination": destination,
            "failure_balance_transaction": null,
            "failure_code": null,
            "failure_message": null,
            "metadata": metadata,
            "method": "standard",
            "reconciliation_status": if automatic { "in_progress" } else { "not_applicable" },
            "source_type": "card",
            "statement_descriptor": null,
            "status": "pending",
            "type": "bank_account",
        });
        let payout = self.make(Kind::Payout, members);
        let booked = self.balance_transaction("payout", &payout, -amount, 0, &json!(currency));
        self.change(&payout, json!({"balance_transaction": booked}));
        self.emit("payout.created", &payout);
        payout
    }

    pub(crate) fn move_payout(&mut self, payout: &str, status: &str) -> anyhow::Result<()> {
        self.known(Kind::Payout, payout)?;
        let before = self.status(payout);
        let allowed: &[&str] = match before.as_str() {
            "pending" => &["in_transit", "paid", "failed", "canceled"],
            "in_transit" => &["paid", "failed"],
            "paid" => &["failed"],
            _ => &[],
        };
        ensure!(allowed.contains(&status), "a payout that is {before} does not become {status:?}");
        let was = self.change(payout, json!({"status": status}));
        if status == "failed" || status == "canceled" {
            let (amount, currency) = (self.number(payout, "amount"), self.member(payout, "currency"));
            let back = self.balance_transaction("payout_failure", payout, amount, 0, &currency);
            self.change(payout, json!({"failure_balance_transaction": back}));
        }
        if status == "failed" {
            let why = json!({
                "failure_code": "account_closed",
                "failure_message": "The bank account has been closed.",
            });
            self.change(payout, why);
        }
        self.emit_changed("payout.updated", payout, was);
        if status != "in_transit" {
            self.emit(&format!("payout.{status}"), payout);
        }
        Ok(())
    }
}
