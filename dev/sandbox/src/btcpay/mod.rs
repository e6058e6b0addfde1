//! BTCPay Server's Greenfield API at `/btcpay/api/v1/…`.
//!
//! ```text
//! call               who asks, what he may, which endpoint        permission, errors   Greenfield's own
//!   ├─ stores              /stores                                store_data           41 settings, one table
//!   ├─ payment_methods     …/payment-methods/BTC-LN               connection_string    taken apart, safe or not
//!   ├─ webhooks            …/webhooks, webhook_deliveries         delivery, event      queues, retries, signed bytes
//!   ├─ invoices            …/invoices                             invoice, amount      states, money without fractions
//!   ├─ lightning           …/lightning/BTC/invoices               node                 a node of this sandbox
//!   └─ keys                /api-keys, /users
//! payments           money arriving, marks by hand                handle, control, trouble   in a test's hands
//! ```
//!
//! The default key is `sandbox-btcpay-key`: an ordinary user's, for all stores, with `canmodifystoresettings`,
//! `canmodifywebhooks`, `cancreateinvoice`, `canviewinvoices` and `canviewstoresettings`. Permissions include others
//! as they do in BTCPay, and a store that is gone is answered like one of somebody else: 403 `missing-permission`.
//!
//! A connection string that leads to a node of this sandbox is tried out at once, in the same process, and so not
//! counted as a call to the node; one that leads elsewhere is taken on trust, and its invoices never have a BOLT11.
//! Invoices are priced in `BTC` or `SATS`. Webhooks are delivered over `http://` only.

mod amount;
mod call;
mod connection_string;
pub(crate) mod control;
mod delivery;
mod errors;
mod event;
mod handle;
mod invoice;
mod invoices;
mod keys;
mod lightning;
mod node;
mod payment_methods;
mod payments;
mod permission;
mod state;
mod store_data;
mod stores;
mod trouble;
mod webhook_deliveries;
mod webhooks;

use std::sync::Arc;

use hyper::{Request, StatusCode, body::Bytes, http::request::Parts};

pub use handle::{Btcpay, Delivery, Invoice, PaymentMethod, Store, Webhook};
pub(crate) use payments::lightning_paid;
pub(crate) use state::BtcpayState;

use crate::{
    reply::Reply,
    world::{World, lock},
};

/// The key there is from the beginning.
pub const DEFAULT_KEY: &str = state::DEFAULT_KEY;

const PREFIX: &str = "/btcpay";

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.uri.path().strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let path = request.uri().path().strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("/api/v1/"));
    let Some(path) = path else { return Reply::empty(StatusCode::NOT_FOUND) };
    let mut state = lock(&world.btcpay);
    call::Call::new(world, &mut state, request).answer(path).unwrap_or_else(errors::Refusal::reply)
}
