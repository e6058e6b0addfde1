//! Whose secret signs what BTCPay sends for a store, and what a delivery says, as a row of the inbox.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Event, Fate, Sender, reason};
use crate::audit::{AuditError, Auditor, Entry, Origin};
use crate::btcpay::StoreId;
use crate::btcpay::webhook::{Delivery, EventType};
use crate::crypto::{KeyRing, OpenError, Secret};
use crate::db::{DbError, GenericClient, Type, query_opt};
use crate::setup::{BtcpayConfig, btcpay_config_field};

/// Why a store's secret cannot be had.
#[derive(Debug)]
pub enum SecretsError {
    /// No address is served by this store.
    UnknownStore,
    Open(OpenError),
    /// It opened to something else.
    Unreadable,
    Audit(AuditError),
    Db(DbError),
}

impl From<DbError> for SecretsError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// The secrets by which the store's deliveries may be signed. That they were read is audited in the same transaction,
/// which is to be committed whatever the signature turns out to be.
///
/// The row is not in the account's own chain: whoever floods us with forged deliveries would hold up everything that
/// account does.
pub async fn secrets(
    client: &impl GenericClient,
    (audit, ring): (&Auditor, &KeyRing),
    store: &StoreId,
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<Vec<Secret<String>>, SecretsError> {
    let row = query_opt(
        client,
        "SELECT user_id, btcpay_config_sealed FROM lightning_addresses WHERE btcpay_store_id = $1",
        &[(&store.as_str(), Type::TEXT)],
    )
    .await?
    .ok_or(SecretsError::UnknownStore)?;
    let user_id: Uuid = row.get("user_id");
    let opened = ring
        .open(btcpay_config_field(&user_id), row.get("btcpay_config_sealed"))
        .map_err(SecretsError::Open)?;
    let config: BtcpayConfig =
        serde_json::from_slice(opened.expose()).map_err(|_| SecretsError::Unreadable)?;
    let entry = Entry {
        user_id: None,
        action: "webhook_secret.read",
        resource: ("btcpay_store", store.as_str()),
        details: json!({ "account": user_id }),
        origin,
        now,
    };
    audit.append(client, &entry).await.map_err(SecretsError::Audit)?;
    Ok(vec![config.webhook_secret])
}

/// The delivery as a row. A redelivery is known by the first one, so that every copy has the same key.
pub fn event<'a>(store: &'a StoreId, delivery: &'a Delivery, body: &'a [u8]) -> Event<'a> {
    Event {
        sender: Sender::Btcpay,
        account: store.as_str(),
        webhook_id: &delivery.webhook_id,
        event_id: &delivery.original_delivery_id,
        kind: name(&delivery.event),
        object_id: delivery.invoice_id.as_ref().map(crate::btcpay::InvoiceId::as_str),
        livemode: None,
        api_version: None,
        occurred_at: delivery.timestamp,
        body,
    }
}

/// What is to become of a delivery: an invoice is read again by whoever takes the row up at `at`.
pub fn fate(delivery: &Delivery, at: OffsetDateTime, attempts: i32) -> Fate {
    match (&delivery.event, &delivery.invoice_id) {
        (EventType::Other(_), _) | (_, None) => Fate::Ignored(reason::UNKNOWN_TYPE),
        _ => Fate::Due { at, attempts, code: None },
    }
}

/// As BTCPay spells it.
fn name(event: &EventType) -> &str {
    match event {
        EventType::InvoiceCreated => "InvoiceCreated",
        EventType::InvoiceReceivedPayment => "InvoiceReceivedPayment",
        EventType::InvoiceProcessing => "InvoiceProcessing",
        EventType::InvoicePaymentSettled => "InvoicePaymentSettled",
        EventType::InvoiceSettled => "InvoiceSettled",
        EventType::InvoiceExpired => "InvoiceExpired",
        EventType::InvoiceInvalid => "InvoiceInvalid",
        EventType::InvoiceExpiredPaidPartial => "InvoiceExpiredPaidPartial",
        EventType::InvoicePaidAfterExpiration => "InvoicePaidAfterExpiration",
        EventType::Other(name) => name,
    }
}
