//! Disputes: opened, argued, won, lost; with the money that goes away and comes back.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{act::Act, kind::Kind};

/// What a dispute costs, whoever wins it.
const FEE: i64 = 1500;

const OPEN: [&str; 4] = ["needs_response", "under_review", "warning_needs_response", "warning_under_review"];

impl Act<'_> {
    /// Of the whole charge unless said otherwise. An inquiry takes no money yet.
    pub(crate) fn open_dispute(
        &mut self,
        charge: &str,
        amount: Option<i64>,
        inquiry: bool,
    ) -> anyhow::Result<String> {
        self.known(Kind::Charge, charge)?;
        ensure!(self.member(charge, "captured") == true, "the charge has brought no money");
        let amount = amount.unwrap_or_else(|| self.number(charge, "amount_captured"));
        let due = self.now() + 7 * 86_400;
        let members = json!({
            "amount": amount,
            "balance_transactions": [],
            "charge": charge,
            "currency": self.member(charge, "currency"),
            "evidence": {},
            "evidence_details": {"due_by": due, "has_evidence": false, "past_due": false, "submission_count": 0},
            "is_charge_refundable": inquiry,
            "payment_intent": self.member(charge, "payment_intent"),
            "reason": "fraudulent",
            "status": if inquiry { "warning_needs_response" } else { "needs_response" },
        });
        let dispute = self.make(Kind::Dispute, members);
        self.change(charge, json!({"disputed": true}));
        if !inquiry {
            self.move_money(&dispute, -amount, FEE);
        }
        self.emit("charge.dispute.created", &dispute);
        if !inquiry {
            self.emit("charge.dispute.funds_withdrawn", &dispute);
        }
        Ok(dispute)
    }

    pub(crate) fn move_dispute(&mut self, dispute: &str, status: &str) -> anyhow::Result<()> {
        self.known(Kind::Dispute, dispute)?;
        let before = self.status(dispute);
        ensure!(before != status, "the dispute is {before} already");
        ensure!(
            OPEN.contains(&before.as_str()) || !OPEN.contains(&status),
            "the dispute is {before} and does not open again"
        );
        let amount = self.number(dispute, "amount");
        let withdrawn = self.balance(dispute) < 0;
        let was = self.change(dispute, json!({"status": status}));
        match status {
            "needs_response" | "under_review" | "warning_needs_response" | "warning_under_review" => {
                let escalated = !status.starts_with("warning") && !withdrawn;
                if escalated {
                    self.move_money(dispute, -amount, FEE);
                }
                self.emit_changed("charge.dispute.updated", dispute, was);
                if escalated {
                    self.emit("charge.dispute.funds_withdrawn", dispute);
                }
            }
            // After it was lost, too: an appeal may be won.
            "won" | "prevented" => {
                if withdrawn {
                    self.move_money(dispute, amount, 0);
                }
                self.emit_changed("charge.dispute.closed", dispute, was);
                if withdrawn {
                    self.emit("charge.dispute.funds_reinstated", dispute);
                }
            }
            "lost" => {
                if !withdrawn {
                    self.move_money(dispute, -amount, FEE);
                }
                self.emit_changed("charge.dispute.closed", dispute, was);
                if !withdrawn {
                    self.emit("charge.dispute.funds_withdrawn", dispute);
                }
            }
            "warning_closed" => self.emit_changed("charge.dispute.closed", dispute, was),
            _ => {
                self.change(dispute, was);
                anyhow::bail!("{status:?} is no status of a dispute");
            }
        }
        Ok(())
    }

    /// What the dispute has moved so far, its fee aside.
    fn balance(&self, dispute: &str) -> i64 {
        let moved = self.member(dispute, "balance_transactions");
        moved.as_array().into_iter().flatten().filter_map(|one| one["amount"].as_i64()).sum()
    }

    fn move_money(&mut self, dispute: &str, amount: i64, fee: i64) {
        let currency = self.member(dispute, "currency");
        let booked = self.balance_transaction("adjustment", dispute, amount, fee, &currency);
        let one = self.state.any(&booked).map(|one| one.value.clone()).unwrap_or_default();
        let mut moved = self.member(dispute, "balance_transactions");
        if let Value::Array(all) = &mut moved {
            all.push(one);
        }
        self.change(dispute, json!({"balance_transactions": moved}));
    }

    pub(crate) fn warn_of_fraud(&mut self, charge: &str) -> anyhow::Result<String> {
        self.known(Kind::Charge, charge)?;
        let members = json!({
            "actionable": true,
            "charge": charge,
            "fraud_type": "made_with_stolen_card",
            "payment_intent": self.member(charge, "payment_intent"),
        });
        let warning = self.make(Kind::FraudWarning, members);
        self.emit("radar.early_fraud_warning.created", &warning);
        Ok(warning)
    }
}
