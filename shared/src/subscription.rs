//! Subscriptions: whether what is paid for again and again is the payer's to have.
//!
//! A subscription is ours by the payment it was bought with: it carries that payment's id, or the checkout session does
//! that made it. Until one of them is known it is kept as nobody's.

use futures_util::future::try_join;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Row, Type, execute, query, query_opt};
use crate::outbox::{self, Message};
use crate::payment::{self, Heard, Source, Standing};
use crate::random::Random;
use crate::stripe;

/// How many one run looks at.
const CLAIMED_AT_ONCE: i64 = 500;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    status: String,
    customer: Option<String>,
    cancel_at_period_end: bool,
    current_period_end_at: Option<OffsetDateTime>,
}

/// What is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    heard: Heard<Content>,
    reference: Option<Uuid>,
    owner: Option<Owner>,
    entitled: bool,
    version: i64,
}

/// The payment it was bought with, and whose that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    payment_id: Uuid,
    user_id: Uuid,
}

/// Takes in what Stripe says a subscription is. Safe to repeat and in any order; the transaction holds its id.
pub async fn observe(
    client: &impl GenericClient,
    random: &Random,
    source: &Source<'_>,
    (subscription, seen_at): (&stripe::Subscription, OffsetDateTime),
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let id = subscription.id.as_str();
    let word = Heard::new(
        Content {
            status: subscription.status.clone(),
            customer: subscription.customer.clone(),
            cancel_at_period_end: subscription.cancel_at_period_end,
            current_period_end_at: subscription.current_period_end_at,
        },
        Standing::new(order(&subscription.status), seen_at),
    );
    let before = read(client, source, id).await?;
    let reference = before.as_ref().and_then(|before| before.reference).max(subscription.reference);
    let heard = Heard::after(before.as_ref().map(|before| before.heard.clone()), word);
    keep(client, random, source, id, before, (heard, reference), now).await
}

/// Finds the owner of a subscription that came before the checkout session that made it, or before our own payment.
/// The transaction holds its id.
pub async fn claim(
    client: &impl GenericClient,
    random: &Random,
    source: &Source<'_>,
    id: &str,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let Some(before) = read(client, source, id).await? else { return Ok(()) };
    let (heard, reference) = (before.heard.clone(), before.reference);
    keep(client, random, source, id, Some(before), (heard, reference), now).await
}

