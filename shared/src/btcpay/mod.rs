//! BTCPay Server: stores, their Lightning node, webhooks and invoices.
//!
//! The Greenfield API knows no idempotency: what creates is [`Repeat::Unsafe`], and whoever gets
//! [`Failure::Ambiguous`](crate::upstream::Failure) looks for what it marked before it creates again.

mod answer;
mod id;
mod invoice;
mod store;
pub mod webhook;
mod webhooks;

use http::Method;
use tokio::time::Instant;

pub use id::{InvoiceId, StoreId, WebhookId};
pub use invoice::{AdditionalStatus, BtcpayInvoice, InvoiceStatus, NewInvoice};
pub use store::{LightningNode, Store};
pub use webhooks::Webhook;

use crate::config::Config;
use crate::upstream::{
    Answer, ApiKey, ApiKeyDocument, BaseUrl, Call, Keyed, Provider, Repeat, Scheme, Trouble, Upstream,
    UpstreamError, code,
};

/// A BTCPay Server and the key to it.
#[derive(Clone)]
pub struct Btcpay {
    base: BaseUrl,
    scheme: Scheme,
    keyed: Keyed,
}

impl Btcpay {
    /// Reads `BTCPAY_URL` and `BTCPAY_SECRET`; with neither of them there is no BTCPay.
    pub fn wire(config: &mut Config, upstream: &Upstream) -> Option<Self> {
        let url = config.optional("BTCPAY_URL");
        if url.is_none() && config.optional("BTCPAY_SECRET").is_none() {
            return None;
        }
        let url = config.text("BTCPAY_URL");
        let key = config.secret::<ApiKeyDocument, ApiKey>("BTCPAY_SECRET");
        let scheme = upstream.scheme();
        let base = BaseUrl::read(config, "BTCPAY_URL", &url, scheme)?;
        let keyed = Keyed {
            provider: Provider::Btcpay,
            upstream: upstream.clone(),
            key,
            sign: |call, key| {
                call.credential("authorization", &format!("token {}", key.expose()), key.expose())
            },
            refused: code::BTCPAY_KEY_REFUSED,
            unavailable: code::BTCPAY_KEY_UNAVAILABLE,
        };
        Some(Self { base, scheme, keyed })
    }

    /// The same server, whose calls end by `deadline`.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { keyed: self.keyed.until(deadline), ..self.clone() }
    }

    fn call(&self, repeat: Repeat, method: Method, path: &str) -> Call {
        Call::new(Provider::Btcpay, repeat, method, self.base.with(&format!("/api/v1{path}")))
    }

    async fn send<T>(
        &self,
        call: Call,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        self.keyed.send(call, |answer| read(answer::success(answer)?)).await
    }
}
