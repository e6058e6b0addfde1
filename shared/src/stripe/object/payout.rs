use time::OffsetDateTime;

use super::{Fields, Unreadable};

/// Money on its way from a Stripe balance to a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    pub id: String,
    /// `pending`, `in_transit`, `paid`, `failed` or `canceled`; `paid` may be followed by `failed`.
    pub status: String,
    /// Less than nothing when the bank was debited.
    pub amount: i64,
    pub currency: String,
    pub arrival_at: Option<OffsetDateTime>,
    pub failure_code: Option<String>,
    pub created_at: OffsetDateTime,
}

impl Payout {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            status: fields.word("status")?,
            amount: fields.number("amount")?,
            currency: fields.currency("currency")?,
            arrival_at: fields.optional_time("arrival_date")?,
            failure_code: fields.optional_word("failure_code")?,
            created_at: fields.time("created")?,
        })
    }
}
