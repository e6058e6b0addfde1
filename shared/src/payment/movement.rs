//! What moved money, each movement once.

use time::OffsetDateTime;

use super::Source;
use crate::db::{DbError, GenericClient, Type, execute};
use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MovementKind {
    Payment,
    Refund,
    /// A refund that failed or was taken back: the money is ours again.
    RefundReversed,
    Dispute,
    /// Won, or taken back by the payer.
    DisputeReversed,
    DisputeFee,
    Payout,
    /// A payout that failed or was called off.
    PayoutReversed,
    ApplicationFee,
    ApplicationFeeRefund,
    Transfer,
    TransferReversed,
}

impl MovementKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::RefundReversed => "refund_reversed",
            Self::Dispute => "dispute",
            Self::DisputeReversed => "dispute_reversed",
            Self::DisputeFee => "dispute_fee",
            Self::Payout => "payout",
            Self::PayoutReversed => "payout_reversed",
            Self::ApplicationFee => "application_fee",
            Self::ApplicationFeeRefund => "application_fee_refund",
            Self::Transfer => "transfer",
            Self::TransferReversed => "transfer_reversed",
        }
    }
}

/// Money that moved, by the provider's own name for what moved it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Movement {
    pub kind: MovementKind,
    /// With the kind, what makes it this movement and no other.
    pub source_object: String,
    /// What it belongs to: the dispute of a withdrawal, the refund of a refund.
    pub object_id: String,
    /// Into the account is positive.
    pub amount_minor: i64,
    pub currency: String,
    pub occurred_at: OffsetDateTime,
}

/// Writes down the movements that are not; a movement of nothing is none. The ledger is never changed.
pub async fn record(
    client: &impl GenericClient,
    random: &Random,
    source: &Source<'_>,
    movements: &[Movement],
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let moved = || movements.iter().filter(|movement| movement.amount_minor != 0);
    if moved().next().is_none() {
        return Ok(());
    }
    let ids: Vec<_> = moved().map(|_| random.id(now)).collect();
    let kinds: Vec<_> = moved().map(|movement| movement.kind.name()).collect();
    let sources: Vec<_> = moved().map(|movement| movement.source_object.as_str()).collect();
    let objects: Vec<_> = moved().map(|movement| movement.object_id.as_str()).collect();
    let amounts: Vec<_> = moved().map(|movement| movement.amount_minor).collect();
    let currencies: Vec<_> = moved().map(|movement| movement.currency.as_str()).collect();
    let times: Vec<_> = moved().map(|movement| movement.occurred_at).collect();
    execute(
        client,
        "INSERT INTO ledger
             (id, provider, account, source_object, kind, object_id, amount_minor, currency, occurred_at, created_at)
         SELECT id, $1, $2, source_object, kind, object_id, amount_minor, currency, occurred_at, $10
         FROM unnest($3, $4, $5, $6, $7, $8, $9)
              AS m (id, source_object, kind, object_id, amount_minor, currency, occurred_at)
         ON CONFLICT ON CONSTRAINT ledger_source_object_kind_key DO NOTHING",
        &[
            (&source.provider, Type::TEXT),
            (&source.account, Type::TEXT),
            (&ids, Type::UUID_ARRAY),
            (&sources, Type::TEXT_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&objects, Type::TEXT_ARRAY),
            (&amounts, Type::INT8_ARRAY),
            (&currencies, Type::TEXT_ARRAY),
            (&times, Type::TIMESTAMPTZ_ARRAY),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}
