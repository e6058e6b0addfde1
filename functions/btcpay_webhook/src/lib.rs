//! `POST /v1/webhooks/btcpay/{store_id}` — BTCPay tells us what became of an invoice.
//!
//! Delivery is at least once and in any order. What is signed by the store's secret is written down once, as the bytes
//! that came, and answered; what it means for money is found out from that row. A copy finds it and changes nothing.

use serde::Serialize;
use shared::audit::Auditor;
use shared::btcpay::StoreId;
use shared::btcpay::webhook::{self as delivery, Delivery, SignatureError};
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::{self, Db};
use shared::http::{ApiError, ErrorCode, Reply, Request};
use shared::metrics;
use shared::random::Random;
use shared::secrets::SecretHandle;
use shared::webhook::btcpay::SecretsError;
use shared::webhook::{self, Recorded};

const SIGNATURE: &str = "btcpay-sig";

pub struct Deps {
    db: Db,
    sealing: SecretHandle<KeyRing>,
    audit: Auditor,
    clock: Clock,
    random: Random,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            audit: Auditor::wire(config),
            clock: config.clock(),
            random: config.random(),
        }
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
    let now = deps.clock.now();
    let ring = deps.sealing.get().await?;

    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    let reader = (request.origin(), now);
    let secrets = webhook::btcpay::secrets(&tx, (&deps.audit, &ring), &store, reader).await?;
    let parsed =
        delivery::verify(signature, body, &secrets).map_err(refused).and_then(|()| parse(&store, body));
    let recorded = match &parsed {
        Ok(delivery) => {
            let event = webhook::btcpay::event(&store, delivery, body);
            Some(webhook::record(&tx, deps.random.id(now), &event, now).await?)
        }
        Err(_) => None,
    };
    // Also when there is nothing to record: the secret was read.
    db::commit(tx).await?;

    parsed?;
    metrics::count(if recorded == Some(Recorded::New) { "WebhookReceived" } else { "WebhookRepeated" });
    Ok(Reply::ok(&Answer { received: true }))
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
    ApiError::new(ErrorCode::SignatureRejected, "the body is not signed with this store's secret")
        .caused_by(error)
}
