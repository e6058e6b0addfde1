//! Stripe at `/stripe/v1/…` and `/stripe/v2/…`.
//!
//! ```text
//! call               whose key, account and version      form, errors, idempotency, version     Stripe's own
//!   └─ api               one file for each family of endpoints
//! act                one thing that happens: objects change, events are told       state, kind     what is held
//!   ├─ payments, ledger    intents, charges, fees, transfers        checkout, subscriptions, refunds, disputes, payouts
//!   └─ accounts            one account, seen through v1 and v2
//! event, delivery    snapshots, signed and sent at once and in no order, three days long     endpoint, signature
//! handle             in a test's hands: happenings (what people do), trouble (what goes wrong)     control, family
//! ```
//!
//! The key is [`KEY`], as `Bearer` or for the name in Basic. Objects of one account (`Stripe-Account`) are invisible to
//! another; an account that is unknown or has taken its leave is 403. Prices are given on the spot (`price_data`), in
//! any currency. There is no money anywhere: every balance suffices.
//!
//! Objects carry the members that say who, what and how much, not all of Stripe's. They are held with the members of
//! every API version and shown in the one that was asked for. An event shows its object as it was at that moment, in the
//! version of the endpoint it is sent to; asked for, in the version the account is pinned to.

mod accounts;
mod act;
mod api;
mod call;
mod checkout;
pub(crate) mod control;
mod delivery;
mod disputes;
mod endpoint;
mod errors;
mod event;
mod family;
mod form;
mod handle;
mod happenings;
mod idempotency;
mod kind;
mod ledger;
mod payments;
mod payouts;
mod refunds;
mod signature;
mod state;
mod subscriptions;
mod trouble;
mod version;

use std::sync::Arc;

use hyper::{Request, StatusCode, body::Bytes, http::request::Parts};

pub use accounts::AccountState;
pub use handle::{Delivery, Event, NewEndpoint, Stripe};
pub use signature::sign;
pub(crate) use state::StripeState;
pub use version::API_VERSION;

use crate::{
    reply::Reply,
    world::{World, lock},
};

/// The key there is from the beginning.
pub const KEY: &str = state::DEFAULT_KEY;

/// What events of the platform's own objects are signed with, unless a test says otherwise.
pub const PLATFORM_SECRET: &str = "whsec_sandbox_platform_0001";

/// What events of connected accounts are signed with, unless a test says otherwise.
pub const CONNECT_SECRET: &str = "whsec_sandbox_connect_0001";

const PREFIX: &str = "/stripe";

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.uri.path().strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let Some(path) = request.uri().path().strip_prefix(PREFIX) else {
        return Reply::empty(StatusCode::NOT_FOUND);
    };
    call::answer(world, &mut lock(&world.stripe), request, path)
}
