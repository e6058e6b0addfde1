use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use super::Tally;
use crate::connected_account;
use crate::db::{self, DbError, GenericClient, Type, execute, query};
use crate::log;
use crate::stripe::{self as provider, EVENT_TYPES, Stripe};
use crate::upstream::{Provider, UpstreamError, code};
use crate::webhook::inbox::Recorded;
use crate::webhook::processor::{ProcessError, Processor, asked_at};
use crate::webhook::stripe::{Delivery, plan, take_in as take_in_delivery};

/// How long Stripe keeps its events.
const STRIPE_KEEPS: Duration = Duration::days(30);
/// An event may show in the list a while after its time.
const OVERLAP: Duration = Duration::minutes(15);
/// What is gone through before the cursor moves.
const WINDOW: Duration = Duration::hours(6);

/// Goes through Stripe's events since the last time, account by account, until `until`.
pub async fn stripe(processor: &Processor, until: Instant) -> Result<Tally, ProcessError> {
    let mut tally = Tally::default();
    let Some(client) = processor.stripe.as_ref().map(|stripe| stripe.until(until)) else { return Ok(tally) };
    let accounts = {
        let connection = processor.db.connection_for_job().await?;
        accounts(connection.client()).await?
    };
    for (account, reached_at) in accounts {
        let oldest = processor.clock.now() - STRIPE_KEEPS + OVERLAP;
        let mut from = reached_at.map_or(oldest, |reached_at| reached_at.max(oldest));
        loop {
            let now = processor.clock.now();
            let to = (from + WINDOW).min(now);
            let gone_through = window(processor, &client, &account, (from - OVERLAP, to), &mut tally).await?;
            if let Err(error) = &gone_through {
                tracing::warn!(target: "webhook", account, %error, "Stripe's events could not be gone through");
                if error.code == code::STRIPE_ACCOUNT_REFUSED {
                    // Whoever owns the account took it from us, and that is no failure.
                    taken_from_us(processor, &account).await?;
                } else {
                    tally.failed += u64::from(Instant::now() < until);
                }
                break;
            }
            if gone_through.is_ok_and(|whole| !whole) {
                // The cursor waits for what could not be taken in.
                break;
            }
            let connection = processor.db.connection_for_job().await?;
            move_cursor(connection.client(), &account, to, now).await?;
            if to >= now || Instant::now() >= until {
                break;
            }
            from = to;
        }
        if Instant::now() >= until {
            break;
        }
    }
    Ok(tally)
}

/// Our own account, and every other that is connected or has payments of ours; with where its cursor stands.
async fn accounts(client: &impl GenericClient) -> Result<Vec<(String, Option<OffsetDateTime>)>, DbError> {
    let rows = query(
        client,
        "SELECT a.account, c.reached_at
         FROM (SELECT '' AS account
               UNION SELECT account FROM connected_accounts
               UNION SELECT account FROM payments WHERE provider = 'stripe') a
         LEFT JOIN reconcile_cursors c ON c.provider = 'stripe' AND c.account = a.account
         WHERE NOT EXISTS (SELECT 1 FROM connected_accounts d
                           WHERE d.account = a.account AND d.status = 'deauthorized')
         ORDER BY c.reached_at NULLS FIRST, a.account",
        &[],
    )
    .await?;
    Ok(rows.iter().map(|row| (row.get("account"), row.get("reached_at"))).collect())
}

