//! `Idempotency-Key`.

use http_body_util::Full;
use hyper::{HeaderMap, Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sandbox::{Misbehaviour, Route, STRIPE_KEY, Service, When};
use serde_json::json;

use crate::stripe::{SESSION, made, world};

const SESSIONS: &str = "/v1/checkout/sessions";

/// The headers of the answer.
pub async fn headers(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<HeaderMap> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.body(Full::<Bytes>::from(body.to_owned()))?).await?;
    Ok(answer.headers().clone())
}

#[tokio::test]
async fn the_same_key_and_parameters_are_answered_as_before() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let once = api.with("idempotency-key", "checkout:1");
    let first = once.post(SESSIONS, SESSION).await?;
    let turned: Vec<&str> = SESSION.split('&').rev().collect();
    assert_eq!(once.post(SESSIONS, &turned.join("&")).await?, first, "in whatever order");
    assert_eq!(made(&sandbox, "checkout_session"), (1, 0));
    let bearer = format!("Bearer {STRIPE_KEY}");
    let (url, key) = (format!("{}{SESSIONS}", api.base), "idempotency-key");
    for (name, replayed) in [("checkout:1", true), ("checkout:2", false)] {
        let got = headers("POST", &url, &[("authorization", &bearer), (key, name)], SESSION).await?;
        assert_eq!(got.get("idempotent-replayed").is_some_and(|value| value == "true"), replayed);
    }
    let (status, refused) = once.ask("POST", SESSIONS, &SESSION.replace("=1000", "=999")).await?;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("idempotency_error")));
    let (status, refused) = once.ask("POST", "/v1/refunds", SESSION).await?;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("idempotency_error")), "of another path");
    assert_eq!(made(&sandbox, "checkout_session"), (2, 0));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_was_refused_is_not_kept_and_a_declined_card_is() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let once = api.with("idempotency-key", "k");
    assert_eq!(once.ask("POST", SESSIONS, "mode=payment").await?.0, 400);
    assert_eq!(once.ask("POST", SESSIONS, SESSION).await?.0, 200, "the key was still free");
    let once = api.with("idempotency-key", "card");
    let declined = "amount=700&currency=eur&payment_method=pm_card_chargeDeclined&confirm=true";
    let first = once.ask("POST", "/v1/payment_intents", declined).await?;
    assert_eq!(first.0, 402);
    assert_eq!(once.ask("POST", "/v1/payment_intents", declined).await?, first);
    assert_eq!(made(&sandbox, "charge"), (1, 0));
    let long = api.with("idempotency-key", &"k".repeat(256));
    assert_eq!(long.ask("POST", SESSIONS, SESSION).await?.0, 400);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_again_by_its_key() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let route = Route::service(Service::Stripe).method("POST").path("/stripe/v1/checkout");
    let lost = Misbehaviour::FailAfter { status: 500, body: "lost".into() };
    sandbox.faults().add(route, When::Times(1), lost)?;
    let once = api.with("idempotency-key", "k");
    assert!(once.ask("POST", SESSIONS, SESSION).await.is_err(), "no JSON");
    once.post(SESSIONS, SESSION).await?;
    assert_eq!(made(&sandbox, "checkout_session"), (1, 0), "the work had been done");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_key_means_something_else_on_each_account() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let account = stripe.add_account();
    let once = api.with("idempotency-key", "k");
    let own = once.post(SESSIONS, SESSION).await?;
    let other = once.with("stripe-account", &account).post(SESSIONS, SESSION).await?;
    assert_ne!(own["id"], other["id"]);
    assert_eq!(made(&sandbox, "checkout_session"), (2, 0));
    sandbox.stop().await;
    Ok(())
}
