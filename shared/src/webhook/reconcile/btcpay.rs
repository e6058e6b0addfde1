use futures_util::stream::{self, StreamExt};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

use super::Tally;
use crate::btcpay::{Btcpay, BtcpayInvoice, StoreId};
use crate::db::{self, DbError, GenericClient, Row, Type, execute, query};
use crate::payment::{self, Observed, Source, observe};
use crate::upstream::{Provider, UpstreamError};
use crate::webhook::inbox::{self, Event, Fate, NewRow, Recorded, Sender};
use crate::webhook::processor::{ProcessError, Processor};

/// An invoice that was not paid is asked about for so long after it expired: somebody may have paid late.
const POLLED_FOR: Duration = Duration::days(2);
/// One that cannot be asked about is tried for longer; in the end its store is gone.
const FORGOTTEN_AFTER: Duration = Duration::days(30);
const LEAST_WAIT: Duration = Duration::minutes(30);
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
        let looks = stream::iter(due).map(|one| look(processor, &client, one)).buffer_unordered(AT_ONCE);
        let mut looks = std::pin::pin!(looks);
        while let Some(found) = looks.next().await {
            tally.seen += 1;
            match found? {
                Ok(found) => tally.found += u64::from(found),
                Err(error) => {
                    tracing::warn!(target: "webhook", %error, "an invoice could not be read");
                    tally.failed += 1;
                }
            }
        }
        if Instant::now() >= until {
            return Ok(tally);
        }
    }
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

/// Asks about one invoice, and puts off when to ask again. Says whether that told us anything.
async fn look(
    processor: &Processor,
    btcpay: &Btcpay,
    one: Unsettled,
) -> Result<Result<bool, UpstreamError>, ProcessError> {
    let now = processor.clock.now();
    let read = processor.breaker.call(Provider::Btcpay, read(btcpay, &one)).await;
    let mut found = false;
    if let Ok(invoices) = &read {
        for invoice in invoices {
            found |= hear(processor, &one.store, invoice, now).await?;
        }
    }
    let again = read.is_err() || now < one.expires_at + POLLED_FOR;
    let again = (again && now < one.expires_at + FORGOTTEN_AFTER).then(|| now + wait(&one, now));
    let connection = processor.db.connection_for_job().await?;
    execute(
        connection.client(),
        "UPDATE payments SET poll_at = $2 WHERE id = $1 AND poll_at IS NOT NULL",
        &[(&one.payment_id, Type::UUID), (&again, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(read.map(|_| found))
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
    payment::lock(&tx, &source, payment::names(&word).iter().map(String::as_str)).await?;
    let observed = observe(&tx, &processor.random, &source, &word, now).await?;
    db::commit(tx).await?;
    Ok(matches!(observed, Observed::Of { news: true, .. }))
}
