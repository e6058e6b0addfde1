//! Stripe in a test's hands: its keys, clock, endpoints, and what it sent.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    act::Act,
    call::known_version,
    delivery::StoredDelivery,
    endpoint::{Endpoint, Secret},
    event::{StoredEvent, snapshot},
    state::StripeState,
};
use crate::world::{World, lock};

/// Stripe, as itself and its customers see it: what happens there, and how deliveries go wrong.
#[derive(Clone)]
pub struct Stripe(pub(crate) Arc<World>);

/// A webhook endpoint to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewEndpoint {
    pub url: String,
    /// `None` draws one.
    pub secret: Option<String>,
    /// Of connected accounts' events, else of the platform's.
    pub connect: bool,
    /// Of API v2's thin events, else of v1's snapshots.
    pub thin: bool,
    /// `None` is every event.
    pub events: Option<Vec<String>>,
    /// `None` is the version the account is pinned to.
    pub api_version: Option<String>,
}

/// One event that came to be, whether or not anybody was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    pub id: String,
    /// `checkout.session.completed` and the like.
    pub kind: String,
    pub account: Option<String>,
    /// Seconds since 1970.
    pub created: i64,
    pub thin: bool,
    /// The id of the object it is about.
    pub object: String,
    /// What would be sent, to be signed with [`sign`](super::sign).
    #[serde(skip)]
    pub body: Bytes,
}

/// One try of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    pub endpoint: String,
    pub event: String,
    pub kind: String,
    /// What the receiver answered, if it did.
    pub status: Option<u16>,
    pub error: Option<String>,
    #[serde(skip)]
    pub signature: String,
    #[serde(skip)]
    pub body: Bytes,
}

impl Stripe {
    /// What `STRIPE_URL` is to be; `/v1/…` and `/v2/…` stand behind it.
    pub fn base_url(&self) -> String {
        format!("{}/stripe", self.0.base_url)
    }

    pub fn add_key(&self, key: &str) {
        self.state(|state| state.keys.insert(key.to_owned()));
    }

    /// Whether there was such a key.
    pub fn revoke_key(&self, key: &str) -> bool {
        self.state(|state| state.keys.remove(key))
    }

    /// What requests and endpoints that name no version get.
    pub fn set_api_version(&self, version: &str) -> anyhow::Result<()> {
        known_version(version)?;
        self.state(|state| version.clone_into(&mut state.settings.api_version));
        Ok(())
    }

    /// What objects and events from now on say of themselves.
    pub fn set_livemode(&self, livemode: bool) {
        self.state(|state| state.settings.livemode = livemode);
    }

    /// Seconds since 1970 on Stripe's clock.
    pub fn now(&self) -> i64 {
        self.state(|state| state.now())
    }

    /// The clock stands still at this second: all that happens, happens within it.
    pub fn stop_clock(&self, at: i64) {
        self.state(|state| state.stopped_at = Some(at));
    }

    /// The clock goes, and is right.
    pub fn start_clock(&self) {
        self.state(|state| (state.stopped_at, state.ahead) = (None, 0));
    }

    /// So many seconds on, or back. Signatures are always of the real time.
    pub fn step_clock(&self, seconds: i64) {
        self.state(|state| match &mut state.stopped_at {
            Some(at) => *at += seconds,
            None => state.ahead += seconds,
        });
    }

    /// Under [`PLATFORM_SECRET`](super::PLATFORM_SECRET), for every event of the platform's; gives its id.
    pub fn add_platform_endpoint(&self, url: &str) -> anyhow::Result<String> {
        let secret = Some(super::PLATFORM_SECRET.to_owned());
        self.add_endpoint(NewEndpoint { url: url.to_owned(), secret, ..NewEndpoint::default() })
    }

    /// Under [`CONNECT_SECRET`](super::CONNECT_SECRET), for every event of connected accounts; gives its id.
    pub fn add_connect_endpoint(&self, url: &str) -> anyhow::Result<String> {
        let secret = Some(super::CONNECT_SECRET.to_owned());
        self.add_endpoint(NewEndpoint {
            url: url.to_owned(),
            secret,
            connect: true,
            ..NewEndpoint::default()
        })
    }

