//! Webhooks on their way: one queue per webhook, in order, in memory, tried again when it may help.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use hyper::{body::Bytes, header::HeaderName};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    event::{Attempt, Event, Happening},
    state::BtcpayState,
};
use crate::{
    clock,
    post::{Outcome, post},
    world::{World, lock},
};

const SIGNATURE: HeaderName = HeaderName::from_static("btcpay-sig");

/// One delivery that was tried: nothing is written down before that.
#[derive(Debug, Clone)]
pub(crate) struct StoredDelivery {
    pub(crate) attempt: Attempt,
    pub(crate) event: Event,
    pub(crate) body: Bytes,
    pub(crate) delivered: i64,
    pub(crate) outcome: Outcome,
}

/// Whether another try may help.
fn may_be_retried(outcome: &Outcome) -> bool {
    matches!(outcome.status(), None | Some(408 | 429 | 500..=599))
}

impl StoredDelivery {
    pub(crate) fn json(&self) -> Value {
        let (status, error) = match &self.outcome {
            Outcome::Answered(200..=299) => ("HttpSuccess", None),
            Outcome::Answered(code) => ("HttpError", Some(format!("HTTP Error Code {code}"))),
            Outcome::Failed(why) => ("Failed", Some(why.clone())),
        };
        json!({
            "id": self.attempt.delivery,
            "timestamp": self.event.timestamp,
            "deliveryTime": self.delivered,
            "httpCode": self.outcome.status(),
            "errorMessage": error,
            "status": status,
        })
    }
}

