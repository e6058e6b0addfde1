//! Payouts: what Stripe sends to the bank, and what of it came back.
//!
//! A payout that was paid may fail days later; then the money is in the account again.

use time::OffsetDateTime;

use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::payment::{self, Heard, Movement, MovementKind, Source, Standing};
use crate::random::Random;
use crate::stripe;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    status: String,
    amount_minor: i64,
    currency: String,
    arrival_at: Option<OffsetDateTime>,
    failure_code: Option<String>,
}

/// Takes in what Stripe says a payout is. Safe to repeat and in any order; the transaction holds its id.
pub async fn observe(
    client: &impl GenericClient,
    random: &Random,
    source: &Source<'_>,
    (payout, seen_at): (&stripe::Payout, OffsetDateTime),
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let word = Heard::new(content(payout), Standing::new(order(&payout.status), seen_at));
    let before = read(client, source, &payout.id).await?;
    let after = Heard::after(before.clone(), word);
    if before.as_ref() != Some(&after) {
        write(client, source, &payout.id, &after, now).await?;
    }
    payment::record_movements(client, random, source, &movements(payout), now).await
}

/// Finality and rank.
fn order(status: &str) -> (i16, i16) {
    match status {
        "pending" => (0, 0),
        "in_transit" => (0, 1),
        "canceled" => (1, 0),
        "paid" => (2, 0),
        "failed" => (3, 0),
        _ => (0, -1),
    }
}

fn content(payout: &stripe::Payout) -> Content {
    Content {
        status: payout.status.clone(),
        amount_minor: payout.amount,
        currency: payout.currency.clone(),
        arrival_at: payout.arrival_at,
        failure_code: payout.failure_code.clone(),
    }
}

/// The money leaves the account when the payout is made.
fn movements(payout: &stripe::Payout) -> Vec<Movement> {
    let movement = |kind, amount_minor| Movement {
        kind,
        source_object: payout.id.clone(),
        object_id: payout.id.clone(),
        amount_minor,
        currency: payout.currency.clone(),
        occurred_at: payout.created_at,
    };
    let left = movement(MovementKind::Payout, -payout.amount);
    let came_back = matches!(payout.status.as_str(), "canceled" | "failed")
        .then(|| movement(MovementKind::PayoutReversed, payout.amount));
    std::iter::once(left).chain(came_back).collect()
}

async fn read(
    client: &impl GenericClient,
    source: &Source<'_>,
    payout_id: &str,
) -> Result<Option<Heard<Content>>, DbError> {
    let row = query_opt(
        client,
        "SELECT status, amount_minor, currency, arrival_at, failure_code, finality, seen_at, rank, refetch_at
         FROM payouts
         WHERE provider = $1 AND account = $2 AND payout_id = $3",
        &[(&source.provider, Type::TEXT), (&source.account, Type::TEXT), (&payout_id, Type::TEXT)],
    )
    .await?;
    Ok(row.map(|row| {
        Heard::of_row(
            &row,
            Content {
                status: row.get("status"),
                amount_minor: row.get("amount_minor"),
                currency: row.get("currency"),
                arrival_at: row.get("arrival_at"),
                failure_code: row.get("failure_code"),
            },
        )
    }))
}

async fn write(
    client: &impl GenericClient,
    source: &Source<'_>,
    payout_id: &str,
    heard: &Heard<Content>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let (content, standing) = (&heard.content, &heard.standing);
    execute(
        client,
        "INSERT INTO payouts
             (provider, account, payout_id, status, amount_minor, currency, arrival_at, failure_code, finality, seen_at,
              rank, refetch_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
         ON CONFLICT ON CONSTRAINT payouts_pkey DO UPDATE SET
             status = excluded.status, amount_minor = excluded.amount_minor, currency = excluded.currency,
             arrival_at = excluded.arrival_at, failure_code = excluded.failure_code, finality = excluded.finality,
             seen_at = excluded.seen_at, rank = excluded.rank, refetch_at = excluded.refetch_at,
             updated_at = excluded.updated_at",
        &[
            (&source.provider, Type::TEXT),
            (&source.account, Type::TEXT),
            (&payout_id, Type::TEXT),
            (&content.status, Type::TEXT),
            (&content.amount_minor, Type::INT8),
            (&content.currency, Type::TEXT),
            (&content.arrival_at, Type::TIMESTAMPTZ),
            (&content.failure_code, Type::TEXT),
            (&standing.finality, Type::INT2),
            (&standing.seen_at, Type::TIMESTAMPTZ),
            (&standing.rank, Type::INT2),
            (&heard.disputed.then_some(now), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}
