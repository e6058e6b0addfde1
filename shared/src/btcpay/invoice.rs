use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Btcpay, InvoiceId, StoreId};
use crate::upstream::{Answer, MAX_LIST, Repeat, Trouble, UpstreamError};

/// The payment method's name, and what BTCPay 1 called it.
const BTC_LN: [&str; 2] = ["BTC-LN", "BTC-LightningNetwork"];
/// How many invoices of one order are looked at. There is one, unless creating it was ambiguous.
const TAKE: u32 = 50;

/// What to ask of BTCPay. The order id is how the invoice is found again.
#[derive(Debug, Clone, Copy)]
pub struct NewInvoice<'a> {
    pub order_id: Uuid,
    pub amount_msat: u64,
    pub description: &'a str,
    pub expiry_minutes: u32,
}

/// An invoice as BTCPay sees it. What is to be paid is [`Btcpay::bolt11`]'s to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BtcpayInvoice {
    pub id: InvoiceId,
    pub store_id: StoreId,
    pub order_id: Option<String>,
    pub status: InvoiceStatus,
    pub additional_status: AdditionalStatus,
    /// `None` when the invoice is not in bitcoin.
    pub amount_msat: Option<u64>,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum InvoiceStatus {
    New,
    Processing,
    Expired,
    Invalid,
    Settled,
    #[serde(untagged)]
    Other(String),
}

/// Why an invoice is in its status.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum AdditionalStatus {
    None,
    PaidLate,
    PaidPartial,
    /// By hand: no payment was seen.
    Marked,
    Invalid,
    PaidOver,
    #[serde(untagged)]
    Other(String),
}

