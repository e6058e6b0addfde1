//! What makes no account.

use serde_json::json;
use testing::{Result, World};

use super::{EMAIL, NAME, PASSWORD, nothing_was_written, registering, rows, send, wire, with};
use register_account::Deps;

#[tokio::test]
async fn a_body_that_is_not_right_is_told_which_field_and_shown_no_value() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let long = "x".repeat(129);
    let cases = [
        (json!({ "password": PASSWORD }), "email"),
        (json!({ "email": EMAIL }), "password"),
        (json!({ "email": "canary at example.com", "password": PASSWORD }), "email"),
        (json!({ "email": "a@example.com\r\nBcc: canary@example.com", "password": PASSWORD }), "email"),
        (json!({ "email": EMAIL, "password": "canary7" }), "password"),
        (json!({ "email": EMAIL, "password": long }), "password"),
        (json!({ "email": EMAIL, "password": 12_345_678 }), "password"),
        (json!({ "email": EMAIL, "password": ["canary", "canary"] }), "password"),
        (json!({ "email": EMAIL, "password": PASSWORD, "platform": "canary" }), "platform"),
        (json!({ "email": EMAIL, "password": PASSWORD, "deviceId": "" }), "deviceId"),
        (json!({ "email": EMAIL, "password": PASSWORD, "deviceId": "a\u{0}b" }), "deviceId"),
        (json!({ "email": EMAIL, "password": PASSWORD, "username": "no such name!" }), "username"),
        (
            json!({ "email": EMAIL, "password": PASSWORD, "lightningAddress": "a@pay.example.com" }),
            "username",
        ),
        (
            json!({ "email": EMAIL, "password": PASSWORD, "username": "satoshi", "lightningAddress": "a@b.c" }),
            "lightningAddress",
        ),
    ];
    for (body, field) in cases {
        let answer = send(&deps, &with(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}");
        assert!(!answer.reply.body.contains("canary"), "{answer:?}");
        assert!(!answer.causes.unwrap_or_default().contains("canary"));
    }
    nothing_was_written(&world).await
}

#[tokio::test]
async fn a_body_too_large_is_not_even_read() -> Result<()> {
    let world = World::start().await?;
    let body = json!({ "email": EMAIL, "password": "x".repeat(1_000_000) });
    let answer = send(&wire(&world).await?, &with(&body)).await?;
    assert_eq!(answer.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn one_address_registers_so_often_in_a_minute() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire_with(NAME, &[("RATE_LIMIT_REGISTER_PER_ADDRESS", "3")], Deps::wire).await?;
    for at in 0..3 {
        assert_eq!(send(&deps, &registering(&format!("a{at}@example.com"))).await?.status, 201);
    }
    let refused = send(&deps, &registering("a4@example.com")).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    assert!(refused.header("retry-after").is_some());
    let elsewhere = registering("a4@example.com").from_address("198.51.100.9");
    assert_eq!(send(&deps, &elsewhere).await?.status, 201);
    world.advance(time::Duration::minutes(1));
    assert_eq!(send(&deps, &registering("a5@example.com")).await?.status, 201);
    assert_eq!(rows(&world, "users").await?, 5);
    Ok(())
}