/// Subscriptions that are nobody's and whose payment is on record by now, with their accounts.
pub async fn unclaimed(
    client: &impl GenericClient,
    now: OffsetDateTime,
) -> Result<Vec<(String, String)>, DbError> {
    let rows = query(
        client,
        "SELECT s.account, s.subscription_id
         FROM subscriptions s
         WHERE s.payment_id IS NULL AND s.created_at > $2
           AND (EXISTS (SELECT 1 FROM payments p
                        WHERE p.id = s.reference AND p.provider = s.provider AND p.account = s.account)
                OR EXISTS (SELECT 1 FROM payment_objects o
                           WHERE o.root_id = s.subscription_id AND o.provider = s.provider AND o.account = s.account
                             AND o.kind = 'checkout_session' AND o.payment_id IS NOT NULL))
         ORDER BY s.created_at DESC
         LIMIT $1",
        &[(&CLAIMED_AT_ONCE, Type::INT8), (&(now - payment::CLAIMED_FOR), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(rows.iter().map(|row| (row.get("account"), row.get("subscription_id"))).collect())
}

/// Finality and rank. Of two statuses of one second neither is further along, but for the very first: Stripe is asked.
fn order(status: &str) -> (i16, i16) {
    match status {
        "incomplete" => (0, 0),
        "trialing" | "active" | "past_due" | "unpaid" | "paused" => (0, 1),
        "incomplete_expired" => (1, 0),
        "canceled" => (2, 0),
        _ => (0, -1),
    }
}

/// One that is behind stays the buyer's for as long as whoever sells it waits: the status says that it is.
fn entitles(status: &str) -> bool {
    matches!(status, "trialing" | "active" | "past_due")
}

/// Writes down what is known by now, and tells of it if that changes what the payer may have.
async fn keep(
    client: &impl GenericClient,
    random: &Random,
    source: &Source<'_>,
    id: &str,
    before: Option<Kept>,
    (heard, reference): (Heard<Content>, Option<Uuid>),
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let owner = match before.as_ref().and_then(|before| before.owner) {
        Some(owner) => Some(owner),
        None => find_owner(client, source, id, reference).await?,
    };
    let entitled = owner.is_some() && entitles(&heard.content.status);
    let version = before.as_ref().map_or(0, |before| before.version) + 1;
    let after = Kept { heard, reference, owner, entitled, version };
    let told = before.as_ref().is_some_and(|before| before.entitled);
    if before.is_some_and(|before| Kept { version, ..before } == after) {
        return Ok(());
    }
    let writing = write(client, source, id, &after, now);
    let (true, Some(owner)) = (entitled != told, owner) else { return writing.await };
    let content = &after.heard.content;
    let message = Message {
        topic: if entitled { "entitlement.granted" } else { "entitlement.revoked" },
        key: id,
        version,
        payload: json!({
            "subscription_id": id,
            "payment_id": owner.payment_id,
            "user_id": owner.user_id,
            "status": content.status,
            "current_period_end_at": content.current_period_end_at.map(OffsetDateTime::unix_timestamp),
        }),
    };
    try_join(writing, outbox::put(client, random.id(now), &message, now)).await?;
    Ok(())
}

/// The payment it names, or that its checkout session belongs to.
async fn find_owner(
    client: &impl GenericClient,
    source: &Source<'_>,
    id: &str,
    reference: Option<Uuid>,
) -> Result<Option<Owner>, DbError> {
    let row = query_opt(
        client,
        "SELECT id, user_id FROM payments
         WHERE provider = $1 AND account = $2
           AND id IN ($4, (SELECT o.payment_id FROM payment_objects o
                           WHERE o.provider = $1 AND o.account = $2 AND o.root_id = $3 AND o.kind = 'checkout_session'
                             AND o.payment_id IS NOT NULL
                           LIMIT 1))
         ORDER BY id = $4 DESC
         LIMIT 1",
        &[
            (&source.provider, Type::TEXT),
            (&source.account, Type::TEXT),
            (&id, Type::TEXT),
            (&reference, Type::UUID),
        ],
    )
    .await?;
    Ok(row.map(|row| Owner { payment_id: row.get("id"), user_id: row.get("user_id") }))
}

async fn read(client: &impl GenericClient, source: &Source<'_>, id: &str) -> Result<Option<Kept>, DbError> {
    let row = query_opt(
        client,
        "SELECT reference, payment_id, user_id, customer, status, cancel_at_period_end, current_period_end_at, entitled,
                version, finality, seen_at, rank, refetch_at
         FROM subscriptions
         WHERE provider = $1 AND account = $2 AND subscription_id = $3",
        &[(&source.provider, Type::TEXT), (&source.account, Type::TEXT), (&id, Type::TEXT)],
    )
    .await?;
    Ok(row.as_ref().map(Kept::from))
}

impl From<&Row> for Kept {
    fn from(row: &Row) -> Self {
        let owner: (Option<Uuid>, Option<Uuid>) = (row.get("payment_id"), row.get("user_id"));
        Self {
            heard: Heard::of_row(
                row,
                Content {
                    status: row.get("status"),
                    customer: row.get("customer"),
                    cancel_at_period_end: row.get("cancel_at_period_end"),
                    current_period_end_at: row.get("current_period_end_at"),
                },
            ),
            reference: row.get("reference"),
            owner: owner.0.zip(owner.1).map(|(payment_id, user_id)| Owner { payment_id, user_id }),
            entitled: row.get("entitled"),
            version: row.get("version"),
        }
    }
}

async fn write(
    client: &impl GenericClient,
    source: &Source<'_>,
    id: &str,
    kept: &Kept,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let (content, standing) = (&kept.heard.content, &kept.heard.standing);
    execute(
        client,
        "INSERT INTO subscriptions
             (provider, account, subscription_id, reference, payment_id, user_id, customer, status, cancel_at_period_end,
              current_period_end_at, entitled, version, finality, seen_at, rank, refetch_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)
         ON CONFLICT ON CONSTRAINT subscriptions_pkey DO UPDATE SET
             reference = excluded.reference, payment_id = excluded.payment_id, user_id = excluded.user_id,
             customer = excluded.customer, status = excluded.status,
             cancel_at_period_end = excluded.cancel_at_period_end,
             current_period_end_at = excluded.current_period_end_at, entitled = excluded.entitled,
             version = excluded.version, finality = excluded.finality, seen_at = excluded.seen_at,
             rank = excluded.rank, refetch_at = excluded.refetch_at, updated_at = excluded.updated_at",
        &[
            (&source.provider, Type::TEXT),
            (&source.account, Type::TEXT),
            (&id, Type::TEXT),
            (&kept.reference, Type::UUID),
            (&kept.owner.map(|owner| owner.payment_id), Type::UUID),
            (&kept.owner.map(|owner| owner.user_id), Type::UUID),
            (&content.customer, Type::TEXT),
            (&content.status, Type::TEXT),
            (&content.cancel_at_period_end, Type::BOOL),
            (&content.current_period_end_at, Type::TIMESTAMPTZ),
            (&kept.entitled, Type::BOOL),
            (&kept.version, Type::INT8),
            (&standing.finality, Type::INT2),
            (&standing.seen_at, Type::TIMESTAMPTZ),
            (&standing.rank, Type::INT2),
            (&kept.heard.disputed.then_some(now), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}