#[derive(Serialize)]
struct Request<'a> {
    amount: String,
    currency: &'static str,
    metadata: RequestMetadata<'a>,
    checkout: Checkout,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestMetadata<'a> {
    order_id: Uuid,
    item_desc: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checkout {
    payment_methods: [&'static str; 1],
    /// A lazy payment method has no BOLT11 invoice until somebody opens the checkout page.
    lazy_payment_methods: bool,
    expiration_minutes: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    id: InvoiceId,
    store_id: StoreId,
    status: InvoiceStatus,
    additional_status: AdditionalStatus,
    amount: Option<Box<RawValue>>,
    currency: String,
    created_time: i64,
    expiration_time: i64,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    order_id: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentMethod {
    payment_method_id: String,
    #[serde(default)]
    destination: Option<String>,
}

impl Btcpay {
    pub async fn create_invoice(
        &self,
        store: &StoreId,
        new: &NewInvoice<'_>,
    ) -> Result<BtcpayInvoice, UpstreamError> {
        let request = Request {
            amount: decimal(new.amount_msat),
            currency: "BTC",
            metadata: RequestMetadata { order_id: new.order_id, item_desc: new.description },
            checkout: Checkout {
                payment_methods: [BTC_LN[0]],
                lazy_payment_methods: false,
                expiration_minutes: new.expiry_minutes,
            },
        };
        // What is sold is between the two who deal: a refusal that repeats it is not to be logged with it.
        let quoted = json!(new.description).to_string();
        let call = self.call(Repeat::Unsafe, Method::POST, &format!("/stores/{store}/invoices"));
        let call = call.json(&request).secret(new.description).secret(quoted.trim_matches('"'));
        self.send(call, |answer| of_store(answer, answer.json()?, store)).await
    }

    /// The invoices made for an order, archived ones aside.
    pub async fn find_invoices(
        &self,
        store: &StoreId,
        order_id: Uuid,
    ) -> Result<Vec<BtcpayInvoice>, UpstreamError> {
        let path = format!("/stores/{store}/invoices?orderId={order_id}&take={TAKE}");
        let call = self.call(Repeat::Safe, Method::GET, &path).limit(MAX_LIST);
        let order_id = order_id.to_string();
        self.send(call, |answer| {
            let documents: Vec<Document> = answer.json()?;
            let invoices = documents.into_iter().map(|document| of_store(answer, document, store));
            let mut invoices = invoices.collect::<Result<Vec<_>, _>>()?;
            invoices.retain(|invoice| invoice.order_id.as_ref() == Some(&order_id));
            Ok(invoices)
        })
        .await
    }

    /// An invoice as it stands now.
    pub async fn invoice(&self, store: &StoreId, id: &InvoiceId) -> Result<BtcpayInvoice, UpstreamError> {
        let call = self.call(Repeat::Safe, Method::GET, &format!("/stores/{store}/invoices/{id}"));
        self.send(call, |answer| {
            let invoice = of_store(answer, answer.json()?, store)?;
            if invoice.id == *id { Ok(invoice) } else { Err(answer.unexpected("another invoice")) }
        })
        .await
    }

    /// What is to be paid, as the store's node made it. It is checked by whoever knows what was asked for.
    pub async fn bolt11(&self, store: &StoreId, id: &InvoiceId) -> Result<String, UpstreamError> {
        let path = format!("/stores/{store}/invoices/{id}/payment-methods");
        let call = self.call(Repeat::Safe, Method::GET, &path);
        self.send(call, |answer| {
            let methods: Vec<PaymentMethod> = answer.json()?;
            let lightning = methods.into_iter().find(|method| BTC_LN.contains(&&*method.payment_method_id));
            let destination = lightning.and_then(|method| method.destination);
            destination
                .filter(|bolt11| !bolt11.is_empty())
                .ok_or_else(|| answer.unexpected("the invoice cannot be paid by Lightning"))
        })
        .await
    }
}

fn of_store(answer: &Answer, document: Document, store: &StoreId) -> Result<BtcpayInvoice, Trouble> {
    if document.store_id != *store {
        return Err(answer.unexpected("an invoice of another store"));
    }
    let time =
        |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| answer.unexpected("not a time"));
    let order_id = document.metadata.and_then(|metadata| metadata.order_id);
    let amount = document.amount.as_deref().map(RawValue::get);
    Ok(BtcpayInvoice {
        amount_msat: amount.and_then(|amount| msat(amount.trim_matches('"'), &document.currency)),
        created_at: time(document.created_time)?,
        expires_at: time(document.expiration_time)?,
        order_id: order_id.map(|id| id.as_str().map_or_else(|| id.to_string(), ToOwned::to_owned)),
        id: document.id,
        store_id: document.store_id,
        status: document.status,
        additional_status: document.additional_status,
    })
}

/// Decimal places of a bitcoin down to the millisatoshi.
const MSAT_PLACES: usize = 11;
const MSAT_PER_BITCOIN: u64 = 100_000_000_000;

/// Bitcoin as a decimal, whole satoshis with eight places as BTCPay itself writes them.
fn decimal(msat: u64) -> String {
    let (whole, rest) = (msat / MSAT_PER_BITCOIN, msat % MSAT_PER_BITCOIN);
    if rest % 1_000 == 0 { format!("{whole}.{:08}", rest / 1_000) } else { format!("{whole}.{rest:011}") }
}

/// Millisatoshis of a decimal in `BTC` or `SATS`; `None` when it has no exact value in them.
fn msat(decimal: &str, currency: &str) -> Option<u64> {
    let places = match currency {
        "BTC" => MSAT_PLACES,
        "SATS" => 3,
        _ => return None,
    };
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty()
        || fraction.len() > places
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{decimal, msat};

    #[test]
    fn amounts_are_exact_both_ways() {
        for (amount, text) in [
            (1_000, "0.00000001"),
            (1, "0.00000000001"),
            (50_000_000, "0.00050000"),
            (123_456, "0.00000123456"),
            (150_000_000_000, "1.50000000"),
            (u64::MAX, "184467440.73709551615"),
        ] {
            assert_eq!(decimal(amount), text);
            assert_eq!(msat(text, "BTC"), Some(amount));
        }
        assert_eq!(msat("5", "BTC"), Some(500_000_000_000));
        assert_eq!(msat("21", "SATS"), Some(21_000));
        assert_eq!(msat("0.001", "SATS"), Some(1));
    }

    #[test]
    fn what_has_no_exact_value_has_none() {
        for (text, currency) in [
            ("5.00", "USD"),
            ("0.000000000001", "BTC"),
            ("0.0001", "SATS"),
            ("-1", "BTC"),
            ("1e3", "BTC"),
            ("1,5", "BTC"),
            (".", "BTC"),
            ("", "BTC"),
            ("99999999999999999999", "BTC"),
        ] {
            assert_eq!(msat(text, currency), None, "{text} {currency}");
        }
    }
}