/// Tells every webhook of the invoice's store that asked to be told.
pub(crate) fn emit(world: &Arc<World>, state: &mut BtcpayState, invoice: &str, happenings: Vec<Happening>) {
    let Some(known) = state.invoices.get(invoice) else { return };
    let (store, metadata) = (known.store.clone(), json!(known.metadata));
    let timestamp = clock::now().unix_timestamp();
    for (kind, mut members) in happenings {
        members.push(("metadata", metadata.clone()));
        let event = Event { kind, store: store.clone(), invoice: invoice.to_owned(), timestamp, members };
        let Some(store) = state.store(&store) else { return };
        let interested = |events: &Option<Vec<String>>| {
            events.as_ref().is_none_or(|events| events.iter().any(|name| name == kind))
        };
        let webhooks = store.webhooks.iter().filter(|webhook| webhook.enabled && interested(&webhook.events));
        for webhook in webhooks.map(|webhook| webhook.id.clone()).collect::<Vec<_>>() {
            enqueue(world, state, &webhook, Queued::First(event.clone()));
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Queued {
    First(Event),
    /// With the id promised to whoever asked for it.
    Again(Event, Attempt),
}

pub(crate) fn enqueue(world: &Arc<World>, state: &mut BtcpayState, webhook: &str, what: Queued) {
    if state.settings.drop_next > 0 {
        state.settings.drop_next -= 1;
        return;
    }
    if state.settings.hold_next > 0 {
        state.settings.hold_next -= 1;
        state.held.push((webhook.to_owned(), what));
        if state.settings.hold_next == 0 {
            release(world, state);
        }
        return;
    }
    append(world, state, webhook, what);
}

/// All that are held, in an order drawn from the seed.
pub(crate) fn release(world: &Arc<World>, state: &mut BtcpayState) -> usize {
    state.settings.hold_next = 0;
    let held = std::mem::take(&mut state.held);
    let (count, label) = (held.len(), format!("btcpay order {}", state.deliveries.len()));
    for (webhook, what) in state.seed.shuffle(&label, held) {
        append(world, state, &webhook, what);
    }
    count
}

fn append(world: &Arc<World>, state: &mut BtcpayState, webhook: &str, what: Queued) {
    let Some(known) = state.webhook_mut(webhook) else { return };
    known.queue.push_back(what);
    if !known.busy {
        known.busy = true;
        world.runtime.spawn(work_off(Arc::clone(world), webhook.to_owned()));
    }
}

async fn work_off(world: Arc<World>, webhook: String) {
    let mut stopped = world.stopped.clone();
    let all = async {
        while let Some((next, mut restarted)) = take(&world, &webhook) {
            tokio::select! { _ = restarted.changed() => {} () = deliver(&world, &webhook, next) => {} }
        }
    };
    // An error of the channel means that the sandbox was dropped.
    tokio::select! { _ = stopped.changed() => {} () = all => {} }
}

fn take(world: &World, webhook: &str) -> Option<(Queued, watch::Receiver<()>)> {
    let mut state = lock(&world.btcpay);
    let restarted = state.restarted.subscribe();
    let known = state.webhook_mut(webhook)?;
    let next = known.queue.pop_front();
    known.busy = next.is_some();
    next.map(|next| (next, restarted))
}

async fn deliver(world: &World, webhook: &str, next: Queued) {
    let (event, attempt) = match next {
        Queued::First(event) => {
            let attempt = first_attempt(&mut lock(&world.btcpay), webhook);
            (event, attempt)
        }
        Queued::Again(event, attempt) => (event, attempt),
    };
    let delay = lock(&world.btcpay).settings.delay;
    tokio::time::sleep(delay).await;
    let original = attempt.original.clone();
    let mut attempt = Some(attempt);
    let mut waits = retry_waits(&lock(&world.btcpay)).into_iter();
    while let Some(this) = attempt.take() {
        let Some(outcome) = send(world, &event, this).await else { return };
        let Some(wait) = waits.next().filter(|_| may_be_retried(&outcome)) else { return };
        tokio::time::sleep(wait).await;
        let mut state = lock(&world.btcpay);
        let automatic = state.webhook(webhook).is_some_and(|w| w.enabled && w.automatic_redelivery);
        if automatic {
            attempt = Some(further_attempt(&mut state, webhook, original.clone()));
        }
    }
}

fn first_attempt(state: &mut BtcpayState, webhook: &str) -> Attempt {
    let delivery = state.new_id::<16>("delivery");
    Attempt { webhook: webhook.to_owned(), original: delivery.clone(), delivery }
}

pub(crate) fn further_attempt(state: &mut BtcpayState, webhook: &str, original: String) -> Attempt {
    Attempt { webhook: webhook.to_owned(), delivery: state.new_id::<16>("delivery"), original }
}

fn retry_waits(state: &BtcpayState) -> Vec<Duration> {
    let settings = &state.settings;
    settings.waits.iter().map(|wait| wait.mul_f64(settings.wait_factor)).collect()
}

/// `None` when the webhook is gone or off.
async fn send(world: &World, event: &Event, attempt: Attempt) -> Option<Outcome> {
    let (url, body, signature, within, times) = {
        let mut state = lock(&world.btcpay);
        let body = event.body(&attempt, state.seed);
        let webhook = state.webhook(&attempt.webhook).filter(|webhook| webhook.enabled)?;
        let signature = sign(&webhook.secret, body.as_bytes());
        let (url, within) = (webhook.url.clone(), state.settings.answer_within);
        let twice = state.settings.double_next > 0;
        state.settings.double_next = state.settings.double_next.saturating_sub(1);
        (url, Bytes::from(body), signature, within, if twice { 2 } else { 1 })
    };
    let mut outcome = Outcome::Failed(String::new());
    for _ in 0..times {
        outcome = post(&url, (SIGNATURE, &signature), body.clone(), within).await;
    }
    let delivered = clock::now().unix_timestamp();
    let mut state = lock(&world.btcpay);
    let number = state.deliveries.len();
    state.delivery_numbers.insert(attempt.delivery.clone(), number);
    if let Some(webhook) = state.webhook_mut(&attempt.webhook) {
        webhook.deliveries.push(number);
    }
    let (event, outcome_kept) = (event.clone(), outcome.clone());
    state.deliveries.push(StoredDelivery { attempt, event, body, delivered, outcome: outcome_kept });
    Some(outcome)
}

pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    format!("sha256={}", HEXLOWER.encode(tag.as_ref()))
}
