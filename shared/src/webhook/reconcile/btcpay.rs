use futures_util::stream::{self, StreamExt};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

use super::Tally;
use crate::btcpay::{Btcpay, BtcpayInvoice, StoreId};
use crate::db::{self, DbError, GenericClient, Row, Type, execute, query};
use crate::log;
use crate::payment::{self, Observed, Snapshot, Source, observe};
use crate::upstream::{Provider, UpstreamError};
use crate::webhook::desk::first_id;
use crate::webhook::inbox::{self, Event, Fate, NewRow, Recorded, Sender};
use crate::webhook::processor::{ProcessError, Processor};

/// An invoice that was not paid is asked about for so long after it expired: somebody may have paid late.
const POLLED_FOR: Duration = Duration::days(2);
/// One that is not over, or cannot be asked about, is tried for longer; in the end its store is gone.
const FORGOTTEN_AFTER: Duration = Duration::days(30);
const LEAST_WAIT: Duration = Duration::minutes(30);
/// Longer than any deployment takes.
const MADE_UP_FOR: Duration = Duration::days(2);
/// Calls side by side, and invoices before the clock is looked at again.
const AT_ONCE: usize = 8;
const POLLED_AT_ONCE: i64 = 100;

/// An invoice of ours that nobody has told us the end of.
struct Unsettled {
    payment_id: Uuid,
    store: String,
    invoice_id: Option<String>,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
}

/// Asks about every invoice that is due to be asked about, until `until`, or until BTCPay is known to be away.
pub async fn btcpay(processor: &Processor, until: Instant) -> Result<Tally, ProcessError> {
    let mut tally = Tally::default();
    let Some(client) = processor.btcpay.as_ref().map(|btcpay| btcpay.until(until)) else { return Ok(tally) };
    make_up(processor.db.connection_for_job().await?.client(), processor.clock.now()).await?;
    loop {
        let due = {
            let connection = processor.db.connection_for_job().await?;
            unsettled(connection.client(), processor.clock.now()).await?
        };
        let mut moved = false;
        let looks = stream::iter(due).map(|one| look(processor, &client, one, until));
        let mut looks = std::pin::pin!(looks.buffer_unordered(AT_ONCE));
        while let Some(looked) = looks.next().await {
            let looked = looked.unwrap_or_else(|error| {
                let cause = log::causes(&error);
                tracing::error!(target: "webhook", cause, "an invoice could not be written down");
                Looked::Failed
            });
            tally.seen += u64::from(looked != Looked::Untouched);
            tally.found += u64::from(looked == Looked::News);
            tally.failed += u64::from(looked == Looked::Failed);
            moved |= matches!(looked, Looked::News | Looked::Nothing);
        }
        // What failed may be due again at once: it is left to the next run.
        if !moved || Instant::now() >= until {
            return Ok(tally);
        }
    }
}

/// What a look at an invoice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    News,
    Nothing,
    Failed,
    /// There was no time for it, or BTCPay is known to be away: it is as due as it was.
    Untouched,
}

/// Payments of invoices that have none: made by the build before payments, while this one was being deployed.
async fn make_up(client: &impl GenericClient, now: OffsetDateTime) -> Result<(), DbError> {
    execute(
        client,
        "INSERT INTO payments
             (id, user_id, provider, account, currency, amount_minor, expires_at, poll_at, created_at, updated_at)
         SELECT i.id, i.user_id, 'btcpay', i.btcpay_store_id, 'btc', i.amount_msat,
                i.created_at + i.expiry_seconds * interval '1 second', $2, i.created_at, $2
         FROM invoices i
         WHERE i.id >= $1 AND i.state <> 'refused' AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.id = i.id)
         ON CONFLICT ON CONSTRAINT payments_pkey DO NOTHING",
        &[(&first_id(now - MADE_UP_FOR), Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}

async fn unsettled(client: &impl GenericClient, now: OffsetDateTime) -> Result<Vec<Unsettled>, DbError> {
    let rows = query(
        client,
        "SELECT p.id, p.account, p.created_at, p.expires_at, i.btcpay_invoice_id
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
        created_at: row.get("created_at"),
        expires_at: row.get::<_, Option<OffsetDateTime>>("expires_at").unwrap_or(now),
    };
    Ok(rows.iter().map(unsettled).collect())
}

/// Asks about one invoice, and puts off when to ask again.
async fn look(
    processor: &Processor,
    btcpay: &Btcpay,
    one: Unsettled,
    until: Instant,
) -> Result<Looked, ProcessError> {
    if Instant::now() >= until {
        return Ok(Looked::Untouched);
    }
    let now = processor.clock.now();
    let (mut looked, mut is_over) = (Looked::Nothing, false);
    match processor.breaker.call(Provider::Btcpay, read(btcpay, &one)).await {
        Ok(invoices) => {
            let words: Vec<Snapshot> =
                invoices.iter().map(|invoice| payment::btcpay::invoice(invoice, now)).collect();
            is_over = words.iter().all(|word| word.standing.finality > 0);
            for word in &words {
                if hear(processor, &one.store, word, now).await? {
                    looked = Looked::News;
                }
            }
        }
        Err(error) if error.is_breaker_open() || Instant::now() >= until => return Ok(Looked::Untouched),
        Err(error) => {
            tracing::warn!(target: "webhook", payment_id = %one.payment_id, %error, "an invoice could not be read");
            looked = Looked::Failed;
        }
    }
    let stops_at = one.expires_at + if is_over { POLLED_FOR } else { FORGOTTEN_AFTER };
    let wait = if looked == Looked::Failed { LEAST_WAIT } else { wait(&one, now) };
    let again = (now < stops_at).then(|| now + wait);
    let connection = processor.db.connection_for_job().await?;
    execute(
        connection.client(),
        "UPDATE payments SET poll_at = $2 WHERE id = $1 AND poll_at IS NOT NULL",
        &[(&one.payment_id, Type::UUID), (&again, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(looked)
}

/// The longer nobody paid the less often it is asked.
fn wait(one: &Unsettled, now: OffsetDateTime) -> Duration {
    ((now - one.created_at) / 4_i32).max(LEAST_WAIT)
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
    word: &Snapshot,
    now: OffsetDateTime,
) -> Result<bool, ProcessError> {
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
    payment::lock_word(&tx, &source, word).await?;
    let observed = observe(&tx, &processor.random, &source, word, now).await?;
    db::commit(tx).await?;
    Ok(matches!(observed, Observed::Of { news: true, .. }))
}
