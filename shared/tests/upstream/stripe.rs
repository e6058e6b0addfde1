//! What is asked of Stripe, and how it says no.

use anyhow::Context;
use serde_json::json;
use shared::config::Config;
use shared::stripe::{API_VERSION, Kind, Path, Stripe};
use shared::upstream::{Failure, Upstream, UpstreamError, code};
use testing::Result;
use time::macros::datetime;

use crate::ground::{Ground, IMPATIENT, RETRY, problems, verdict};
use crate::server::{Reply, Server};

const KEY: &str = "sk_test_canary_99";
const MISSING: &str = r#"{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such refund: 're_1'","param":"id"}}"#;
const NO_KEY: &str =
    r#"{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: sk_test_canary_99"}}"#;
const REFUND: &str = r#"{"id":"re_1","object":"refund"}"#;

fn config(ground: &Ground, url: &str) -> Config {
    ground.sandbox.secrets().put("satchel/stripe", &json!({ "api_key": KEY }).to_string());
    let mut environment = ground.environment.clone();
    environment.insert("STRIPE_URL".into(), url.into());
    environment.insert("STRIPE_SECRET".into(), "satchel/stripe".into());
    crate::ground::config(environment)
}

async fn stripe(ground: &Ground, url: &str) -> Result<Stripe> {
    let mut config = config(ground, url);
    let upstream = Upstream::wire(&mut config);
    let stripe = Stripe::wire(&mut config, &upstream).context("no Stripe")?;
    config.finish().await?;
    Ok(stripe)
}

async fn refund(stripe: &Stripe) -> Result<serde_json::Value, UpstreamError> {
    let Ok(path) = Path::new(Kind::Refund, "re_1") else { unreachable!("it is an id") };
    stripe.retrieve(None, &path).await
}

#[tokio::test]
async fn every_call_names_the_version_and_the_account_it_is_about() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, REFUND)]).await?;
    let stripe = stripe(&ground, &format!("{}/stripe", server.url)).await?;
    refund(&stripe).await?;
    stripe.retrieve(Some("acct_1"), &Path::new(Kind::Refund, "re_1")?).await?;
    let heard = server.heard();
    for heard in &heard {
        assert_eq!(heard.line, "GET /stripe/v1/refunds/re_1");
        assert_eq!(heard.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert_eq!(heard.header("stripe-version"), Some(API_VERSION));
        assert_eq!(heard.header("idempotency-key"), None);
    }
    assert_eq!(
        (heard[0].header("stripe-account"), heard[1].header("stripe-account")),
        (None, Some("acct_1"))
    );
    Ok(())
}

#[tokio::test]
async fn a_v2_account_is_asked_for_with_the_parts_it_leaves_out() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, r#"{"id":"acct_1","object":"v2.core.account"}"#)]).await?;
    stripe(&ground, &server.url).await?.account_v2("acct_1").await?;
    let parts = "include[0]=configuration.merchant&include[1]=configuration.recipient&include[2]=identity&include[3]=requirements";
    assert_eq!(server.lines(), [format!("GET /v2/core/accounts/acct_1?{parts}")]);
    Ok(())
}

