//! Signatures that are not BTCPay's.

use serde_json::json;
use testing::{Call, Result, Store, World};

use super::{
    DID, OTHER_DID, delivery, hmac, nothing_was_recorded, received, send, signed, store, unsigned, wire,
};

fn with_header(store: &Store, body: &str, header: &str) -> Call {
    unsigned(store, body).header("btcpay-sig", header)
}

#[tokio::test]
async fn no_forged_signature_is_accepted() -> Result<()> {
    let world = World::start().await?;
    let (store, other) = (store(&world, DID).await?, store(&world, OTHER_DID).await?);
    let deps = wire(&world).await?;
    let body = delivery(&store, &json!({}));
    let good = hmac(&store.webhook_secret, body.as_bytes());
    let sha1 = "f".repeat(40);
    let headers = [
        format!("sha256={}", hmac(&other.webhook_secret, body.as_bytes())),
        format!("sha256={}", hmac("", body.as_bytes())),
        format!("sha256={}", hmac(&store.id, body.as_bytes())),
        format!("sha256={}", hmac(&store.webhook_secret.to_uppercase(), body.as_bytes())),
        // What was signed was parsed and written again.
        format!("sha256={}", hmac(&store.webhook_secret, body.replace(['\n', ' '], "").as_bytes())),
        format!("sha256={}", hmac(&store.webhook_secret, format!("{body}\n").as_bytes())),
        format!("sha256={}", hmac(&store.webhook_secret, b"")),
        format!("sha256={HASH_OF_NOTHING}"),
        good.clone(),
        format!("sha256 = {good}"),
        format!("sha512={good}"),
        format!("sha1={sha1}"),
        format!("v1={good}"),
        format!("t=1767960000,v1={good}"),
        format!("SHA256={good}"),
        format!("sha256={}", good.to_uppercase()),
        format!(" sha256={good}"),
        format!("sha256={good} "),
        format!("sha256={good}0"),
        format!("sha256={}", &good[..63]),
        format!("sha256={}", &good[..32]),
        format!("sha256=0x{}", &good[..62]),
        format!("sha256={good},sha256={good}"),
        format!("sha256={good}, sha256={}", "0".repeat(64)),
        format!("sha256={}", "0".repeat(64)),
        format!("sha256={}", "f".repeat(64)),
        "sha256=".into(),
        String::new(),
        "x".repeat(8_000),
        format!("sha256={}", "0".repeat(8_000)),
    ];
    for header in &headers {
        let answer = send(&deps, &with_header(&store, &body, header)).await?;
        assert_eq!(answer.refusal()?, (400, "WEBHOOK_REJECTED"), "{header}");
        assert!(!answer.reply.body.contains(&good), "the right one is told: {answer:?}");
    }
    nothing_was_recorded(&world).await?;
    received(&deps, &with_header(&store, &body, &format!("sha256={good}"))).await
}

/// SHA-256 without any key.
const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn every_single_digit_of_a_signature_counts() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    let body = delivery(&store, &json!({}));
    let good = hmac(&store.webhook_secret, body.as_bytes());
    for at in 0..good.len() {
        let other = if &good[at..=at] == "0" { "1" } else { "0" };
        let header = format!("sha256={}{other}{}", &good[..at], &good[at + 1..]);
        let answer = send(&deps, &with_header(&store, &body, &header)).await?;
        assert_eq!(answer.refusal()?, (400, "WEBHOOK_REJECTED"), "digit {at}");
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn every_single_byte_of_the_body_counts() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    let body = delivery(&store, &json!({}));
    let header = format!("sha256={}", hmac(&store.webhook_secret, body.as_bytes()));
    for at in 0..body.len() {
        let mut bytes = body.clone().into_bytes();
        bytes[at] ^= 1;
        let call = unsigned(&store, "").body(bytes).header("btcpay-sig", &header);
        let answer = send(&deps, &call).await?;
        assert_eq!(answer.refusal()?, (400, "WEBHOOK_REJECTED"), "byte {at}");
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn a_missing_or_doubled_signature_is_refused_before_any_secret_is_read() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    let body = delivery(&store, &json!({}));
    let good = format!("sha256={}", hmac(&store.webhook_secret, body.as_bytes()));
    let wrong = format!("sha256={}", "0".repeat(64));
    let calls = [
        unsigned(&store, &body),
        unsigned(&store, &body).header("authorization", &good),
        unsigned(&store, &body).header("stripe-signature", &good),
        unsigned(&store, &body).header("x-btcpay-sig", &good),
        with_header(&store, &body, &good).header("btcpay-sig", &good),
        with_header(&store, &body, &good).header("btcpay-sig", &wrong),
        with_header(&store, &body, &wrong).header("btcpay-sig", &good),
        with_header(&store, &body, ""),
        with_header(&store, &body, "nonsense"),
    ];
    for call in &calls {
        let answer = send(&deps, call).await?;
        assert_eq!(answer.refusal()?, (400, "WEBHOOK_REJECTED"), "{:?}", call.request().headers);
    }
    nothing_was_recorded(&world).await?;
    assert_eq!(super::rows(&world, "audit_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_delivery_to_one_store_is_not_one_to_another() -> Result<()> {
    let world = World::start().await?;
    let (one, other) = (store(&world, DID).await?, store(&world, OTHER_DID).await?);
    let deps = wire(&world).await?;
    let body = delivery(&one, &json!({}));
    let replayed = signed(&one, &body);
    let header = replayed.request().header("btcpay-sig").unwrap_or_default().to_owned();
    let moved = unsigned(&other, &body).header("btcpay-sig", &header);
    assert_eq!(send(&deps, &moved).await?.refusal()?, (400, "WEBHOOK_REJECTED"));
    nothing_was_recorded(&world).await
}
