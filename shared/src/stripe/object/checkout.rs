use uuid::Uuid;

use super::{Fields, Unreadable};

/// A page to pay at. It is the session that says whether there is anything to pay (`payment_status`), and not the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutSession {
    pub id: String,
    /// `metadata.payment_id`, or else `client_reference_id`.
    pub reference: Option<Uuid>,
    /// The reference is `client_reference_id`, which of a payment link is the payer's to choose.
    pub named_by_payer: bool,
    /// `payment`, `subscription` or `setup`.
    pub mode: String,
    /// `open`, `complete` or `expired`.
    pub status: Option<String>,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: String,
    pub payment_intent: Option<String>,
    pub subscription: Option<String>,
    /// In the smallest unit of the currency.
    pub amount: Option<i64>,
    pub currency: Option<String>,
}

impl CheckoutSession {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let ours = fields.reference();
        Ok(Self {
            id: fields.word("id")?,
            named_by_payer: ours.is_none(),
            reference: ours.or_else(|| fields.uuid("client_reference_id")),
            mode: fields.word("mode")?,
            status: fields.optional_word("status")?,
            payment_status: fields.word("payment_status")?,
            payment_intent: fields.optional_id("payment_intent")?,
            subscription: fields.optional_id("subscription")?,
            amount: fields.optional_number("amount_total")?,
            currency: fields.optional_currency("currency")?,
        })
    }
}
