use time::OffsetDateTime;

use super::fields::each;
use super::{Fields, Unreadable};

/// Our share of what a connected account was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationFee {
    pub id: String,
    pub charge: String,
    pub amount: i64,
    pub currency: String,
    pub created_at: OffsetDateTime,
    pub refunds: Vec<Reversal>,
}

/// Money that went from our balance to a connected account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    /// The account.
    pub destination: Option<String>,
    pub created_at: OffsetDateTime,
    pub reversals: Vec<Reversal>,
}

/// Part of a fee or of a transfer, given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversal {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub created_at: OffsetDateTime,
}

impl ApplicationFee {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            charge: fields.id("charge")?,
            amount: fields.number("amount")?,
            currency: fields.currency("currency")?,
            created_at: fields.time("created")?,
            refunds: each(fields.list("refunds")?, Reversal::read)?,
        })
    }
}

impl Transfer {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            amount: fields.number("amount")?,
            currency: fields.currency("currency")?,
            destination: fields.optional_id("destination")?,
            created_at: fields.time("created")?,
            reversals: each(fields.list("reversals")?, Reversal::read)?,
        })
    }
}

impl Reversal {
    fn read(fields: Fields<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: fields.word("id")?,
            amount: fields.number("amount")?,
            currency: fields.currency("currency")?,
            created_at: fields.time("created")?,
        })
    }
}
