use http::Method;
use serde::{Deserialize, Serialize};

use super::{Btcpay, StoreId, WebhookId};
use crate::crypto::Secret;
use crate::upstream::{Answer, MAX_LIST, Repeat, UpstreamError, code};

/// What a payment can come to. All of them are about invoices.
const EVENTS: &[&str] = &[
    "InvoiceReceivedPayment",
    "InvoiceProcessing",
    "InvoicePaymentSettled",
    "InvoiceSettled",
    "InvoiceExpired",
    "InvoiceInvalid",
];

/// A webhook as it is registered. BTCPay does not show its secret again, and we do not ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: String,
    pub enabled: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewWebhook<'a> {
    enabled: bool,
    automatic_redelivery: bool,
    url: &'a str,
    authorized_events: AuthorizedEvents,
    secret: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizedEvents {
    everything: bool,
    specific_events: &'static [&'static str],
}

impl Btcpay {
    pub async fn list_webhooks(&self, store: &StoreId) -> Result<Vec<Webhook>, UpstreamError> {
        let call = self.call(Repeat::Safe, Method::GET, &format!("/stores/{store}/webhooks"));
        self.send(call.limit(MAX_LIST), Answer::json).await
    }

    /// The secret is ours, so that it is stored before BTCPay knows it.
    pub async fn create_webhook(
        &self,
        store: &StoreId,
        url: &str,
        secret: &Secret<String>,
    ) -> Result<Webhook, UpstreamError> {
        let webhook = NewWebhook {
            enabled: true,
            automatic_redelivery: true,
            url,
            authorized_events: AuthorizedEvents { everything: false, specific_events: EVENTS },
            secret: secret.expose(),
        };
        let call = self.call(Repeat::Unsafe, Method::POST, &format!("/stores/{store}/webhooks"));
        self.send(call.json(&webhook).secret(secret.expose()), Answer::json).await
    }

    /// A webhook that is not there is deleted.
    pub async fn delete_webhook(&self, store: &StoreId, id: &WebhookId) -> Result<(), UpstreamError> {
        let call = self.call(Repeat::Safe, Method::DELETE, &format!("/stores/{store}/webhooks/{id}"));
        match self.send(call, |_| Ok(())).await {
            Err(error) if error.is(code::BTCPAY_NOT_FOUND) => Ok(()),
            other => other,
        }
    }
}
