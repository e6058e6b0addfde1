//! The server in a test's hands.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use hyper::body::Bytes;
use serde::Serialize;

use super::{
    delivery::StoredDelivery,
    invoice::{Status, StoredInvoice},
    payments,
    permission::Permission,
    state::{BtcpayState, Settings, StoredStore},
    stores, webhook_deliveries,
};
use crate::world::{World, lock};

/// The server, as whoever runs it sees it.
#[derive(Clone)]
pub struct Btcpay(pub(crate) Arc<World>);

/// One store and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Store {
    pub id: String,
    pub name: String,
    pub website: Option<String>,
    pub payment_method: Option<PaymentMethod>,
    pub webhooks: Vec<Webhook>,
    /// Ids, oldest first.
    pub invoices: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentMethod {
    pub enabled: bool,
    pub connection_string: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Webhook {
    pub id: String,
    pub url: String,
    pub secret: String,
    pub enabled: bool,
    /// `None` is every event.
    pub events: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice {
    pub id: String,
    pub store: String,
    pub order_id: String,
    pub amount_msat: Option<u64>,
    pub paid_msat: u64,
    /// `New`, `Expired`, `Invalid` or `Settled`.
    pub status: &'static str,
    pub additional_status: &'static str,
    /// Once somebody looked for it.
    pub bolt11: Option<String>,
}

/// One delivery that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    pub id: String,
    pub original: String,
    pub webhook: String,
    pub store: String,
    pub invoice: String,
    /// `InvoiceSettled` and the like.
    pub event: &'static str,
    /// What the receiver answered, if it did.
    pub status: Option<u16>,
    pub error: Option<String>,
    /// What was sent.
    #[serde(skip)]
    pub body: Bytes,
}

impl Btcpay {
    /// What `BTCPAY_URL` is to be; `/api/v1/…` stands behind it.
    pub fn base_url(&self) -> String {
        format!("{}/btcpay", self.0.base_url)
    }

    /// A further key of the user the default key belongs to. Permissions are written as in the API.
    pub fn add_key(&self, key: &str, permissions: &[&str]) -> anyhow::Result<()> {
        self.add(key, false, permissions)
    }

    /// A key of an administrator.
    pub fn add_admin_key(&self, key: &str, permissions: &[&str]) -> anyhow::Result<()> {
        self.add(key, true, permissions)
    }

    fn add(&self, key: &str, administrator: bool, permissions: &[&str]) -> anyhow::Result<()> {
        let parse =
            |text: &&str| Permission::parse(text).with_context(|| format!("{text:?} is no permission"));
        let permissions: Vec<Permission> = permissions.iter().map(parse).collect::<Result<_, _>>()?;
        self.state(|state| state.add_key(key, administrator, permissions.into_iter()));
        Ok(())
    }

    /// Whether there was such a key.
    pub fn revoke_key(&self, key: &str) -> bool {
        self.state(|state| state.keys.remove(key).is_some())
    }

    /// How many stores one user may have; as many as he likes until said otherwise.
    pub fn set_store_quota(&self, quota: Option<usize>) {
        self.settings(|settings| settings.store_quota = quota);
    }

    /// Whether a connection string may point to this machine. `BTCPay` forbids it; the sandbox's nodes live there.
    pub fn set_loopback_allowed(&self, allowed: bool) {
        self.settings(|settings| settings.loopback_allowed = allowed);
    }

    pub fn set_synchronized(&self, synchronized: bool) {
        self.settings(|settings| settings.synchronized = synchronized);
    }

    /// Between the tries of a delivery: 10 s, 1 min and six times 10 min until said otherwise.
    pub fn set_retry_waits(&self, waits: &[Duration]) {
        self.settings(|settings| settings.waits = waits.to_vec());
    }

    /// The order in which stores and webhooks are listed: `BTCPay` promises none, and gives the oldest first until said
    /// otherwise.
    pub fn list_newest_first(&self, newest_first: bool) {
        self.state(|state| {
            state.settings.newest_first = newest_first;
            state.lists.clear();
        });
    }

    /// Shortens (or stretches) those waits for a test.
    pub fn set_retry_factor(&self, factor: f64) -> anyhow::Result<()> {
        anyhow::ensure!((0.0..=1000.0).contains(&factor), "factor {factor} is not between 0 and 1,000");
        self.settings(|settings| settings.wait_factor = factor);
        Ok(())
    }

    /// How long a receiver of webhooks may take to answer; 10 s until said otherwise.
    pub fn set_answer_within(&self, within: Duration) {
        self.settings(|settings| settings.answer_within = within);
    }

    /// A further store of the default key's user, without a call; gives its id.
    pub fn add_store(&self, name: &str, website: Option<&str>) -> anyhow::Result<String> {
        let mut state = lock(&self.0.btcpay);
        stores::insert(&self.0, &mut state, name, website).context("BTCPay would refuse this store")
    }

    /// Everything held, in the order of making.
    pub fn stores(&self) -> Vec<Store> {
        self.state(|state| state.all_stores().map(store).collect())
    }

    pub fn store(&self, id: &str) -> Option<Store> {
        self.state(|state| state.store(id).map(store))
    }

    /// Of one store, oldest first.
    pub fn invoices(&self, store: &str) -> Vec<Invoice> {
        self.state(|state| {
            let ids = state.store(store).map_or(&[][..], |store| &store.invoices);
            ids.iter().filter_map(|id| state.invoices.get(id)).map(invoice).collect()
        })
    }

    /// Somebody pays the whole invoice over Lightning: an invoice of a node of this sandbox is settled there too.
    /// Afterwards the webhooks are told, in `BTCPay`'s order. Of an expired one it is a late payment.
    pub fn pay_invoice(&self, store: &str, invoice: &str) -> anyhow::Result<()> {
        payments::pay(&self.0, store, invoice, None)
    }

    /// Somebody pays some other amount, which no node knows of.
    pub fn pay_invoice_msat(&self, store: &str, invoice: &str, msat: u64) -> anyhow::Result<()> {
        payments::pay(&self.0, store, invoice, Some(msat))
    }

    pub fn expire_invoice(&self, store: &str, invoice: &str) -> anyhow::Result<()> {
        payments::expire(&self.0, store, invoice)
    }

    /// An operator marks it invalid.
    pub fn invalidate_invoice(&self, store: &str, invoice: &str) -> anyhow::Result<()> {
        payments::mark(&self.0, store, invoice, Status::Invalid)
    }

    /// An operator marks it settled, though nobody paid.
    pub fn settle_by_hand(&self, store: &str, invoice: &str) -> anyhow::Result<()> {
        payments::mark(&self.0, store, invoice, Status::Settled)
    }

    /// Every delivery tried so far, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state(|state| state.deliveries.iter().map(describe).collect())
    }

    /// Sends it again, as the button in the server's pages does; gives the id of the new delivery.
    pub fn redeliver(&self, delivery: &str) -> anyhow::Result<String> {
        let again = self.state(|state| webhook_deliveries::redeliver(&self.0, state, delivery));
        again.context("no such delivery")
    }

    pub(super) fn settings(&self, change: impl FnOnce(&mut Settings)) {
        self.state(|state| change(&mut state.settings));
    }

    pub(super) fn state<T>(&self, act: impl FnOnce(&mut BtcpayState) -> T) -> T {
        act(&mut lock(&self.0.btcpay))
    }
}

