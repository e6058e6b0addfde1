//! Events: the snapshot of an object at one moment, or (`v2`) only word that something happened to it.

use std::collections::BTreeSet;

use hyper::body::Bytes;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{kind::Kind, state::StripeState, version::render};

#[derive(Debug, Clone)]
pub(crate) struct StoredEvent {
    pub(crate) id: String,
    pub(crate) kind: String,
    /// The connected account it happened on.
    pub(crate) account: Option<String>,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    /// As it was then, with the members of every API version.
    pub(crate) object: Value,
    /// What changed members were before, or null.
    pub(crate) before: Value,
    pub(crate) request: Option<(String, Option<String>)>,
    /// Of a thin event: the object it is about, which is not sent along.
    pub(crate) thin: Option<Related>,
    /// Endpoints that have yet to answer 2xx.
    pub(crate) pending: BTreeSet<String>,
    /// Endpoints it was sent to in the first place: a body stays the same from try to try.
    pub(crate) told: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Related {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) url: String,
}

impl StoredEvent {
    pub(crate) fn json(&self, version: &str) -> Value {
        self.thin.as_ref().map_or_else(|| self.snapshot_json(version), |about| self.thin_json(about))
    }

    fn snapshot_json(&self, version: &str) -> Value {
        let mut object = self.object.clone();
        render(&mut object, version, &[]);
        let mut data = json!({ "object": object });
        if !self.before.is_null() {
            data["previous_attributes"] = self.before.clone();
        }
        let (request, key) = self.request.clone().unzip();
        let mut event = json!({
            "id": self.id,
            "object": "event",
            "api_version": version,
            "created": self.created,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": self.told,
            "request": {"id": request, "idempotency_key": key.flatten()},
            "type": self.kind,
        });
        if let Some(account) = &self.account {
            event["account"] = json!(account);
        }
        event
    }

    fn thin_json(&self, about: &Related) -> Value {
        let mut event = json!({
            "id": self.id,
            "object": "v2.core.event",
            "created": written(self.created),
            "livemode": self.livemode,
            "reason": null,
            "related_object": {"id": about.id, "type": about.kind, "url": about.url},
            "type": self.kind,
        });
        if let Some(account) = &self.account {
            event["context"] = json!(account);
        }
        event
    }

    /// Exactly what is sent and signed.
    pub(crate) fn body(&self, version: &str) -> Bytes {
        // JSON made here can be written.
        serde_json::to_vec_pretty(&self.json(version)).unwrap_or_default().into()
    }
}

/// A time as API v2 writes it.
pub(crate) fn written(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Years of four digits can be written.
    at.format(&Rfc3339).unwrap_or_default()
}

/// The object with the lists that older versions send along and newer ones on request.
pub(crate) fn snapshot(state: &StripeState, id: &str) -> Value {
    let Some(stored) = state.any(id) else { return Value::Null };
    let mut value = stored.value.clone();
    let (name, path) = match stored.kind {
        Kind::Charge => ("refunds", "charges"),
        Kind::Intent => ("charges", "payment_intents"),
        Kind::ApplicationFee => ("refunds", "application_fees"),
        Kind::Transfer => ("reversals", "transfers"),
        _ => return value,
    };
    let listed: Vec<Value> = state.children(id).map(|one| snapshot(state, &text(&one.value, "id"))).collect();
    value[name] = list(&listed, &format!("/v1/{path}/{id}/{name}"));
    value
}

pub(crate) fn list(data: &[Value], url: &str) -> Value {
    json!({"object": "list", "data": data, "has_more": false, "url": url})
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
