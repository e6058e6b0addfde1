//! `/stores/{id}/webhooks` and `/webhooks/{id}`.

use std::collections::VecDeque;

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    call::{Call, method_not_allowed},
    errors::{Answer, Refusal},
    permission::MODIFY_WEBHOOKS,
    state::StoredWebhook,
};
use crate::{Service, reply::Reply, world::lock};

pub(crate) fn all(call: &mut Call<'_>, store: &str) -> Answer {
    match *call.method {
        Method::GET => {
            let webhooks = &call.store(MODIFY_WEBHOOKS, store)?.webhooks;
            let mut list: Vec<Value> = webhooks.iter().map(describe).collect();
            if call.state.settings.newest_first {
                list.reverse();
            }
            Ok(Reply::json(StatusCode::OK, &Value::Array(list)))
        }
        Method::POST => create(call, store),
        _ => Err(method_not_allowed()),
    }
}

pub(crate) fn one(call: &mut Call<'_>, named_store: Option<&str>, id: &str) -> Answer {
    let store = call.store_of(MODIFY_WEBHOOKS, named_store, call.state.webhook_stores.get(id))?;
    if call.state.webhook_stores.get(id) != Some(&store) {
        return Err(not_found());
    }
    match *call.method {
        Method::GET => {}
        Method::PUT => {
            let wanted = Wanted::read(&call.members()?)?;
            let webhook = call.state.webhook_mut(id).ok_or_else(not_found)?;
            webhook.enabled = wanted.enabled;
            webhook.automatic_redelivery = wanted.automatic_redelivery;
            webhook.url = wanted.url;
            webhook.events = wanted.events;
            if let Some(secret) = wanted.secret {
                webhook.secret = secret;
            }
        }
        Method::DELETE => {
            if let Some(store) = call.state.store_mut(&store) {
                store.webhooks.retain(|webhook| webhook.id != id);
            }
            call.state.webhook_stores.remove(id);
            lock(&call.world.counts).deleted(Service::Btcpay, "webhook");
            return Ok(Reply::empty(StatusCode::OK));
        }
        _ => return Err(method_not_allowed()),
    }
    Ok(Reply::json(StatusCode::OK, &describe(call.state.webhook(id).ok_or_else(not_found)?)))
}

pub(crate) fn not_found() -> Refusal {
    Refusal::not_found("webhook-not-found", "webhook")
}

/// The secret is told once, to whoever makes the webhook.
fn create(call: &mut Call<'_>, store: &str) -> Answer {
    call.store(MODIFY_WEBHOOKS, store)?;
    let wanted = Wanted::read(&call.members()?)?;
    let id = call.state.new_id::<16>("webhook");
    let secret = wanted.secret.unwrap_or_else(|| call.state.new_id::<20>("webhook secret"));
    let webhook = StoredWebhook {
        id: id.clone(),
        enabled: wanted.enabled,
        automatic_redelivery: wanted.automatic_redelivery,
        url: wanted.url,
        events: wanted.events,
        secret,
        queue: VecDeque::new(),
        busy: false,
        deliveries: Vec::new(),
    };
    let mut answer = describe(&webhook);
    answer["secret"] = json!(webhook.secret);
    call.state.webhook_stores.insert(id, store.to_owned());
    call.store_mut(MODIFY_WEBHOOKS, store)?.webhooks.push(webhook);
    lock(&call.world.counts).created(Service::Btcpay, "webhook");
    Ok(Reply::json(StatusCode::OK, &answer))
}

fn describe(webhook: &StoredWebhook) -> Value {
    json!({
        "id": webhook.id,
        "enabled": webhook.enabled,
        "automaticRedelivery": webhook.automatic_redelivery,
        "url": webhook.url,
        "authorizedEvents": {
            "everything": webhook.events.is_none(),
            "specificEvents": webhook.events.as_deref().unwrap_or_default(),
        },
    })
}

struct Wanted {
    enabled: bool,
    automatic_redelivery: bool,
    url: String,
    events: Option<Vec<String>>,
    secret: Option<String>,
}

impl Wanted {
    fn read(members: &Map<String, Value>) -> Result<Self, Refusal> {
        let flag = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(true),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Refusal::invalid(name, "true or false is expected")),
        };
        let url = members.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
        if url::Url::parse(&url).is_err() {
            return Err(Refusal::invalid("url", "this is no absolute URL"));
        }
        let authorized = members.get("authorizedEvents").and_then(Value::as_object);
        let specific = authorized.and_then(|events| events.get("specificEvents")).and_then(Value::as_array);
        let named = || specific.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let everything = authorized.and_then(|events| events.get("everything")).and_then(Value::as_bool);
        let secret = members.get("secret").and_then(Value::as_str).filter(|secret| !secret.is_empty());
        Ok(Self {
            enabled: flag("enabled")?,
            automatic_redelivery: flag("automaticRedelivery")?,
            url,
            events: if everything.unwrap_or(true) { None } else { Some(named()) },
            secret: secret.map(str::to_owned),
        })
    }
}
