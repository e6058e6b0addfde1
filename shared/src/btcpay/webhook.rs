//! What BTCPay tells us: the header `BTCPay-Sig` and the body it signs.
//!
//! The signature is HMAC-SHA256 over the bytes as they came, which are indented JSON: parsed and written again they
//! would be others. The body proves that BTCPay wrote it, and not that anybody paid: whoever gets one reads the
//! invoice again.

use std::fmt;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use time::OffsetDateTime;

use super::id::is_id;
use super::{InvoiceId, StoreId};
use crate::crypto::Secret;

/// Longer than any delivery, and than API Gateway lets through.
pub const MAX_BODY: usize = 1024 * 1024;

const SCHEME: &str = "sha256=";
const MAC_LENGTH: usize = 32;
/// Longer than the name of any event.
const MAX_NAME: usize = 128;

/// Why a delivery is not believed. Says nothing of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    Missing,
    /// Not `sha256=` and 64 lower-case hex digits. Two headers in one are not, either.
    Malformed,
    BodyTooLong,
    /// By none of the secrets.
    Wrong,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the delivery is not signed",
            Self::Malformed => "the signature is not one of BTCPay's",
            Self::BodyTooLong => "the body is longer than any delivery",
            Self::Wrong => "the signature is wrong",
        })
    }
}

impl std::error::Error for SignatureError {}

/// Whether one of `secrets` signed `body`. There are several while one is being replaced.
pub fn verify(header: Option<&str>, body: &[u8], secrets: &[Secret<String>]) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    let hex = header.strip_prefix(SCHEME).ok_or(SignatureError::Malformed)?;
    if hex.len() != 2 * MAC_LENGTH {
        return Err(SignatureError::Malformed);
    }
    let mut mac = [0; MAC_LENGTH];
    HEXLOWER.decode_mut(hex.as_bytes(), &mut mac).map_err(|_| SignatureError::Malformed)?;
    if body.len() > MAX_BODY {
        return Err(SignatureError::BodyTooLong);
    }
    // All of them are tried, so that the time taken does not tell which it was; each comparison is constant in time.
    let signed = secrets.iter().filter(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        hmac::verify(&key, body, &mac).is_ok()
    });
    if signed.count() == 0 { Err(SignatureError::Wrong) } else { Ok(()) }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum EventType {
    InvoiceCreated,
    InvoiceReceivedPayment,
    InvoiceProcessing,
    InvoicePaymentSettled,
    InvoiceSettled,
    InvoiceExpired,
    InvoiceInvalid,
    InvoiceExpiredPaidPartial,
    InvoicePaidAfterExpiration,
    #[serde(untagged)]
    Other(String),
}

/// One delivery. Members BTCPay sends only with some types are `false` with the others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what BTCPay says yes or no to")]
pub struct Delivery {
    pub delivery_id: String,
    pub webhook_id: String,
    /// The first delivery of the same event, which may be this one: what repeats are known by.
    pub original_delivery_id: String,
    pub is_redelivery: bool,
    pub event: EventType,
    pub timestamp: OffsetDateTime,
    pub store_id: Option<StoreId>,
    pub invoice_id: Option<InvoiceId>,
    /// Set by hand in BTCPay: nobody paid.
    pub manually_marked: bool,
    pub over_paid: bool,
    pub after_expiration: bool,
    pub partially_paid: bool,
}

/// The body is signed and still not a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADelivery(String);

impl fmt::Display for NotADelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body is not a delivery: {}", self.0)
    }
}

impl std::error::Error for NotADelivery {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    delivery_id: String,
    webhook_id: String,
    /// Null, absent, or misspelt, depending on the server's age.
    original_delivery_id: Option<String>,
    #[serde(rename = "orignalDeliveryId")]
    misspelt_delivery_id: Option<String>,
    #[serde(default)]
    is_redelivery: bool,
    #[serde(rename = "type")]
    event: EventType,
    timestamp: i64,
    store_id: Option<StoreId>,
    invoice_id: Option<InvoiceId>,
    manually_marked: Option<bool>,
    over_paid: Option<bool>,
    after_expiration: Option<bool>,
    partially_paid: Option<bool>,
}

impl Delivery {
    /// Reads a body whose signature is good. Unknown members are left alone.
    pub fn parse(body: &[u8]) -> Result<Self, NotADelivery> {
        let refuse = |why: &str| NotADelivery(why.to_owned());
        if body.len() > MAX_BODY {
            return Err(refuse("too long"));
        }
        let document: Document = serde_json::from_slice(body)
            .map_err(|error| NotADelivery(format!("line {} column {}", error.line(), error.column())))?;
        let original = document.original_delivery_id.or(document.misspelt_delivery_id);
        let original_delivery_id = original.unwrap_or_else(|| document.delivery_id.clone());
        if ![&document.delivery_id, &document.webhook_id, &original_delivery_id]
            .into_iter()
            .all(|id| is_id(id))
        {
            return Err(refuse("an id that is none"));
        }
        if let EventType::Other(name) = &document.event
            && !(1..=MAX_NAME).contains(&name.len()) | !name.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(refuse("a type that is none"));
        }
        let timestamp = OffsetDateTime::from_unix_timestamp(document.timestamp);
        Ok(Self {
            delivery_id: document.delivery_id,
            webhook_id: document.webhook_id,
            original_delivery_id,
            is_redelivery: document.is_redelivery,
            event: document.event,
            timestamp: timestamp.map_err(|_| refuse("a timestamp that is none"))?,
            store_id: document.store_id,
            invoice_id: document.invoice_id,
            manually_marked: document.manually_marked.unwrap_or_default(),
            over_paid: document.over_paid.unwrap_or_default(),
            after_expiration: document.after_expiration.unwrap_or_default(),
            partially_paid: document.partially_paid.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
