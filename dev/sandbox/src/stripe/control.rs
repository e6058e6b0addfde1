//! `/sandbox/stripe/…`: the handle over HTTP. The table stands in the crate's docs.

use std::time::Duration;

use anyhow::Context;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AccountState, NewEndpoint, Stripe};
use crate::Handle;

type Answer = anyhow::Result<(StatusCode, Value)>;

/// What is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    api_version: Option<String>,
    livemode: Option<bool>,
    retry_waits_millis: Option<Vec<u64>>,
    retry_factor: Option<f64>,
    answer_within_millis: Option<u64>,
    delay_millis: Option<u64>,
    scatter_millis: Option<u64>,
    drop_deliveries: Option<u64>,
    deliver_twice: Option<u64>,
    hold_deliveries: Option<u64>,
    /// How many, and seconds.
    sign_stale: Option<(u64, i64)>,
    /// Seconds since 1970.
    stop_clock: Option<i64>,
    step_clock: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    secret: String,
    #[serde(default)]
    keep_old_millis: u64,
}

/// An act, and what it needs besides the object.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Details {
    amount: Option<i64>,
    status: Option<String>,
    state: Option<AccountState>,
    paid: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPayout {
    account: Option<String>,
    amount: i64,
    currency: String,
}

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let ["stripe", rest @ ..] = segments else { return None };
    let stripe = sandbox.stripe();
    Some(match (method, rest) {
        (&Method::PUT, []) => set(&stripe, body),
        (&Method::GET, ["events"]) => Ok((StatusCode::OK, json!({"events": stripe.events()}))),
        (&Method::GET, ["events", object]) => {
            Ok((StatusCode::OK, json!({"events": stripe.events_of(object)})))
        }
        (&Method::GET, ["deliveries"]) => Ok((StatusCode::OK, json!({"deliveries": stripe.deliveries()}))),
        (&Method::POST, ["release"]) => {
            Ok((StatusCode::OK, json!({"released": stripe.release_deliveries()})))
        }
        (&Method::POST, ["endpoints"]) => add_endpoint(&stripe, body),
        (&Method::POST, ["endpoints", id, "rotate"]) => rotate(&stripe, id, body),
        (&Method::POST, ["accounts"]) => Ok((StatusCode::CREATED, json!({"id": stripe.add_account()}))),
        (&Method::POST, ["payouts"]) => add_payout(&stripe, body),
        (&Method::GET, ["objects", id]) => Ok(match stripe.object(id) {
            Some(object) => (StatusCode::OK, object),
            None => (StatusCode::NOT_FOUND, json!({"error": "no such object"})),
        }),
        (&Method::POST, ["objects", id, act]) => happen(&stripe, id, act, body)?,
        _ => return None,
    })
}

/// `None` for an act there is not.
fn happen(stripe: &Stripe, id: &str, act: &str, body: &[u8]) -> Option<Answer> {
    let details = if body.is_empty() { Ok(Details::default()) } else { serde_json::from_slice(body) };
    let Details { amount, status, state, paid } = match details {
        Ok(details) => details,
        Err(error) => return Some(Err(error.into())),
    };
    let status = status.unwrap_or_default();
    let made = |id: anyhow::Result<String>| id.map(|id| (StatusCode::CREATED, json!({"id": id})));
    let done = match act {
        "refund" => return Some(made(stripe.refund(id, amount))),
        "refund_later" => return Some(made(stripe.refund_later(id, amount))),
        "dispute" => return Some(made(stripe.open_dispute(id, amount, false))),
        "inquire" => return Some(made(stripe.open_dispute(id, amount, true))),
        "warn_of_fraud" => return Some(made(stripe.warn_of_fraud(id))),
        "pay" => stripe.pay(id),
        "pay_later" => stripe.pay_later(id),
        "decline" => stripe.decline(id),
        "hold" => stripe.hold(id),
        "capture" => stripe.capture(id),
        "succeed" => stripe.succeed(id),
        "fail" => stripe.fail(id),
        "expire" => stripe.expire_session(id),
        "finish_refund" => stripe.finish_refund(id),
        "fail_refund" => stripe.fail_refund(id),
        "move_dispute" => stripe.move_dispute(id, &status),
        "move_payout" => stripe.move_payout(id, &status),
        "renew" => stripe.renew(id, paid),
        "set_subscription" => stripe.set_subscription(id, &status),
        "close_invoice" => stripe.close_invoice(id, &status),
        "set_account" => state.context("a state is needed").and_then(|to| stripe.set_account(id, to)),
        "deauthorize" => stripe.deauthorize(id),
        _ => return None,
    };
    Some(done.map(|()| (StatusCode::OK, json!({}))))
}

fn add_endpoint(stripe: &Stripe, body: &[u8]) -> Answer {
    let new: NewEndpoint = serde_json::from_slice(body)?;
    let id = stripe.add_endpoint(new)?;
    Ok((StatusCode::CREATED, json!({"id": id})))
}

fn rotate(stripe: &Stripe, endpoint: &str, body: &[u8]) -> Answer {
    let Rotation { secret, keep_old_millis } = serde_json::from_slice(body)?;
    stripe.rotate_secret(endpoint, &secret, Duration::from_millis(keep_old_millis))?;
    Ok((StatusCode::OK, json!({})))
}

fn add_payout(stripe: &Stripe, body: &[u8]) -> Answer {
    let NewPayout { account, amount, currency } = serde_json::from_slice(body)?;
    let id = stripe.add_payout(account.as_deref(), amount, &currency);
    Ok((StatusCode::CREATED, json!({"id": id})))
}

fn set(stripe: &Stripe, body: &[u8]) -> Answer {
    let new: Settings = serde_json::from_slice(body).context("not the settings of stripe")?;
    new.retry_factor.map(|factor| stripe.set_retry_factor(factor)).transpose()?;
    new.api_version.map(|version| stripe.set_api_version(&version)).transpose()?;
    if let Some(waits) = new.retry_waits_millis {
        let waits: Vec<Duration> = waits.into_iter().map(Duration::from_millis).collect();
        stripe.set_retry_waits(&waits);
    }
    new.livemode.inspect(|livemode| stripe.set_livemode(*livemode));
    new.answer_within_millis.inspect(|millis| stripe.set_answer_within(Duration::from_millis(*millis)));
    new.delay_millis.inspect(|millis| stripe.delay_deliveries(Duration::from_millis(*millis)));
    new.scatter_millis.inspect(|millis| stripe.scatter_deliveries(Duration::from_millis(*millis)));
    new.drop_deliveries.inspect(|count| stripe.drop_deliveries(*count));
    new.deliver_twice.inspect(|count| stripe.deliver_twice(*count));
    new.hold_deliveries.inspect(|count| stripe.hold_deliveries(*count));
    new.sign_stale.inspect(|(count, seconds)| stripe.sign_stale(*count, *seconds));
    new.stop_clock.inspect(|at| stripe.stop_clock(*at));
    new.step_clock.inspect(|seconds| stripe.step_clock(*seconds));
    Ok((StatusCode::OK, json!({})))
}
