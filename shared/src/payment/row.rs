//! Our own payments, and whose an object is.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Derived, PaymentState};
use crate::db::{DbError, GenericClient, Row, Type, execute, query_opt};

/// Who said it, and about whose things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// `btcpay` or `stripe`.
    pub provider: &'a str,
    /// BTCPay's store; Stripe's connected account, or empty for our own.
    pub account: &'a str,
}

/// Something to be paid.
#[derive(Clone, Copy, Debug)]
pub struct NewPayment<'a> {
    pub id: Uuid,
    pub user_id: Uuid,
    pub source: Source<'a>,
    /// Three small letters; `btc` counts in millisatoshis.
    pub currency: &'a str,
    pub amount_minor: i64,
    pub expires_at: Option<OffsetDateTime>,
    /// When to ask the provider how it stands, should it not have told us.
    pub poll_at: Option<OffsetDateTime>,
}

/// A payment of ours, held until the transaction is over.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) currency: String,
    pub(super) amount_minor: i64,
    pub(super) derived: Derived,
    pub(super) version: i64,
}

/// Writes a payment down. Do this before the provider is told of it, so that its webhooks find the row; what came
/// before it all the same is found by [`claim`](super::claim()).
pub async fn create(
    client: &impl GenericClient,
    new: &NewPayment<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    execute(
        client,
        "INSERT INTO payments
             (id, user_id, provider, account, currency, amount_minor, expires_at, poll_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        &[
            (&new.id, Type::UUID),
            (&new.user_id, Type::UUID),
            (&new.source.provider, Type::TEXT),
            (&new.source.account, Type::TEXT),
            (&new.currency, Type::TEXT),
            (&new.amount_minor, Type::INT8),
            (&new.expires_at, Type::TIMESTAMPTZ),
            (&new.poll_at, Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// The payment named, if one is and it is one of this provider and account; held from here on. Whoever changes a payment
/// holds it, and reads its objects only then: they are all there to be read.
pub(super) async fn hold_if(
    client: &impl GenericClient,
    source: &Source<'_>,
    id: Option<Uuid>,
) -> Result<Option<Payment>, DbError> {
    let Some(id) = id else { return Ok(None) };
    let row = query_opt(
        client,
        "SELECT id, user_id, currency, amount_minor, state, received_minor, refunded_minor, late, manually_marked,
                entitled, version
         FROM payments
         WHERE id = $1 AND provider = $2 AND account = $3
         FOR UPDATE",
        &[(&id, Type::UUID), (&source.provider, Type::TEXT), (&source.account, Type::TEXT)],
    )
    .await?;
    Ok(row.as_ref().map(Payment::from))
}

/// Writes down what a payment has become. Its end of waiting comes with it: what is settled is not asked about again,
/// unless a hand did it, which may take it back.
pub(super) async fn update(
    client: &impl GenericClient,
    payment: &Payment,
    derived: &Derived,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    execute(
        client,
        "UPDATE payments
         SET state = $2, received_minor = $3, refunded_minor = $4, late = $5, manually_marked = $6, entitled = $7,
             version = version + 1, poll_at = CASE WHEN $8 THEN NULL ELSE poll_at END, updated_at = $9
         WHERE id = $1",
        &[
            (&payment.id, Type::UUID),
            (&derived.state.name(), Type::TEXT),
            (&derived.received_minor, Type::INT8),
            (&derived.refunded_minor, Type::INT8),
            (&derived.late, Type::BOOL),
            (&derived.manually_marked, Type::BOOL),
            (&derived.entitled, Type::BOOL),
            (&(derived.state.is_settled() && !derived.manually_marked), Type::BOOL),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

impl From<&Row> for Payment {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            user_id: row.get("user_id"),
            currency: row.get("currency"),
            amount_minor: row.get("amount_minor"),
            derived: Derived {
                // The column holds nothing else.
                state: PaymentState::parse(row.get("state")).unwrap_or(PaymentState::Created),
                received_minor: row.get("received_minor"),
                refunded_minor: row.get("refunded_minor"),
                late: row.get("late"),
                manually_marked: row.get("manually_marked"),
                entitled: row.get("entitled"),
            },
            version: row.get("version"),
        }
    }
}
