//! `/sandbox/btcpay/…`: the handle over HTTP. The table stands in the crate's docs.

use std::time::Duration;

use anyhow::Context;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Btcpay;
use crate::Handle;

type Answer = anyhow::Result<(StatusCode, Value)>;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Quota {
    Unlimited,
    Most(usize),
}

/// What is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    store_quota: Option<Quota>,
    loopback_allowed: Option<bool>,
    synchronized: Option<bool>,
    retry_waits_millis: Option<Vec<u64>>,
    retry_factor: Option<f64>,
    answer_within_millis: Option<u64>,
    drop_deliveries: Option<u64>,
    deliver_twice: Option<u64>,
    hold_deliveries: Option<u64>,
    delay_millis: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    key: String,
    permissions: Vec<String>,
    #[serde(default)]
    administrator: bool,
}

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let ["btcpay", rest @ ..] = segments else { return None };
    let btcpay = sandbox.btcpay();
    Some(match (method, rest) {
        (&Method::PUT, []) => set(&btcpay, body),
        (&Method::POST, ["keys"]) => add_key(&btcpay, body),
        (&Method::DELETE, ["keys", key]) => Ok(if btcpay.revoke_key(key) {
            (StatusCode::OK, json!({}))
        } else {
            (StatusCode::NOT_FOUND, json!({"error": "no such key"}))
        }),
        (&Method::GET, ["stores"]) => Ok((StatusCode::OK, json!({"stores": btcpay.stores()}))),
        (&Method::GET, ["stores", store]) => Ok(match btcpay.store(store) {
            Some(store) => (StatusCode::OK, json!(store)),
            None => (StatusCode::NOT_FOUND, json!({"error": "no such store"})),
        }),
        (&Method::GET, ["stores", store, "invoices"]) => {
            Ok((StatusCode::OK, json!({"invoices": btcpay.invoices(store)})))
        }
        (&Method::POST, ["stores", store, "invoices", invoice, what]) => {
            happen(&btcpay, store, invoice, what)?.map(|()| (StatusCode::OK, json!({})))
        }
        (&Method::GET, ["deliveries"]) => Ok((StatusCode::OK, json!({"deliveries": btcpay.deliveries()}))),
        (&Method::POST, ["deliveries", delivery, "redeliver"]) => {
            btcpay.redeliver(delivery).map(|id| (StatusCode::OK, json!({"id": id})))
        }
        (&Method::POST, ["release"]) => {
            Ok((StatusCode::OK, json!({"released": btcpay.release_deliveries()})))
        }
        (&Method::PUT, ["webhooks", id, "secret"]) => new_secret(&btcpay, id, body),
        (&Method::POST, ["restart"]) => {
            btcpay.restart();
            Ok((StatusCode::OK, json!({})))
        }
        _ => return None,
    })
}

fn happen(btcpay: &Btcpay, store: &str, invoice: &str, what: &str) -> Option<anyhow::Result<()>> {
    Some(match what {
        "pay" => btcpay.pay_invoice(store, invoice),
        "expire" => btcpay.expire_invoice(store, invoice),
        "invalidate" => btcpay.invalidate_invoice(store, invoice),
        "settle" => btcpay.settle_by_hand(store, invoice),
        _ => return None,
    })
}

fn add_key(btcpay: &Btcpay, body: &[u8]) -> Answer {
    let NewKey { key, permissions, administrator } = serde_json::from_slice(body)?;
    let permissions: Vec<&str> = permissions.iter().map(String::as_str).collect();
    if administrator {
        btcpay.add_admin_key(&key, &permissions)?;
    } else {
        btcpay.add_key(&key, &permissions)?;
    }
    Ok((StatusCode::CREATED, json!({"key": key})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    secret: String,
}

fn new_secret(btcpay: &Btcpay, webhook: &str, body: &[u8]) -> Answer {
    let NewSecret { secret } = serde_json::from_slice(body)?;
    Ok(if btcpay.set_webhook_secret(webhook, &secret) {
        (StatusCode::OK, json!({}))
    } else {
        (StatusCode::NOT_FOUND, json!({"error": "no such webhook"}))
    })
}

fn set(btcpay: &Btcpay, body: &[u8]) -> Answer {
    let new: Settings = serde_json::from_slice(body).context("not the settings of btcpay")?;
    new.retry_factor.map(|factor| btcpay.set_retry_factor(factor)).transpose()?;
    match new.store_quota {
        None => {}
        Some(Quota::Unlimited) => btcpay.set_store_quota(None),
        Some(Quota::Most(stores)) => btcpay.set_store_quota(Some(stores)),
    }
    if let Some(allowed) = new.loopback_allowed {
        btcpay.set_loopback_allowed(allowed);
    }
    if let Some(synchronized) = new.synchronized {
        btcpay.set_synchronized(synchronized);
    }
    if let Some(waits) = new.retry_waits_millis {
        let waits: Vec<Duration> = waits.into_iter().map(Duration::from_millis).collect();
        btcpay.set_retry_waits(&waits);
    }
    if let Some(millis) = new.answer_within_millis {
        btcpay.set_answer_within(Duration::from_millis(millis));
    }
    if let Some(count) = new.drop_deliveries {
        btcpay.drop_deliveries(count);
    }
    if let Some(count) = new.deliver_twice {
        btcpay.deliver_twice(count);
    }
    if let Some(count) = new.hold_deliveries {
        btcpay.hold_deliveries(count);
    }
    if let Some(millis) = new.delay_millis {
        btcpay.delay_deliveries(Duration::from_millis(millis));
    }
    Ok((StatusCode::OK, json!({})))
}