    pub fn add_endpoint(&self, new: NewEndpoint) -> anyhow::Result<String> {
        url::Url::parse(&new.url).with_context(|| format!("{:?} is no URL", new.url))?;
        new.api_version.as_deref().map(known_version).transpose()?;
        Ok(self.state(|state| {
            let id = state.new_id("we_1", 23);
            let text = new.secret.unwrap_or_else(|| state.new_id("whsec_", 32));
            state.endpoints.push(Endpoint {
                id: id.clone(),
                url: new.url,
                connect: new.connect,
                thin: new.thin,
                events: new.events,
                api_version: new.api_version,
                enabled: true,
                secrets: vec![Secret { text, until_millis: None }],
                created: state.now(),
                description: None,
                metadata: json!({}),
            });
            id
        }))
    }

    /// A disabled endpoint hears nothing, and tries under way end.
    pub fn set_endpoint_enabled(&self, endpoint: &str, enabled: bool) -> anyhow::Result<()> {
        self.endpoint(endpoint, |known| known.enabled = enabled)
    }

    pub(crate) fn endpoint<T>(&self, id: &str, act: impl FnOnce(&mut Endpoint) -> T) -> anyhow::Result<T> {
        let mut state = lock(&self.0.stripe);
        let known = state.endpoints.iter_mut().find(|endpoint| endpoint.id == id);
        known.map(act).with_context(|| format!("there is no endpoint {id:?}"))
    }

    /// All there were, oldest first, as an endpoint without a version of its own is told.
    pub fn events(&self) -> Vec<Event> {
        self.state(|state| state.events.iter().map(|one| event(state, one)).collect())
    }

    /// Those of an object, and of what belongs to it: of a session also those of its intent, charges, refunds and
    /// disputes; of a subscription also those of its invoices. Oldest first.
    pub fn events_of(&self, object: &str) -> Vec<Event> {
        self.state(|state| {
            let family = super::family::of(state, object);
            let about = |one: &&StoredEvent| family.contains(one.object["id"].as_str().unwrap_or_default());
            state.events.iter().filter(about).map(|one| event(state, one)).collect()
        })
    }

    /// The body of an event as an endpoint of this version is told.
    pub fn body_of(&self, event: &str, api_version: &str) -> Option<Bytes> {
        self.state(|state| state.events.iter().find(|one| one.id == event).map(|one| one.body(api_version)))
    }

    /// An object as it is now, with the members of every version.
    pub fn object(&self, id: &str) -> Option<Value> {
        self.state(|state| state.any(id).map(|_| snapshot(state, id)))
    }

    /// Every try so far, in the order they were answered.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state(|state| state.deliveries.iter().map(delivery).collect())
    }

    /// Waits until nobody works on a delivery any more; those held do not count, those to be tried again do.
    pub async fn quiet(&self, within: Duration) -> anyhow::Result<()> {
        let all = async {
            while self.state(|state| state.under_way > 0) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(within, all).await.context("deliveries are still under way")
    }

    /// On the account the object belongs to.
    pub(crate) fn act<T>(&self, object: &str, act: impl FnOnce(Act<'_>) -> T) -> T {
        self.state(|state| {
            let account = state.any(object).and_then(|one| one.account.clone());
            act(Act { world: &self.0, state, account, request: None })
        })
    }

    pub(crate) fn state<T>(&self, act: impl FnOnce(&mut StripeState) -> T) -> T {
        act(&mut lock(&self.0.stripe))
    }
}

fn event(state: &StripeState, event: &StoredEvent) -> Event {
    Event {
        id: event.id.clone(),
        kind: event.kind.clone(),
        account: event.account.clone(),
        created: event.created,
        thin: event.thin.is_some(),
        object: super::event::text(&event.object, "id"),
        body: event.body(&state.settings.api_version),
    }
}

fn delivery(one: &StoredDelivery) -> Delivery {
    Delivery {
        endpoint: one.endpoint.clone(),
        event: one.event.clone(),
        kind: one.kind.clone(),
        status: one.outcome.status(),
        error: one.outcome.error(),
        signature: one.signature.clone(),
        body: one.body.clone(),
    }
}
