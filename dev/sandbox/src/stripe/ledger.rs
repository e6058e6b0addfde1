//! Balance transactions, application fees and transfers: what a payment moves besides itself.

use serde_json::{Value, json};

use super::{act::Act, kind::Kind};

/// What a card payment costs here: 2.9 % and 30.
fn processing_fee(amount: i64) -> i64 {
    amount * 29 / 1000 + 30
}

impl Act<'_> {
    pub(crate) fn balance_transaction(
        &mut self,
        kind: &str,
        source: &str,
        amount: i64,
        fee: i64,
        currency: &Value,
    ) -> String {
        let members = json!({
            "amount": amount,
            "available_on": self.now() + 2 * 86_400,
            "currency": currency,
            "description": null,
            "exchange_rate": null,
            "fee": fee,
            "fee_details": [],
            "net": amount - fee,
            "reporting_category": kind,
            "source": source,
            "status": "pending",
            "type": kind,
        });
        self.make(Kind::BalanceTransaction, members)
    }

    /// The books of a charge that has just brought money.
    pub(crate) fn book_charge(&mut self, charge: &str) {
        let (amount, currency) = (self.number(charge, "amount_captured"), self.member(charge, "currency"));
        let fee = processing_fee(amount);
        let booked = self.balance_transaction("charge", charge, amount, fee, &currency);
        self.change(charge, json!({"balance_transaction": booked}));
        self.share(charge, amount, &currency);
    }

    /// The platform's fee, and the seller's part of a destination charge.
    fn share(&mut self, charge: &str, amount: i64, currency: &Value) {
        let destination = self.member(charge, "transfer_data")["destination"].clone();
        if destination.is_string() {
            let members = json!({
                "amount": amount,
                "amount_reversed": 0,
                "balance_transaction": null,
                "currency": currency,
                "description": null,
                "destination": destination,
                "reversed": false,
                "source_transaction": charge,
                "source_type": "card",
                "transfer_group": null,
            });
            let transfer = self.make(Kind::Transfer, members);
            let booked = self.balance_transaction("transfer", &transfer, -amount, 0, currency);
            self.change(&transfer, json!({"balance_transaction": booked}));
            self.change(charge, json!({"transfer": transfer}));
            self.emit("transfer.created", &transfer);
        }
        let fee = self.number(charge, "application_fee_amount");
        let payer = destination.as_str().map(str::to_owned).or_else(|| self.account.clone());
        if let Some(payer) = payer.filter(|_| fee > 0) {
            let members = json!({
                "account": payer,
                "amount": fee,
                "amount_refunded": 0,
                "application": "ca_sandbox",
                "charge": charge,
                "currency": currency,
                "fee_source": {"charge": charge, "type": "charge"},
                "originating_transaction": null,
                "refunded": false,
            });
            let mut platform = self.on(None);
            let fee = platform.make(Kind::ApplicationFee, members);
            self.change(charge, json!({"application_fee": fee}));
            self.on(None).emit("application_fee.created", &fee);
        }
    }

    /// Takes so much of a transfer back from the seller.
    pub(crate) fn reverse_transfer(&mut self, transfer: &str, amount: i64, refund: &str) {
        let currency = self.member(transfer, "currency");
        let reversed = self.number(transfer, "amount_reversed") + amount;
        let members = json!({
            "amount": amount,
            "balance_transaction": null,
            "currency": currency,
            "destination_payment_refund": null,
            "source_refund": refund,
            "transfer": transfer,
        });
        let reversal = self.make(Kind::TransferReversal, members);
        let booked = self.balance_transaction("transfer_reversal", &reversal, amount, 0, &currency);
        self.change(&reversal, json!({"balance_transaction": booked}));
        let whole = reversed >= self.number(transfer, "amount");
        self.change(transfer, json!({"amount_reversed": reversed, "reversed": whole}));
        self.change(refund, json!({"transfer_reversal": reversal}));
        self.emit("transfer.reversed", transfer);
    }

    /// Gives so much of an application fee back.
    pub(crate) fn refund_fee(&mut self, fee: &str, amount: i64) {
        let mut platform = self.on(None);
        let refunded = platform.number(fee, "amount_refunded") + amount;
        let currency = platform.member(fee, "currency");
        let members = json!({
            "amount": amount,
            "balance_transaction": null,
            "currency": currency,
            "fee": fee,
        });
        platform.make(Kind::FeeRefund, members);
        let whole = refunded >= platform.number(fee, "amount");
        platform.change(fee, json!({"amount_refunded": refunded, "refunded": whole}));
        platform.emit("application_fee.refunded", fee);
    }
}