#[tokio::test]
async fn events_come_in_pages_as_stripe_wrote_them() -> Result<()> {
    let ground = Ground::new().await?;
    let first = r#"{"object":"list","data":[{"id":"evt_2", "type":"a"},{"id":"evt_1","type":"b"}],"has_more":true,"url":"/v1/events"}"#;
    let last = r#"{"object":"list","data":[],"has_more":false}"#;
    let server = Server::start([Reply::json(200, first), Reply::json(200, last)]).await?;
    let stripe = stripe(&ground, &server.url).await?;
    let (from, to) = (datetime!(2026-01-09 11:00:00.9 UTC), datetime!(2026-01-09 12:00 UTC));

    let page = stripe.events(None, from, to, None).await?;
    let raw: Vec<_> = page.events.iter().map(|event| event.get()).collect();
    assert_eq!(raw, [r#"{"id":"evt_2", "type":"a"}"#, r#"{"id":"evt_1","type":"b"}"#]);
    assert_eq!((page.has_more, page.last.as_deref()), (true, Some("evt_1")));

    let page = stripe.events(Some("acct_1"), from, to, page.last.as_deref()).await?;
    assert_eq!((page.events.len(), page.has_more, page.last), (0, false, None));
    let asked = "GET /v1/events?created[gte]=1767956400&created[lt]=1767960000&limit=100";
    assert_eq!(server.lines(), [asked.to_owned(), format!("{asked}&starting_after=evt_1")]);
    assert_eq!(server.heard()[1].header("stripe-account"), Some("acct_1"));
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_none() -> Result<()> {
    let ground = Ground::new().await?;
    for body in [r#"{"id":"re_2","object":"refund"}"#, r#"{"object":"refund"}"#, "[]", "<html>", ""] {
        let server = Server::start([Reply::json(200, body)]).await?;
        let outcome = refund(&stripe(&ground, &server.url).await?).await;
        assert_eq!(verdict(outcome), (code::STRIPE_UNEXPECTED_ANSWER, RETRY), "{body}");
    }
    for body in [
        r#"{"data":[],"has_more":true}"#,
        r#"{"data":[{"id":"evt/1"}],"has_more":true}"#,
        r#"{"data":[{"type":"a"}],"has_more":false}"#,
        r#"{"data":[]}"#,
        r#"{"data":{},"has_more":false}"#,
    ] {
        let server = Server::start([Reply::json(200, body)]).await?;
        let now = datetime!(2026-01-09 12:00 UTC);
        let outcome = stripe(&ground, &server.url).await?.events(None, now, now, None).await;
        assert_eq!(verdict(outcome), (code::STRIPE_UNEXPECTED_ANSWER, RETRY), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn every_refusal_of_stripes_is_told_apart_and_tried_once() -> Result<()> {
    let ground = Ground::new().await?;
    for (status, body, expected) in [
        (401, NO_KEY, code::STRIPE_KEY_REFUSED),
        (
            403,
            r#"{"error":{"type":"invalid_request_error","code":"account_invalid","message":"No access to account"}}"#,
            code::STRIPE_ACCOUNT_REFUSED,
        ),
        (
            403,
            r#"{"error":{"type":"invalid_request_error","message":"The key lacks rak_refund_read"}}"#,
            code::STRIPE_KEY_REFUSED,
        ),
        (404, MISSING, code::STRIPE_NOT_FOUND),
        (
            404,
            r#"{"error":{"type":"invalid_request_error","message":"Unrecognized request URL"}}"#,
            code::STRIPE_REJECTED,
        ),
        (400, r#"{"error":{"type":"invalid_request_error","message":"No"}}"#, code::STRIPE_REJECTED),
        (402, r#"{"error":{"type":"card_error","code":"card_declined"}}"#, code::STRIPE_REJECTED),
        (400, "", code::STRIPE_REJECTED),
    ] {
        let server = Server::start([Reply::json(status, body)]).await?;
        let error = refund(&stripe(&ground, &server.url).await?).await.unwrap_err();
        assert_eq!((error.code, error.failure), (expected, Failure::Final), "{status} {body}");
        assert!(!error.counts_against_provider(), "{status} {body}");
        assert_eq!(server.heard().len(), 1, "{status} {body}");
        assert!(code::ALL.contains(&error.code));
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn what_stripe_did_not_write_and_what_may_pass_is_tried_again() -> Result<()> {
    let ground = Ground::new().await?;
    let limited = r#"{"error":{"type":"invalid_request_error","code":"rate_limit","message":"Too many"}}"#;
    let locked = r#"{"error":{"type":"invalid_request_error","code":"lock_timeout","message":"Busy"}}"#;
    let broken = r#"{"error":{"type":"api_error","message":"Sorry"}}"#;
    for (status, body, expected, blames) in [
        (401, "<html>", code::STRIPE_UNEXPECTED_ANSWER, true),
        (403, "{}", code::STRIPE_UNEXPECTED_ANSWER, true),
        (404, "", code::STRIPE_UNEXPECTED_ANSWER, true),
        (429, limited, code::STRIPE_UNAVAILABLE, false),
        (409, locked, code::STRIPE_UNAVAILABLE, false),
        (500, broken, code::STRIPE_UNAVAILABLE, true),
        (503, "", code::STRIPE_UNAVAILABLE, true),
    ] {
        let server = Server::start([Reply::json(status, body)]).await?;
        let error = refund(&stripe(&ground, &server.url).await?).await.unwrap_err();
        assert_eq!((error.code, error.failure), (expected, RETRY), "{status} {body}");
        assert_eq!(error.counts_against_provider(), blames, "{status} {body}");
        assert_eq!(server.heard().len(), 3, "{status} {body}");
    }
    let server =
        Server::start([Reply::json(500, broken), Reply::json(409, locked), Reply::json(200, REFUND)]).await?;
    refund(&stripe(&ground, &server.url).await?).await?;
    Ok(())
}

#[tokio::test]
async fn what_stripe_says_about_another_try_is_heeded() -> Result<()> {
    let ground = Ground::new().await?;
    for (said, status, body, tries, expected) in [
        ("false", 500, "{}", 1, (code::STRIPE_UNAVAILABLE, RETRY)),
        ("false", 409, r#"{"error":{}}"#, 1, (code::STRIPE_UNAVAILABLE, RETRY)),
        ("true", 400, r#"{"error":{"type":"x"}}"#, 3, (code::STRIPE_REJECTED, RETRY)),
        ("false", 404, MISSING, 1, (code::STRIPE_NOT_FOUND, Failure::Final)),
        ("perhaps", 500, "{}", 3, (code::STRIPE_UNAVAILABLE, RETRY)),
    ] {
        let server = Server::start([Reply::with(status, &[("Stripe-Should-Retry", said)], body)]).await?;
        let outcome = refund(&stripe(&ground, &server.url).await?).await;
        assert_eq!(verdict(outcome), expected, "{said} {status}");
        assert_eq!(server.heard().len(), tries, "{said} {status}");
    }
    Ok(())
}

#[tokio::test]
async fn silence_is_waited_for_only_so_long() -> Result<()> {
    let ground = Ground::new().await?.with(IMPATIENT.0, IMPATIENT.1);
    let server = Server::start([Reply::Silence]).await?;
    let outcome = refund(&stripe(&ground, &server.url).await?).await;
    assert_eq!(verdict(outcome), (code::STRIPE_TIMED_OUT, RETRY));
    Ok(())
}

#[tokio::test]
async fn what_could_lead_elsewhere_is_not_sent() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, REFUND)]).await?;
    let stripe = stripe(&ground, &server.url).await?;
    let now = datetime!(2026-01-09 12:00 UTC);
    for id in ["", "../v1/accounts", "a?b=c", "acct_1\r\nx: y"] {
        let refused = (code::STRIPE_REJECTED, Failure::Final);
        assert_eq!(verdict(stripe.account_v2(id).await), refused, "{id}");
        assert_eq!(verdict(stripe.events(Some(id), now, now, None).await), refused, "{id}");
        assert_eq!(verdict(stripe.events(None, now, now, Some(id)).await), refused, "{id}");
    }
    assert!(server.heard().is_empty());
    Ok(())
}

#[tokio::test]
async fn stripe_is_there_when_its_key_is() -> Result<()> {
    let ground = Ground::new().await?.with("STRIPE_URL", "https://stripe.example");
    let mut without = ground.config();
    let upstream = Upstream::wire(&mut without);
    assert!(Stripe::wire(&mut without, &upstream).is_none());
    without.finish().await?;

    let mut default = config(&ground, "");
    assert!(Stripe::wire(&mut default, &upstream).is_some(), "at its own address");
    default.finish().await?;

    let mut wrong = config(&ground, "ftp://stripe.example");
    assert!(Stripe::wire(&mut wrong, &upstream).is_none());
    assert!(problems(wrong).await?.contains("STRIPE_URL is not https"));
    Ok(())
}
