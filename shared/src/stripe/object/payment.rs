use time::OffsetDateTime;
use uuid::Uuid;

use super::fields::each;
use super::{Fields, Unreadable};

/// What somebody is to pay, over all the attempts it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentIntent {
    pub id: String,
    pub reference: Option<Uuid>,
    pub status: String,
    /// The last attempt failed (`last_payment_error`). The next may not.
    pub failed: bool,
    pub amount: i64,
    pub amount_received: i64,
    pub currency: String,
    pub latest_charge: Option<String>,
    pub created_at: OffsetDateTime,
}

/// One attempt to move money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub id: String,
    pub reference: Option<Uuid>,
    pub payment_intent: Option<String>,
    /// `succeeded`, `pending` or `failed`.
    pub status: String,
    pub paid: bool,
    pub captured: bool,
    pub amount: i64,
    pub amount_captured: i64,
    /// Of all refunds together.
    pub amount_refunded: i64,
    pub currency: String,
    /// Those the charge itself brings: API versions before 2022-11-15 send the latest ten of them along, later ones none
    /// unless asked to.
    pub refunds: Vec<Refund>,
    pub created_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: String,
    pub reference: Option<Uuid>,
    pub payment_intent: Option<String>,
    pub charge: Option<String>,
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`; `succeeded` may be followed by `failed`.
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub created_at: OffsetDateTime,
}

/// Somebody asked their bank for the money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    pub id: String,
    pub payment_intent: Option<String>,
    pub charge: String,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    /// What it did to our balance so far.
    pub movements: Vec<Movement>,
}

/// A line of a Stripe balance, in the currency of the balance, which need not be the charge's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    pub id: String,
    /// Less than nothing when it left the balance; `fee` not included.
    pub amount: i64,
    /// What Stripe took, more than nothing.
    pub fee: i64,
    pub currency: String,
    pub created_at: OffsetDateTime,
}

/// The card's network says that a charge was fraud, before there is a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FraudWarning {
    pub id: String,
    pub charge: String,
    pub payment_intent: Option<String>,
}

impl PaymentIntent {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let latest_charge = match fields.optional_id("latest_charge")? {
            Some(charge) => Some(charge),
            // Before API version 2022-11-15: the charges themselves, the latest first.
            None => fields.list("charges")?.first().map(|charge| charge.word("id")).transpose()?,
        };
        Ok(Self {
            id: fields.word("id")?,
            reference: fields.reference(),
            status: current_status(fields.word("status")?),
            failed: fields.has("last_payment_error"),
            amount: fields.number("amount")?,
            amount_received: fields.optional_number("amount_received")?.unwrap_or(0),
            currency: fields.currency("currency")?,
            latest_charge,
            created_at: fields.time("created")?,
        })
    }
}

/// API versions before 2019-02-11 had other words for two of them.
fn current_status(status: String) -> String {
    match status.as_str() {
        "requires_source" => "requires_payment_method".to_owned(),
        "requires_source_action" => "requires_action".to_owned(),
        _ => status,
    }
}

impl Charge {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let paid = fields.flag("paid")?;
        let captured = fields.optional_flag("captured")?.unwrap_or(paid);
        let amount = fields.number("amount")?;
        let amount_captured = fields.optional_number("amount_captured")?;
        let status = fields.optional_word("status")?;
        Ok(Self {
            id: fields.word("id")?,
            reference: fields.reference(),
            payment_intent: fields.optional_id("payment_intent")?,
            // Absent, or `paid`, in API versions before 2015-02-18.
            status: match status.as_deref() {
                None if paid => "succeeded".to_owned(),
                None => "failed".to_owned(),
                Some("paid") => "succeeded".to_owned(),
                Some(status) => status.to_owned(),
            },
            paid,
            captured,
            amount,
            amount_captured: amount_captured.unwrap_or(if captured { amount } else { 0 }),
            amount_refunded: fields.optional_number("amount_refunded")?.unwrap_or(0),
            currency: fields.currency("currency")?,
            refunds: each(fields.list("refunds")?, Refund::read)?,
            created_at: fields.time("created")?,
        })
    }
}

impl Refund {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            reference: fields.reference(),
            payment_intent: fields.optional_id("payment_intent")?,
            charge: fields.optional_id("charge")?,
            // Once there was none, because a refund that was made could not fail.
            status: fields.optional_word("status")?.unwrap_or_else(|| "succeeded".to_owned()),
            amount: fields.number("amount")?,
            currency: fields.currency("currency")?,
            created_at: fields.time("created")?,
        })
    }
}

impl Dispute {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            payment_intent: fields.optional_id("payment_intent")?,
            charge: fields.id("charge")?,
            status: fields.word("status")?,
            amount: fields.number("amount")?,
            currency: fields.currency("currency")?,
            movements: each(fields.list("balance_transactions")?, Movement::read)?,
        })
    }
}

impl Movement {
    fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            amount: fields.number("amount")?,
            fee: fields.optional_number("fee")?.unwrap_or(0),
            currency: fields.currency("currency")?,
            created_at: fields.time("created")?,
        })
    }
}

impl FraudWarning {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            charge: fields.id("charge")?,
            payment_intent: fields.optional_id("payment_intent")?,
        })
    }
}
