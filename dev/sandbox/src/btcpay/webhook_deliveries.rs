//! `…/webhooks/{id}/deliveries`: what was sent, and sending it again.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    call::{Call, method_not_allowed},
    delivery::{Queued, StoredDelivery, enqueue, further_attempt},
    errors::{Answer, Refusal},
    permission::MODIFY_WEBHOOKS,
    state::BtcpayState,
    webhooks,
};
use crate::{reply::Reply, world::World};

pub(crate) fn answer(call: &mut Call<'_>, named_store: Option<&str>, webhook: &str, rest: &[&str]) -> Answer {
    let store = call.store_of(MODIFY_WEBHOOKS, named_store, call.state.webhook_stores.get(webhook))?;
    if call.state.webhook_stores.get(webhook) != Some(&store) {
        return Err(webhooks::not_found());
    }
    match (call.method, rest) {
        (&Method::GET, []) => {
            let count = call.parameter("count").and_then(|count| count.parse().ok()).unwrap_or(usize::MAX);
            let known = call.state.webhook(webhook).ok_or_else(webhooks::not_found)?;
            let newest = known.deliveries.iter().rev().take(count);
            let list = newest.filter_map(|at| call.state.deliveries.get(*at)).map(StoredDelivery::json);
            Ok(Reply::json(StatusCode::OK, &Value::Array(list.collect())))
        }
        (&Method::GET, [id]) => Ok(Reply::json(StatusCode::OK, &find(call.state, webhook, id)?.json())),
        (&Method::GET, [id, "request"]) => {
            Ok(Reply::prepared(StatusCode::OK, find(call.state, webhook, id)?.body.clone()))
        }
        (&Method::POST, [id, "redeliver"]) => {
            find(call.state, webhook, id)?;
            let again = redeliver(call.world, call.state, id).ok_or_else(not_found)?;
            Ok(Reply::json(StatusCode::OK, &json!(again)))
        }
        (_, [] | [_] | [_, "request" | "redeliver"]) => Err(method_not_allowed()),
        _ => Err(Refusal::Bare(StatusCode::NOT_FOUND)),
    }
}

fn not_found() -> Refusal {
    Refusal::not_found("webhookdelivery-not-found", "webhook delivery")
}

fn find<'a>(state: &'a BtcpayState, webhook: &str, id: &str) -> Result<&'a StoredDelivery, Refusal> {
    let known = state.delivery_numbers.get(id).and_then(|at| state.deliveries.get(*at));
    known.filter(|delivery| delivery.attempt.webhook == webhook).ok_or_else(not_found)
}

/// The id of the new delivery, which is still to come.
pub(crate) fn redeliver(world: &Arc<World>, state: &mut BtcpayState, id: &str) -> Option<String> {
    let known = state.delivery_numbers.get(id).and_then(|at| state.deliveries.get(*at))?;
    let (event, attempt) = (known.event.clone(), known.attempt.clone());
    let attempt = further_attempt(state, &attempt.webhook, attempt.original);
    let (again, webhook) = (attempt.delivery.clone(), attempt.webhook.clone());
    enqueue(world, state, &webhook, Queued::Again(event, attempt));
    Some(again)
}
