//! Stripe's objects, as much of them as we use.
//!
//! An event is written in the API version of its endpoint, and what an account was migrated with may be years old. So
//! numbers may come as text, a reference may be the object itself, and members that moved are looked for in every place
//! they have had. Words such as a `status` are kept as they are: Stripe adds to them. What is there and cannot be read is
//! an error, never an absence.

mod account;
mod checkout;
mod fields;
mod money;
mod payment;
mod payout;
mod subscription;

use std::fmt;

use serde_json::Value;

pub use account::{Account, AccountStatus};
pub use checkout::CheckoutSession;
pub use money::{ApplicationFee, Reversal, Transfer};
pub use payment::{Charge, Dispute, FraudWarning, Movement, PaymentIntent, Refund};
pub use payout::Payout;
pub use subscription::{Invoice, Subscription};

pub(super) use fields::{Fields, is_word};

/// An object of one of the kinds we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    CheckoutSession(CheckoutSession),
    PaymentIntent(PaymentIntent),
    Charge(Charge),
    Refund(Refund),
    Dispute(Dispute),
    Invoice(Invoice),
    Subscription(Subscription),
    Payout(Payout),
    Account(Account),
    ApplicationFee(ApplicationFee),
    Transfer(Transfer),
    FraudWarning(FraudWarning),
}

/// Why an object is not one of ours. Never says what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Of a kind we do not know, or no object at all.
    Kind,
    /// This member is absent, or not what it should be.
    Member(&'static str),
}

impl Unreadable {
    /// The name of the member.
    pub fn member(self) -> &'static str {
        match self {
            Self::Kind => "object",
            Self::Member(name) => name,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the object cannot be read: {}", self.member())
    }
}

impl std::error::Error for Unreadable {}

impl Object {
    /// Reads an object by what it says it is.
    pub fn read(value: &Value) -> Result<Self, Unreadable> {
        let fields = Fields::of(value).ok_or(Unreadable::Kind)?;
        match value.get("object").and_then(Value::as_str).unwrap_or_default() {
            "checkout.session" => CheckoutSession::read(fields).map(Self::CheckoutSession),
            "payment_intent" => PaymentIntent::read(fields).map(Self::PaymentIntent),
            "charge" => Charge::read(fields).map(Self::Charge),
            "refund" => Refund::read(fields).map(Self::Refund),
            "dispute" => Dispute::read(fields).map(Self::Dispute),
            "invoice" => Invoice::read(fields).map(Self::Invoice),
            "subscription" => Subscription::read(fields).map(Self::Subscription),
            "payout" => Payout::read(fields).map(Self::Payout),
            "account" => Account::read_v1(fields).map(Self::Account),
            "v2.core.account" => Account::read_v2(fields).map(Self::Account),
            "application_fee" => ApplicationFee::read(fields).map(Self::ApplicationFee),
            "transfer" => Transfer::read(fields).map(Self::Transfer),
            "radar.early_fraud_warning" => FraudWarning::read(fields).map(Self::FraudWarning),
            _ => Err(Unreadable::Kind),
        }
    }

    pub fn id(&self) -> &str {
        match self {
            Self::CheckoutSession(object) => &object.id,
            Self::PaymentIntent(object) => &object.id,
            Self::Charge(object) => &object.id,
            Self::Refund(object) => &object.id,
            Self::Dispute(object) => &object.id,
            Self::Invoice(object) => &object.id,
            Self::Subscription(object) => &object.id,
            Self::Payout(object) => &object.id,
            Self::Account(object) => &object.id,
            Self::ApplicationFee(object) => &object.id,
            Self::Transfer(object) => &object.id,
            Self::FraudWarning(object) => &object.id,
        }
    }
}

#[cfg(test)]
mod tests;
