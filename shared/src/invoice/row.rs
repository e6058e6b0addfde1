use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Order;
use crate::db::{DbError, GenericClient, Row, Type, execute, query_one, query_opt};
use crate::idempotency::{IdempotencyError, KEPT_FOR};
use crate::payment::btcpay::BITCOIN;
use crate::payment::{self, NewPayment, Source};

/// Longer than a request may take, so that its lease outlives it.
pub const LEASE: Duration = Duration::from_secs(30);

/// When BTCPay is asked what became of an invoice, should it not have told by then.
const POLLED_AFTER: Duration = Duration::from_mins(5);

/// The caller's own name for a request.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub key: &'a str,
    /// A digest of what is asked; the same key for something else is a mistake.
    pub fingerprint: [u8; 32],
}

/// An invoice that may be shown: checked, and payable until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    pub id: Uuid,
    pub bolt11: String,
    pub payment_hash: [u8; 32],
    pub amount_msat: u64,
    pub expires_at: OffsetDateTime,
}

/// An invoice on record that is ours to make, until the lease is over.
#[derive(Debug)]
pub struct Claimed {
    pub id: Uuid,
    pub store: String,
    pub order: Order,
    /// A request from before may have made it already.
    pub earlier: bool,
    lease_token: i64,
}

#[derive(Debug)]
pub enum Begun {
    Ours(Claimed),
    /// By an earlier request with the same key.
    Made(Invoice),
}

/// Why there is nothing to make.
#[derive(Debug)]
pub enum BeginError {
    /// The account has no store to make it on.
    NoStore,
    Idempotency(IdempotencyError),
    Db(DbError),
}

impl From<DbError> for BeginError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl From<IdempotencyError> for BeginError {
    fn from(error: IdempotencyError) -> Self {
        Self::Idempotency(error)
    }
}

/// Why an invoice that was made does not count.
#[derive(Debug)]
pub enum FinishError {
    /// Another request holds the row by now.
    LeaseLost,
    /// The hash, or the invoice, is on record as another's.
    NotItsOwn,
    Db(DbError),
}

impl From<DbError> for FinishError {
    fn from(error: DbError) -> Self {
        match error.constraint() {
            Some("invoices_payment_hash_key" | "invoices_btcpay_invoice_id_key") => Self::NotItsOwn,
            _ => Self::Db(error),
        }
    }
}

