//! What never came: the providers' own lists, through the same inbox.
//!
//! Stripe lists its events; a cursor for each account says up to when they were gone through. BTCPay lists none that it
//! lost, so every invoice that is not settled is asked about, until it can be paid no more.

use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

use super::inbox::{self, Event, Fate, NewRow, Recorded, Sender};
use super::processor::{ProcessError, Processor};
use super::stripe as events;
use crate::btcpay::{Btcpay, BtcpayInvoice, StoreId};
use crate::db::{self, DbError, GenericClient, Row, Type, execute, query};
use crate::payment::{self, Source, observe};
use crate::stripe::{self, EVENT_TYPES, Stripe};
use crate::upstream::{Provider, UpstreamError};

/// How long Stripe keeps its events.
const STRIPE_KEEPS: Duration = Duration::days(30);
/// An event may show in the list a while after its time.
const OVERLAP: Duration = Duration::minutes(15);
/// What is gone through before the cursor moves.
const WINDOW: Duration = Duration::hours(6);
/// An invoice that was not paid is asked about for so long after it expired: somebody may have paid late.
const POLLED_FOR: Duration = Duration::days(2);
const POLLED_EVERY: Duration = Duration::minutes(30);
const POLLED_AT_ONCE: i64 = 500;

/// What was gone through, and what of it nobody had told us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub seen: u64,
    pub found: u64,
    /// Accounts, or invoices, whose provider could not be asked. They are asked again next time.
    pub failed: u64,
}