async fn move_cursor(
    client: &impl GenericClient,
    account: &str,
    reached_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    execute(
        client,
        "INSERT INTO reconcile_cursors AS c (provider, account, reached_at, updated_at)
         VALUES ('stripe', $1, $2, $3)
         ON CONFLICT ON CONSTRAINT reconcile_cursors_pkey DO UPDATE SET
             reached_at = GREATEST(c.reached_at, excluded.reached_at), updated_at = excluded.updated_at",
        &[(&account, Type::TEXT), (&reached_at, Type::TIMESTAMPTZ), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}

/// Every event between two times, and whether all of them are in the inbox now. What Stripe could not be asked is the
/// inner error.
async fn window(
    processor: &Processor,
    stripe: &Stripe,
    account: &str,
    (from, to): (OffsetDateTime, OffsetDateTime),
    tally: &mut Tally,
) -> Result<Result<bool, UpstreamError>, ProcessError> {
    let connected = (!account.is_empty()).then_some(account);
    let (mut after, mut missed) = (None::<String>, false);
    loop {
        let asking = stripe.events(connected, from, to, after.as_deref());
        let page = match processor.breaker.call(Provider::Stripe, asking).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let mut listed = Vec::new();
        for body in page.events.iter().map(|event| event.get().as_bytes()) {
            match provider::Event::parse(body) {
                Ok(event) if EVENT_TYPES.contains(&event.kind.as_str()) => listed.push((event, body)),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(target: "webhook", account, %error, "an event of the list cannot be read");
                    tally.failed += 1;
                }
            }
        }
        tally.seen += u64::try_from(listed.len()).unwrap_or(u64::MAX);
        for (event, body) in unknown(processor, account, listed).await? {
            match take_in(processor, (&event, body), connected).await {
                Ok(is_new) => tally.found += u64::from(is_new),
                Err(error) => {
                    let cause = log::causes(&error);
                    tracing::error!(target: "webhook", event_id = event.id, cause, "an event could not be taken in");
                    tally.failed += 1;
                    missed = true;
                }
            }
        }
        if !page.has_more || page.last.is_none() {
            return Ok(Ok(!missed));
        }
        after = page.last;
    }
}

/// Those of the listed that are not in the inbox.
async fn unknown<'a>(
    processor: &Processor,
    account: &str,
    mut listed: Vec<(provider::Event, &'a [u8])>,
) -> Result<Vec<(provider::Event, &'a [u8])>, ProcessError> {
    let ids: Vec<&str> = listed.iter().map(|(event, _)| event.id.as_str()).collect();
    let connection = processor.db.connection_for_job().await?;
    let rows = query(
        connection.client(),
        "SELECT event_id FROM webhook_events
         WHERE provider = 'stripe' AND account = $1 AND webhook_id = '' AND event_id = ANY($2)
           AND (state <> 'ignored' OR last_error_code NOT IN ('WRONG_ENDPOINT', 'WRONG_LIVEMODE'))",
        &[(&account, Type::TEXT), (&ids, Type::TEXT_ARRAY)],
    )
    .await?;
    let known: BTreeSet<String> = rows.iter().map(|row| row.get("event_id")).collect();
    listed.retain(|(event, _)| !known.contains(&event.id));
    Ok(listed)
}

/// Whether it was new. An event in the list of an account is that account's, whether it says so or not.
async fn take_in(
    processor: &Processor,
    (event, body): (&provider::Event, &[u8]),
    account: Option<&str>,
) -> Result<bool, ProcessError> {
    let event = &provider::Event { account: account.map(str::to_owned), ..event.clone() };
    let ring = processor.ring().await?;
    let plan = plan(event, processor.livemode);
    let (random, now) = (&processor.random, processor.clock.now());
    let mut connection = processor.db.connection_for_job().await?;
    let delivery = Delivery { event, body, plan: &plan, ring: &ring, random, now };
    Ok(take_in_delivery(&mut connection, &delivery).await? == Recorded::New)
}

/// Nobody tells us more of this account.
async fn taken_from_us(processor: &Processor, account: &str) -> Result<(), ProcessError> {
    let mut connection = processor.db.connection_for_job().await?;
    let tx = connection.transaction().await?;
    let now = processor.clock.now();
    connected_account::deauthorize(&tx, account, asked_at(&processor.clock), now).await?;
    Ok(db::commit(tx).await?)
}

/// Has the accounts asked about of which nothing was heard for a day: what API v2 tells is in no list of events.
pub async fn silent_accounts(processor: &Processor) -> Result<u64, ProcessError> {
    let connection = processor.db.connection_for_job().await?;
    Ok(connected_account::ask_about_the_silent(connection.client(), processor.clock.now()).await?)
}
