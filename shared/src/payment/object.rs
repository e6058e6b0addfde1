//! The newest word about each object a payment may rest on.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Movement, ObjectState, Source, Standing};
use crate::crypto::sha256;
use crate::db::{DbError, GenericClient, Row, Type, execute, query};

/// What a payment may rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    BtcpayInvoice,
    CheckoutSession,
    PaymentIntent,
    Charge,
    Refund,
    Dispute,
    /// Stripe's bill for a period of a subscription.
    Invoice,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::BtcpayInvoice,
        Self::CheckoutSession,
        Self::PaymentIntent,
        Self::Charge,
        Self::Refund,
        Self::Dispute,
        Self::Invoice,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::BtcpayInvoice => "btcpay_invoice",
            Self::CheckoutSession => "checkout_session",
            Self::PaymentIntent => "payment_intent",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::Invoice => "invoice",
        }
    }
}

/// One word about an object: what a provider said it was at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub kind: Kind,
    pub object_id: String,
    /// What belongs together: the id of the payment intent, else of the charge, else its own.
    pub root_id: String,
    /// Our payment, as the provider carries it.
    pub reference: Option<Uuid>,
    pub status: String,
    pub standing: Standing,
    pub amount_minor: i64,
    /// What is to be paid, however much of it was, where somebody else than us may have written the reference. It is
    /// believed for no less than our own amount.
    pub asked_minor: Option<i64>,
    pub refunded_minor: i64,
    /// In small letters; `None` when the object does not say.
    pub currency: Option<String>,
    /// It has expired, now or before it was paid.
    pub was_expired: bool,
    /// What this object, as it is now, has moved.
    pub movements: Vec<Movement>,
}

/// What is on record of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) state: ObjectState,
    pub(super) reference: Option<Uuid>,
    pub(super) payment_id: Option<Uuid>,
    pub(super) asked_minor: Option<i64>,
    pub(super) standing: Standing,
    /// Two words stand alike and differ: the provider is to be asked.
    pub(super) disputed: bool,
}

impl Kept {
    /// What is on record once `word` was heard. The same words in any order, and each any number of times, end in the
    /// same record.
    pub(super) fn hear(before: Option<&Self>, word: &Snapshot) -> Self {
        let heard = Self::first(word);
        let Some(before) = before else { return heard };
        let (mut kept, other) =
            if heard.standing > before.standing { (heard, before) } else { (before.clone(), &heard) };
        if other.standing == kept.standing {
            let (mine, others) = (&mut kept.state, &other.state);
            kept.disputed = before.disputed
                || (mine.amount_minor, mine.refunded_minor) != (others.amount_minor, others.refunded_minor);
            // Any of the two, and the same one in either order.
            mine.status = mine.status.clone().max(others.status.clone());
            mine.amount_minor = mine.amount_minor.max(others.amount_minor);
            mine.refunded_minor = mine.refunded_minor.max(others.refunded_minor);
        }
        // What is known once stays known, whichever word brought it.
        kept.state.was_expired |= other.state.was_expired;
        kept.state.root_id = nearer_root(&word.object_id, &kept.state.root_id, &other.state.root_id);
        kept.reference = kept.reference.max(other.reference);
        // Where one word names us in a way that is ours alone, that holds.
        kept.asked_minor = kept.asked_minor.and_then(|one| other.asked_minor.map(|other| one.max(other)));
        kept.state.currency = kept.state.currency.max(other.state.currency.clone());
        kept.payment_id = before.payment_id;
        kept
    }

    fn first(word: &Snapshot) -> Self {
        Self {
            state: ObjectState {
                kind: word.kind,
                object_id: word.object_id.clone(),
                root_id: word.root_id.clone(),
                status: word.status.clone(),
                amount_minor: word.amount_minor,
                refunded_minor: word.refunded_minor,
                currency: word.currency.clone(),
                was_expired: word.was_expired,
                seen_at: word.standing.seen_at,
            },
            reference: word.reference,
            payment_id: None,
            asked_minor: word.asked_minor,
            standing: word.standing,
            disputed: false,
        }
    }
}

/// Of two names for what an object belongs to: its intent rather than its charge, and either rather than itself.
fn nearer_root(own: &str, one: &str, other: &str) -> String {
    fn nearness<'a>(own: &str, root: &'a str) -> (bool, bool, &'a str) {
        (root != own, root.starts_with("pi_"), root)
    }
    if nearness(own, one) >= nearness(own, other) { one.to_owned() } else { other.to_owned() }
}

/// Waits until nobody else works on any of these, and keeps them until the transaction is over. Whatever one word
/// touches is locked at once and in one order, so that two of them never wait for each other.
pub(crate) async fn lock(
    client: &impl GenericClient,
    source: &Source<'_>,
    names: impl IntoIterator<Item = &str>,
) -> Result<(), DbError> {
    let mut keys: Vec<i64> = names.into_iter().map(|name| key(source, name)).collect();
    keys.sort_unstable();
    keys.dedup();
    execute(
        client,
        "SELECT pg_advisory_xact_lock(key) FROM unnest($1) AS keys (key)",
        &[(&keys, Type::INT8_ARRAY)],
    )
    .await?;
    Ok(())
}

fn key(source: &Source<'_>, name: &str) -> i64 {
    let digest = sha256(format!("{}\n{}\n{name}", source.provider, source.account).as_bytes());
    i64::from_be_bytes(std::array::from_fn(|place| digest[place]))
}