/// Goes through Stripe's events since the last time, account by account, until `until`.
pub async fn stripe(processor: &Processor, until: Instant) -> Result<Tally, ProcessError> {
    let mut tally = Tally::default();
    let Some(client) = processor.stripe.as_ref().map(|stripe| stripe.until(until)) else { return Ok(tally) };
    let accounts = {
        let connection = processor.db.connection_for_job().await?;
        accounts(connection.client()).await?
    };
    for (account, reached_at) in accounts {
        let mut from = reached_at.unwrap_or(processor.clock.now() - STRIPE_KEEPS + OVERLAP);
        loop {
            let now = processor.clock.now();
            let to = (from + WINDOW).min(now);
            if let Err(error) = window(processor, &client, &account, (from - OVERLAP, to), &mut tally).await? {
                tracing::warn!(target: "webhook", account, %error, "Stripe's events could not be gone through");
                tally.failed += 1;
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
               UNION SELECT account FROM connected_accounts WHERE status <> 'deauthorized'
               UNION SELECT account FROM payments WHERE provider = 'stripe') a
         LEFT JOIN reconcile_cursors c ON c.provider = 'stripe' AND c.account = a.account
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

/// Every event between two times. What Stripe could not be asked is the inner error.
async fn window(
    processor: &Processor,
    stripe: &Stripe,
    account: &str,
    (from, to): (OffsetDateTime, OffsetDateTime),
    tally: &mut Tally,
) -> Result<Result<(), UpstreamError>, ProcessError> {
    let connected = (!account.is_empty()).then_some(account);
    let mut after: Option<String> = None;
    loop {
        let asking = stripe.events(connected, from, to, after.as_deref());
        let page = match processor.breaker.call(Provider::Stripe, asking).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let bodies = page.events.iter().map(|event| event.get().as_bytes());
        // One that cannot be read was not recorded when it came, either.
        let parsed = bodies.filter_map(|body| Some((stripe::Event::parse(body).ok()?, body)));
        let listed: Vec<(stripe::Event, &[u8])> =
            parsed.filter(|(event, _)| EVENT_TYPES.contains(&event.kind.as_str())).collect();
        tally.seen += u64::try_from(listed.len()).unwrap_or(u64::MAX);
        for (event, body) in unknown(processor, account, listed).await? {
            tally.found += u64::from(take_in(processor, (&event, body), connected).await?);
        }
        if !page.has_more || page.last.is_none() {
            return Ok(Ok(()));
        }
        after = page.last;
    }
}

/// Those of the listed that are not in the inbox.
async fn unknown<'a>(
    processor: &Processor,
    account: &str,
    mut listed: Vec<(stripe::Event, &'a [u8])>,
) -> Result<Vec<(stripe::Event, &'a [u8])>, ProcessError> {
    let ids: Vec<&str> = listed.iter().map(|(event, _)| event.id.as_str()).collect();
    let connection = processor.db.connection_for_job().await?;
    let rows = query(
        connection.client(),
        "SELECT event_id FROM webhook_events
         WHERE provider = 'stripe' AND account = $1 AND webhook_id = '' AND event_id = ANY($2)",
        &[(&account, Type::TEXT), (&ids, Type::TEXT_ARRAY)],
    )
    .await?;
    let known: std::collections::BTreeSet<String> = rows.iter().map(|row| row.get("event_id")).collect();
    listed.retain(|(event, _)| !known.contains(&event.id));
    Ok(listed)
}

/// Whether it was new. An event in the list of an account is that account's, whether it says so or not.
async fn take_in(
    processor: &Processor,
    (event, body): (&stripe::Event, &[u8]),
    account: Option<&str>,
) -> Result<bool, ProcessError> {
    let event = &stripe::Event { account: account.map(str::to_owned), ..event.clone() };
    let ring = processor.ring().await?;
    let plan = events::plan(event, processor.livemode);
    let (random, now) = (&processor.random, processor.clock.now());
    let mut connection = processor.db.connection_for_job().await?;
    let delivery = events::Delivery { event, body, plan: &plan, ring: &ring, random, now };
    Ok(events::take_in(&mut connection, &delivery).await? == Recorded::New)
}

/// An invoice of ours that nobody has told us the end of.
struct Unsettled {
    payment_id: Uuid,
    store: String,
    invoice_id: Option<String>,
    expires_at: OffsetDateTime,
}

/// Asks about every invoice that is due to be asked about, until `until`.
pub async fn btcpay(processor: &Processor, until: Instant) -> Result<Tally, ProcessError> {
    let mut tally = Tally::default();
    let Some(client) = processor.btcpay.as_ref().map(|btcpay| btcpay.until(until)) else { return Ok(tally) };
    loop {
        let due = {
            let connection = processor.db.connection_for_job().await?;
            unsettled(connection.client(), processor.clock.now()).await?
        };
        if due.is_empty() {
            return Ok(tally);
        }
        for one in due {
            if Instant::now() >= until {
                return Ok(tally);
            }
            tally.seen += 1;
            match look(processor, &client, &one).await? {
                Ok(found) => tally.found += u64::from(found),
                Err(error) => {
                    tracing::warn!(target: "webhook", payment_id = %one.payment_id, %error, "an invoice could not be read");
                    tally.failed += 1;
                }
            }
        }
    }
}

async fn unsettled(client: &impl GenericClient, now: OffsetDateTime) -> Result<Vec<Unsettled>, DbError> {
    let rows = query(
        client,
        "SELECT p.id, p.account, p.expires_at, i.btcpay_invoice_id
         FROM payments p JOIN invoices i ON i.id = p.id
         WHERE p.provider = 'btcpay' AND p.poll_at <= $1
         ORDER BY p.poll_at
         LIMIT $2",
        &[(&now, Type::TIMESTAMPTZ), (&POLLED_AT_ONCE, Type::INT8)],
    )
    .await?;
    let unsettled = |row: &Row| Unsettled {
        payment_id: row.get("id"),
        store: row.get("account"),
        invoice_id: row.get("btcpay_invoice_id"),
        expires_at: row.get::<_, Option<OffsetDateTime>>("expires_at").unwrap_or(now),
    };
    Ok(rows.iter().map(unsettled).collect())
}

/// Asks about one invoice, and puts off when to ask again. Says whether that told us anything.
async fn look(
    processor: &Processor,
    btcpay: &Btcpay,
    one: &Unsettled,
) -> Result<Result<bool, UpstreamError>, ProcessError> {
    let now = processor.clock.now();
    let read = processor.breaker.call(Provider::Btcpay, read(btcpay, one)).await;
    let mut found = false;
    if let Ok(invoices) = &read {
        for invoice in invoices {
            found |= hear(processor, &one.store, invoice, now).await?;
        }
    }
    let again = (now < one.expires_at + POLLED_FOR).then_some(now + POLLED_EVERY);
    let connection = processor.db.connection_for_job().await?;
    execute(
        connection.client(),
        "UPDATE payments SET poll_at = $2 WHERE id = $1 AND poll_at IS NOT NULL",
        &[(&one.payment_id, Type::UUID), (&again, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(read.map(|_| found))
}

/// The invoice, or those made for the order when the answer that named it was lost.
async fn read(btcpay: &Btcpay, one: &Unsettled) -> Result<Vec<BtcpayInvoice>, UpstreamError> {
    let Ok(store) = one.store.parse::<StoreId>() else { return Ok(Vec::new()) };
    match one.invoice_id.as_deref().map(str::parse) {
        Some(Ok(id)) => Ok(vec![btcpay.invoice(&store, &id).await?]),
        _ => btcpay.find_invoices(&store, one.payment_id).await,
    }
}

/// Takes in an invoice as it stands, once for each status it is found in.
async fn hear(
    processor: &Processor,
    store: &str,
    invoice: &BtcpayInvoice,
    now: OffsetDateTime,
) -> Result<bool, ProcessError> {
    let word = payment::btcpay::invoice(invoice, now);
    let body = json!({ "invoice": word.object_id, "status": word.status, "amount_msat": word.amount_minor });
    let body = body.to_string();
    let event = Event {
        sender: Sender::Btcpay,
        account: store,
        webhook_id: "poll",
        event_id: &format!("{}:{}", word.object_id, word.status),
        kind: "InvoicePolled",
        object_id: Some(&word.object_id),
        livemode: None,
        api_version: None,
        occurred_at: now,
        body: body.as_bytes(),
    };
    let ring = processor.ring().await?;
    let row = NewRow::seal(&ring, &processor.random, &event, now)?;
    let mut connection = processor.db.connection_for_job().await?;
    let tx = connection.transaction().await?;
    if inbox::record(&tx, &row, Fate::Done, now).await? == Recorded::Repeat {
        return Ok(false);
    }
    let source = Source { provider: Sender::Btcpay.name(), account: store };
    observe(&tx, &processor.random, &source, &word, now).await?;
    db::commit(tx).await?;
    Ok(true)
}
