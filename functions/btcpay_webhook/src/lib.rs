//! `POST /v1/webhooks/btcpay/{store_id}` — BTCPay tells us what became of an invoice.
//!
//! Delivery is at least once and in any order. What is signed by the store's secret is written down once, as the bytes
//! that came; a copy finds it and changes nothing. A delivery is no proof of money: the invoice is read from BTCPay, and
//! what it says is applied. If that does not work within seconds the delivery is answered all the same, because the row
//! is taken up by `process_webhook_events`.

use std::time::Duration;

use serde::Serialize;
use shared::audit::Auditor;
use shared::btcpay::StoreId;
use shared::btcpay::webhook::{self as delivery, Delivery, SignatureError};
use shared::config::Config;
use shared::db;
use shared::http::{ApiError, ErrorCode, Reply, Request};
use shared::metrics;
use shared::webhook::btcpay::SecretsError;
use shared::webhook::queue::{LEASE, Taken};
use shared::webhook::{self, NewRow, Processor, Recorded};
use tokio::time::Instant;

const SIGNATURE: &str = "btcpay-sig";
/// BTCPay sends a store's deliveries one after the other: a slow answer holds up all that follow.
const TIME_TO_APPLY: Duration = Duration::from_secs(4);

pub struct Deps {
    processor: Processor,
    audit: Auditor,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { processor: Processor::wire(config), audit: Auditor::wire(config) }
    }
}

#[derive(Serialize)]
struct Answer {
    received: bool,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let body = request.webhook_body()?;
    let signature = request.sole_header(SIGNATURE);
    // What cannot be a signature is refused before a secret is read for it.
    if let Err(error @ (SignatureError::Missing | SignatureError::Malformed)) =
        delivery::verify(signature, body, &[])
    {
        return Err(refused(error));
    }
    let store: StoreId =
        request.path_parameter("store_id").parse().map_err(|_| SecretsError::UnknownStore)?;
    let (recorded, taken) = record(deps, request, (&store, signature, body)).await?;
    metrics::count(if recorded == Recorded::New { "WebhookReceived" } else { "WebhookRepeated" });
    if let Some(taken) = taken {
        apply(&deps.processor, &taken).await;
    }
    Ok(Reply::ok(&Answer { received: true }))
}

/// Writes a delivery down whose signature is good. With it comes the row, if it is new and something follows from it.
async fn record(
    deps: &Deps,
    request: &Request,
    (store, signature, body): (&StoreId, Option<&str>, &[u8]),
) -> Result<(Recorded, Option<Taken>), ApiError> {
    let Processor { db, clock, random, .. } = &deps.processor;
    let now = clock.now();
    let ring = deps.processor.ring().await?;

    let mut connection = db.connection().await?;
    let tx = connection.transaction().await?;
    let reader = (request.origin(), now);
    let secrets = webhook::btcpay::secrets(&tx, (&deps.audit, &ring), store, reader).await?;
    let parsed =
        delivery::verify(signature, body, &secrets).map_err(refused).and_then(|()| parse(store, body));
    let (mut recorded, mut taken) = (Recorded::Repeat, None);
    if let Ok(delivery) = &parsed {
        let event = webhook::btcpay::event(store, delivery, body);
        let row = NewRow::seal(&ring, random, &event, now)?;
        // In our hands at once: nobody else takes it up while we are at it.
        let fate = webhook::btcpay::fate(delivery, now + LEASE, 1);
        recorded = webhook::record(&tx, &row, fate, now).await?;
        taken = Taken::of(&row, fate).filter(|_| recorded == Recorded::New);
    }
    // Also when there is nothing to record: the secret was read.
    db::commit(tx).await?;
    parsed?;
    Ok((recorded, taken))
}

/// What does not work now is done when the row is due again.
async fn apply(processor: &Processor, taken: &Taken) {
    if let Err(error) = processor.drive(taken, Instant::now() + TIME_TO_APPLY).await {
        tracing::warn!(target: "webhook", event = %taken.id, %error, "an event could not be applied at once");
    }
}
/// A body that the store's secret signed. One that speaks of another store is BTCPay's mistake, or somebody's who has
/// the secret; it is worth no row.
fn parse(store: &StoreId, body: &[u8]) -> Result<Delivery, ApiError> {
    let delivery = Delivery::parse(body).map_err(|error| {
        ApiError::new(ErrorCode::MalformedRequest, "the body is not a delivery of BTCPay").caused_by(error)
    })?;
    if delivery.store_id.as_ref() == Some(store) {
        Ok(delivery)
    } else {
        Err(ApiError::invalid("storeId", "is not the store this address is for"))
    }
}

fn refused(error: SignatureError) -> ApiError {
    metrics::count("WebhookRefused");
    ApiError::new(ErrorCode::WebhookRejected, "the body is not signed with this store's secret")
        .caused_by(error)
}