fn store(store: &StoredStore) -> Store {
    let website = Some(store.setting("website")).filter(|website| !website.is_empty());
    let method = store.method.as_ref().map(|method| PaymentMethod {
        enabled: method.enabled,
        connection_string: method.connection_string.clone(),
    });
    let webhooks = store.webhooks.iter().map(|webhook| Webhook {
        id: webhook.id.clone(),
        url: webhook.url.clone(),
        secret: webhook.secret.clone(),
        enabled: webhook.enabled,
        events: webhook.events.clone(),
    });
    Store {
        id: store.id.clone(),
        name: store.setting("name").to_owned(),
        website: website.map(str::to_owned),
        payment_method: method,
        webhooks: webhooks.collect(),
        invoices: store.invoices.clone(),
    }
}

fn invoice(invoice: &StoredInvoice) -> Invoice {
    Invoice {
        id: invoice.id.clone(),
        store: invoice.store.clone(),
        order_id: invoice.metadata_text("orderId"),
        amount_msat: invoice.msat,
        paid_msat: invoice.paid_msat(),
        status: invoice.status.name(),
        additional_status: invoice.additional.name(),
        bolt11: invoice.prompt.as_ref().map(|prompt| prompt.bolt11.clone()),
    }
}

fn describe(delivery: &StoredDelivery) -> Delivery {
    Delivery {
        id: delivery.attempt.delivery.clone(),
        original: delivery.attempt.original.clone(),
        webhook: delivery.attempt.webhook.clone(),
        store: delivery.event.store.clone(),
        invoice: delivery.event.invoice.clone(),
        event: delivery.event.kind,
        status: delivery.outcome.status(),
        error: delivery.outcome.error(),
        body: delivery.body.clone(),
    }
}
