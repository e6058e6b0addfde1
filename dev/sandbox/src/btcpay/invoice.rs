//! An invoice: its states, what a payment does to it, and how it is answered.

use serde_json::{Map, Value, json};

use super::{
    amount::Currency,
    event::{Happening, Members},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    New,
    Expired,
    Invalid,
    Settled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Additional {
    None,
    PaidLate,
    PaidPartial,
    Marked,
    PaidOver,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::Settled => "Settled",
        }
    }

    /// What an operator may still turn it into.
    fn markings(self) -> &'static [&'static str] {
        match self {
            Self::New | Self::Expired => &["Settled", "Invalid"],
            Self::Invalid => &["Settled"],
            Self::Settled => &["Invalid"],
        }
    }
}

impl Additional {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::PaidLate => "PaidLate",
            Self::PaidPartial => "PaidPartial",
            Self::Marked => "Marked",
            Self::PaidOver => "PaidOver",
        }
    }
}

/// The Lightning invoice behind it.
#[derive(Debug, Clone)]
pub(crate) struct Prompt {
    pub(crate) bolt11: String,
    pub(crate) payment_hash: [u8; 32],
}

#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) received: i64,
    pub(crate) msat: u64,
    pub(crate) destination: String,
}

impl Payment {
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "receivedDate": self.received,
            "value": Currency::Btc.text(self.msat),
            "fee": "0",
            "status": "Settled",
            "destination": self.destination,
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct StoredInvoice {
    pub(crate) id: String,
    pub(crate) store: String,
    /// As it was asked for; `None` takes any amount.
    pub(crate) amount: Option<String>,
    pub(crate) msat: Option<u64>,
    pub(crate) currency: Currency,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) checkout: Value,
    pub(crate) receipt: Value,
    pub(crate) search_terms: Vec<String>,
    pub(crate) checkout_link: String,
    pub(crate) created: i64,
    pub(crate) expires: i64,
    pub(crate) monitored_until: i64,
    pub(crate) status: Status,
    pub(crate) additional: Additional,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) payments: Vec<Payment>,
}

impl StoredInvoice {
    pub(crate) fn paid_msat(&self) -> u64 {
        self.payments.iter().map(|payment| payment.msat).sum()
    }

    /// Text in its metadata; a number counts as its text.
    pub(crate) fn metadata_text(&self, name: &str) -> String {
        match self.metadata.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        }
    }

    pub(crate) fn contains(&self, term: &str) -> bool {
        self.id == term
            || self.metadata_text("orderId") == term
            || self.search_terms.iter().any(|known| known == term)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "storeId": self.store,
            "amount": self.amount.as_deref().unwrap_or("0"),
            "paidAmount": self.currency.text(self.paid_msat()),
            "currency": self.currency.code(),
            "type": if self.msat.is_some() { "Standard" } else { "TopUp" },
            "checkoutLink": self.checkout_link,
            "createdTime": self.created,
            "expirationTime": self.expires,
            "monitoringExpiration": self.monitored_until,
            "status": self.status.name(),
            "additionalStatus": self.additional.name(),
            "availableStatusesForManualMarking": self.status.markings(),
            "archived": false,
            "metadata": self.metadata,
            "checkout": self.checkout,
            "receipt": self.receipt,
        })
    }

    /// One payment method: Lightning.
    pub(crate) fn payment_method_json(&self) -> Value {
        let btc = |msat| Currency::Btc.text(msat);
        let (asked, paid) = (self.msat.unwrap_or_default(), self.paid_msat());
        let due = if paid > asked { format!("-{}", btc(paid - asked)) } else { btc(asked - paid) };
        let destination = self.prompt.as_ref().map(|prompt| &prompt.bolt11);
        let hash = self.prompt.as_ref().map(|prompt| data_encoding::HEXLOWER.encode(&prompt.payment_hash));
        json!({
            "paymentMethodId": "BTC-LN",
            "currency": "BTC",
            "destination": destination,
            "paymentLink": destination.map(|bolt11| format!("lightning:{bolt11}")),
            "rate": self.currency.rate(),
            "paymentMethodPaid": btc(paid),
            "totalPaid": btc(paid),
            "due": due,
            "amount": btc(asked),
            "paymentMethodFee": "0",
            "payments": self.payments.iter().map(Payment::json).collect::<Vec<_>>(),
            "activated": destination.is_some(),
            "additionalData": {"paymentHash": hash},
        })
    }

    /// The types of the events a payment sets off, in their order, each with its own members. A payment seen before
    /// does nothing.
    pub(crate) fn pay(&mut self, payment: Payment) -> Vec<Happening> {
        if self.payments.iter().any(|known| known.id == payment.id) {
            return Vec::new();
        }
        let late = self.status != Status::New;
        let received = vec![
            ("afterExpiration", json!(late)),
            ("paymentMethodId", json!("BTC-LN")),
            ("payment", payment.json()),
        ];
        self.payments.push(payment);
        let mut events =
            vec![("InvoiceReceivedPayment", received.clone()), ("InvoicePaymentSettled", received)];
        let (asked, paid) = (self.msat.unwrap_or_default(), self.paid_msat());
        match self.status {
            _ if paid < asked => self.additional = Additional::PaidPartial,
            Status::New => {
                let over = self.msat.is_some() && paid > asked;
                self.status = Status::Settled;
                self.additional = if over { Additional::PaidOver } else { Additional::None };
                events.push(("InvoiceProcessing", vec![("overPaid", json!(over))]));
                events.push(("InvoiceSettled", settled(false, over)));
            }
            Status::Expired => {
                self.additional = Additional::PaidLate;
                events.push(("InvoicePaidAfterExpiration", Vec::new()));
            }
            Status::Invalid | Status::Settled => {}
        }
        events
    }

    /// `None` unless it was still waiting.
    pub(crate) fn expire(&mut self) -> Option<Happening> {
        if self.status != Status::New {
            return None;
        }
        self.status = Status::Expired;
        Some(("InvoiceExpired", vec![("partiallyPaid", json!(self.paid_msat() > 0))]))
    }

    /// By hand; `None` where `BTCPay` does not allow it.
    pub(crate) fn mark(&mut self, to: Status) -> Option<Happening> {
        if !self.status.markings().contains(&to.name()) {
            return None;
        }
        self.status = to;
        self.additional = Additional::Marked;
        Some(match to {
            Status::Settled => ("InvoiceSettled", settled(true, false)),
            Status::New | Status::Expired | Status::Invalid => {
                ("InvoiceInvalid", vec![("manuallyMarked", json!(true))])
            }
        })
    }
}

fn settled(by_hand: bool, over: bool) -> Members {
    vec![("manuallyMarked", json!(by_hand)), ("overPaid", json!(over))]
}
