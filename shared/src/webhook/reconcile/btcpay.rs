use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

use super::Tally;
use crate::btcpay::{Btcpay, BtcpayInvoice, StoreId};
use crate::db::{self, DbError, GenericClient, Row, Type, execute, query};
use crate::payment::{self, Source, observe};
use crate::upstream::{Provider, UpstreamError};
use crate::webhook::inbox::{self, Event, Fate, NewRow, Recorded, Sender};
use crate::webhook::processor::{ProcessError, Processor};

/// An invoice that was not paid is asked about for so long after it expired: somebody may have paid late.
const POLLED_FOR: Duration = Duration::days(2);
const POLLED_EVERY: Duration = Duration::minutes(30);
const POLLED_AT_ONCE: i64 = 500;

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
