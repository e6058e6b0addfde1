use time::OffsetDateTime;
use uuid::Uuid;

use super::fields::each;
use super::{Fields, Unreadable};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub id: String,
    pub reference: Option<Uuid>,
    pub customer: Option<String>,
    pub status: String,
    pub cancel_at_period_end: bool,
    /// Until when it is paid for.
    pub current_period_end_at: Option<OffsetDateTime>,
    pub canceled_at: Option<OffsetDateTime>,
}

/// Stripe's bill for a period of a subscription; not to be confused with a Lightning invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    pub id: String,
    pub subscription: Option<String>,
    /// Only where the invoice brings its payments along.
    pub payment_intent: Option<String>,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    pub status: String,
    pub amount_paid: i64,
    pub currency: String,
}

impl Subscription {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let current_period_end_at = match fields.optional_time("current_period_end")? {
            Some(end) => Some(end),
            // Since API version basil each item has its own period.
            None => each(fields.list("items")?, |item| item.optional_time("current_period_end"))?
                .into_iter()
                .flatten()
                .max(),
        };
        Ok(Self {
            id: fields.word("id")?,
            reference: fields.reference(),
            customer: fields.optional_id("customer")?,
            status: fields.word("status")?,
            cancel_at_period_end: fields.optional_flag("cancel_at_period_end")?.unwrap_or(false),
            current_period_end_at,
            canceled_at: fields.optional_time("canceled_at")?,
        })
    }
}

impl Invoice {
    /// Three members moved with API version basil.
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let subscription = match (fields.optional_id("subscription")?, subscription_details(fields)) {
            (None, Some(details)) => details.optional_id("subscription")?,
            (subscription, _) => subscription,
        };
        let payment_intent = match fields.optional_id("payment_intent")? {
            None => paid_by(fields)?,
            payment_intent => payment_intent,
        };
        let was_paid = fields.optional_flag("paid")?.unwrap_or(false);
        let status = fields.optional_word("status")?;
        Ok(Self {
            id: fields.word("id")?,
            subscription,
            payment_intent,
            status: status.unwrap_or_else(|| if was_paid { "paid" } else { "open" }.to_owned()),
            amount_paid: fields.number("amount_paid")?,
            currency: fields.currency("currency")?,
        })
    }
}

fn subscription_details(invoice: Fields<'_>) -> Option<Fields<'_>> {
    invoice.within(&["parent", "subscription_details"])
}

/// The payment intent that paid the invoice, or else the one that is to.
fn paid_by(invoice: Fields<'_>) -> Result<Option<String>, Unreadable> {
    let mut intents = Vec::new();
    for entry in invoice.list("payments")? {
        let Some(payment) = entry.within(&["payment"]) else { continue };
        let is_paid = entry.optional_word("status")?.as_deref() == Some("paid");
        intents.extend(payment.optional_id("payment_intent")?.map(|intent| (!is_paid, intent)));
    }
    // The first of those that paid, if any did.
    intents.sort_by_key(|(is_unpaid, _)| *is_unpaid);
    Ok(intents.into_iter().next().map(|(_, intent)| intent))
}