/// Writes down what is to be made, before anybody is called; or finds what an earlier request with the key wrote down,
/// and takes it up if nobody is at it. The transaction acts for the user.
pub async fn begin(
    client: &impl GenericClient,
    (id, user_id): (Uuid, Uuid),
    order: &Order,
    key: Option<Key<'_>>,
    now: OffsetDateTime,
) -> Result<Begun, BeginError> {
    let store = query_opt(
        client,
        "SELECT btcpay_store_id FROM lightning_addresses WHERE user_id = $1",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    let store: String = store.ok_or(BeginError::NoStore)?.get("btcpay_store_id");
    if let Some(key) = key {
        forget_what_is_over(client, user_id, key, now).await?;
    }
    let inserted = execute(
        client,
        "INSERT INTO invoices
             (id, user_id, btcpay_store_id, amount_msat, memo, expiry_seconds, state, idempotency_key, fingerprint,
              leased_until, lease_token, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'creating', $7, $8, $9, 1, $10, $10)
         ON CONFLICT ON CONSTRAINT invoices_user_id_idempotency_key_key DO NOTHING",
        &[
            (&id, Type::UUID),
            (&user_id, Type::UUID),
            (&store, Type::TEXT),
            (&i64::try_from(order.amount_msat).unwrap_or(i64::MAX), Type::INT8),
            (&order.memo, Type::TEXT),
            (&i32::try_from(order.expiry_seconds()).unwrap_or(i32::MAX), Type::INT4),
            (&key.map(|key| key.key), Type::TEXT),
            (&key.as_ref().map(|key| key.fingerprint.as_slice()), Type::BYTEA),
            (&(now + LEASE), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await
    .map_err(IdempotencyError::from)?;
    match key {
        Some(key) if inserted == 0 => take_up(client, user_id, order, key, now).await,
        _ => {
            payment::create(client, &payment_of((id, user_id), &store, order, now), now).await?;
            Ok(Begun::Ours(Claimed { id, store, order: order.clone(), earlier: false, lease_token: 1 }))
        }
    }
}

/// The payment an invoice is for: on record before BTCPay can tell anything of it.
fn payment_of<'a>(
    (id, user_id): (Uuid, Uuid),
    store: &'a str,
    order: &Order,
    now: OffsetDateTime,
) -> NewPayment<'a> {
    let expires_at = now + LEASE + Duration::from_secs(order.expiry_seconds().into());
    NewPayment {
        id,
        user_id,
        source: Source { provider: "btcpay", account: store },
        currency: BITCOIN,
        amount_minor: i64::try_from(order.amount_msat).unwrap_or(i64::MAX),
        expires_at: Some(expires_at),
        poll_at: Some(now + POLLED_AFTER),
    }
}

/// A key names its invoice for as long as answers are kept; one that was never finished, for as long as it could be
/// paid. From then on the key is free.
async fn forget_what_is_over(
    client: &impl GenericClient,
    user_id: Uuid,
    key: Key<'_>,
    now: OffsetDateTime,
) -> Result<(), BeginError> {
    execute(
        client,
        "UPDATE invoices SET idempotency_key = NULL, fingerprint = NULL, updated_at = $3
         WHERE user_id = $1 AND idempotency_key = $2 AND leased_until <= $3
           AND (created_at <= $4
                OR (bolt11 IS NULL AND created_at + expiry_seconds * interval '1 second' <= $3))",
        &[
            (&user_id, Type::UUID),
            (&key.key, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&(now - KEPT_FOR), Type::TIMESTAMPTZ),
        ],
    )
    .await
    .map_err(IdempotencyError::from)?;
    Ok(())
}

async fn take_up(
    client: &impl GenericClient,
    user_id: Uuid,
    order: &Order,
    key: Key<'_>,
    now: OffsetDateTime,
) -> Result<Begun, BeginError> {
    let row = query_one(
        client,
        "SELECT id, btcpay_store_id, amount_msat, fingerprint, bolt11, payment_hash, expires_at, leased_until
         FROM invoices
         WHERE user_id = $1 AND idempotency_key = $2
         FOR UPDATE",
        &[(&user_id, Type::UUID), (&key.key, Type::TEXT)],
    )
    .await
    .map_err(IdempotencyError::from)?;
    if row.get::<_, &[u8]>("fingerprint") != key.fingerprint {
        return Err(IdempotencyError::OtherRequest.into());
    }
    if row.get::<_, Option<&str>>("bolt11").is_some() {
        return Ok(Begun::Made(Invoice::from(&row)));
    }
    if row.get::<_, OffsetDateTime>("leased_until") > now {
        return Err(IdempotencyError::InProgress.into());
    }
    let id: Uuid = row.get("id");
    let leased = query_one(
        client,
        "UPDATE invoices SET lease_token = lease_token + 1, leased_until = $2, updated_at = $3 WHERE id = $1
         RETURNING lease_token",
        &[(&id, Type::UUID), (&(now + LEASE), Type::TIMESTAMPTZ), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    // The same fingerprint: the order on record is the one asked for now.
    Ok(Begun::Ours(Claimed {
        id,
        store: row.get("btcpay_store_id"),
        order: order.clone(),
        earlier: true,
        lease_token: leased.get("lease_token"),
    }))
}

/// Writes down what was made. From here the key gets this invoice.
pub async fn finish(
    client: &impl GenericClient,
    claimed: &Claimed,
    (btcpay_invoice_id, invoice): (&str, &Invoice),
    now: OffsetDateTime,
) -> Result<(), FinishError> {
    let finished = execute(
        client,
        "UPDATE invoices
         SET state = 'open', btcpay_invoice_id = $3, bolt11 = $4, payment_hash = $5, expires_at = $6,
             leased_until = $7, updated_at = $7
         WHERE id = $1 AND lease_token = $2",
        &[
            (&claimed.id, Type::UUID),
            (&claimed.lease_token, Type::INT8),
            (&btcpay_invoice_id, Type::TEXT),
            (&invoice.bolt11, Type::TEXT),
            (&invoice.payment_hash.as_slice(), Type::BYTEA),
            (&invoice.expires_at, Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    if finished == 1 { Ok(()) } else { Err(FinishError::LeaseLost) }
}

/// What becomes of a row whose invoice was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// A repeat looks for it and goes on.
    Unfinished,
    /// What the provider showed is not what was asked for.
    Refused,
}

/// Lets go of the row, so that a repeat need not wait for the lease to end. One that another holds stays theirs.
pub async fn leave(
    client: &impl GenericClient,
    claimed: &Claimed,
    left: Left,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let state = match left {
        Left::Unfinished => "creating",
        Left::Refused => "refused",
    };
    execute(
        client,
        "UPDATE invoices SET state = $3, leased_until = $4, updated_at = $4 WHERE id = $1 AND lease_token = $2",
        &[
            (&claimed.id, Type::UUID),
            (&claimed.lease_token, Type::INT8),
            (&state, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

impl From<&Row> for Invoice {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            bolt11: row.get("bolt11"),
            // Its length is a constraint of the column.
            payment_hash: row.get::<_, &[u8]>("payment_hash").try_into().unwrap_or_default(),
            amount_msat: u64::try_from(row.get::<_, i64>("amount_msat")).unwrap_or_default(),
            expires_at: row.get("expires_at"),
        }
    }
}