/// What is on record of these objects and of whatever belongs together with them.
pub(super) async fn known(
    client: &impl GenericClient,
    source: &Source<'_>,
    names: &[&str],
) -> Result<Vec<Kept>, DbError> {
    let rows = query(
        client,
        "SELECT kind, object_id, root_id, reference, payment_id, status, amount_minor, asked_minor,
                refunded_minor, currency, was_expired, finality, seen_at, rank, refetch_at
         FROM payment_objects
         WHERE provider = $1 AND account = $2 AND (object_id = ANY($3) OR root_id = ANY($3))",
        &[(&source.provider, Type::TEXT), (&source.account, Type::TEXT), (&names, Type::TEXT_ARRAY)],
    )
    .await?;
    Ok(rows.iter().filter_map(read).collect())
}

/// What a payment rests on; without a payment nothing.
pub(super) async fn of_payment(
    client: &impl GenericClient,
    payment_id: Option<Uuid>,
) -> Result<Vec<ObjectState>, DbError> {
    let Some(payment_id) = payment_id else { return Ok(Vec::new()) };
    let rows = query(
        client,
        "SELECT kind, object_id, root_id, reference, payment_id, status, amount_minor, asked_minor,
                refunded_minor, currency, was_expired, finality, seen_at, rank, refetch_at
         FROM payment_objects
         WHERE payment_id = $1",
        &[(&payment_id, Type::UUID)],
    )
    .await?;
    Ok(rows.iter().filter_map(read).map(|kept| kept.state).collect())
}

/// A row of a kind this build does not know is a later build's.
fn read(row: &Row) -> Option<Kept> {
    let kind: &str = row.get("kind");
    let seen_at = row.get("seen_at");
    Some(Kept {
        state: ObjectState {
            kind: Kind::ALL.into_iter().find(|known| known.name() == kind)?,
            object_id: row.get("object_id"),
            root_id: row.get("root_id"),
            status: row.get("status"),
            amount_minor: row.get("amount_minor"),
            refunded_minor: row.get("refunded_minor"),
            currency: row.get("currency"),
            was_expired: row.get("was_expired"),
            seen_at,
        },
        reference: row.get("reference"),
        payment_id: row.get("payment_id"),
        asked_minor: row.get("asked_minor"),
        standing: Standing { finality: row.get("finality"), seen_at, rank: row.get("rank") },
        disputed: row.get::<_, Option<OffsetDateTime>>("refetch_at").is_some(),
    })
}

/// Puts an object on record as it is now. Whoever calls holds its lock.
pub(super) async fn write(
    client: &impl GenericClient,
    source: &Source<'_>,
    kept: &Kept,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let state = &kept.state;
    execute(
        client,
        "INSERT INTO payment_objects AS o
             (provider, account, object_id, kind, root_id, reference, payment_id, status, amount_minor, asked_minor,
              refunded_minor, currency, was_expired, finality, seen_at, rank, refetch_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)
         ON CONFLICT ON CONSTRAINT payment_objects_pkey DO UPDATE SET
             root_id = excluded.root_id, reference = excluded.reference,
             payment_id = COALESCE(o.payment_id, excluded.payment_id),
             status = excluded.status, amount_minor = excluded.amount_minor,
             asked_minor = excluded.asked_minor, refunded_minor = excluded.refunded_minor,
             currency = excluded.currency, was_expired = excluded.was_expired, finality = excluded.finality,
             seen_at = excluded.seen_at, rank = excluded.rank,
             refetch_at = CASE WHEN excluded.refetch_at IS NOT NULL THEN COALESCE(o.refetch_at, excluded.refetch_at) END,
             updated_at = excluded.updated_at",
        &[
            (&source.provider, Type::TEXT),
            (&source.account, Type::TEXT),
            (&state.object_id, Type::TEXT),
            (&state.kind.name(), Type::TEXT),
            (&state.root_id, Type::TEXT),
            (&kept.reference, Type::UUID),
            (&kept.payment_id, Type::UUID),
            (&state.status, Type::TEXT),
            (&state.amount_minor, Type::INT8),
            (&kept.asked_minor, Type::INT8),
            (&state.refunded_minor, Type::INT8),
            (&state.currency, Type::TEXT),
            (&state.was_expired, Type::BOOL),
            (&kept.standing.finality, Type::INT2),
            (&kept.standing.seen_at, Type::TIMESTAMPTZ),
            (&kept.standing.rank, Type::INT2),
            (&kept.disputed.then_some(now), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Gives objects that belong together one root, and their payment if it is known.
pub(super) async fn bring_along(
    client: &impl GenericClient,
    source: &Source<'_>,
    object_ids: &[&str],
    (root_id, payment_id): (&str, Option<Uuid>),
    now: OffsetDateTime,
) -> Result<(), DbError> {
    if object_ids.is_empty() {
        return Ok(());
    }
    execute(
        client,
        "UPDATE payment_objects
         SET root_id = $4, payment_id = COALESCE(payment_id, $5), updated_at = $6
         WHERE provider = $1 AND account = $2 AND object_id = ANY($3)",
        &[
            (&source.provider, Type::TEXT),
            (&source.account, Type::TEXT),
            (&object_ids, Type::TEXT_ARRAY),
            (&root_id, Type::TEXT),
            (&payment_id, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
