//! The real binary, and what it stands on going away.

use data_encoding::BASE64;
use serde_json::json;
use testing::{Result, World, binary};

use super::{
    DID, NAME, delivery, kept_body, nothing_was_recorded, rows, send, signed, store, unsigned, wire,
};

const BINARY: &str = env!("CARGO_BIN_EXE_btcpay_webhook");

#[tokio::test]
async fn the_binary_receives_and_logs_no_body_and_no_secret() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let store = store(&world, DID).await?;
    let api = world.binary(BINARY, NAME).await?;
    let canary = json!({ "metadata": { "buyerEmail": "canary-buyer@example.com" } });
    let good = signed(&store, &delivery(&store, &canary));
    for _ in 0..2 {
        let answer = binary::call(&api, &good).await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "received": true })));
    }
    let broken = signed(&store, "canary-buyer, and no JSON");
    assert_eq!(binary::call(&api, &broken).await?.refusal()?, (400, "MALFORMED_REQUEST"));
    let forged = unsigned(&store, &delivery(&store, &canary)).header("btcpay-sig", "sha256=canary-mac");
    assert_eq!(binary::call(&api, &forged).await?.refusal()?, (400, "WEBHOOK_REJECTED"));
    binary::survives_bad_base64(&api, &good).await?;
    binary::logs_the_request_once(&api, &good).await?;

    assert_eq!(rows(&world, "webhook_events").await?, 1);
    let logs = api.logs().join("\n");
    for secret in ["canary", store.webhook_secret.as_str()] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_in_base64_is_verified_as_what_it_decodes_to() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let store = store(&world, DID).await?;
    let api = world.binary(BINARY, NAME).await?;
    let body = delivery(&store, &json!({ "metadata": { "itemDesc": "ein Kaffee für dich ☕" } }));
    let mut event = binary::event(&signed(&store, &body))?;
    event["body"] = json!(BASE64.encode(body.as_bytes()));
    event["isBase64Encoded"] = json!(true);
    assert_eq!(binary::send(&api, &event).await?.status, 200);
    assert_eq!(kept_body(&world, "8RbzPxQVsQvpQdGbDTUcFR").await?, body.as_bytes());
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = ["DATABASE_SECRET is missing", "SEALING_SECRET is missing", "AUDIT_SECRET is missing"];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn without_its_database_btcpay_is_asked_to_deliver_again() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let call = signed(&store, &delivery(&store, &json!({})));
    world.take_database_away("webhooks")?;
    let answer = send(&wire(&world).await?, &call).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let store = store(&world, DID).await?;
    let good = signed(&store, &delivery(&store, &json!({})));
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &good).await
}
