//! The real binary.

use data_encoding::BASE64;
use sandbox::{STRIPE_CONNECT_SECRET, STRIPE_PLATFORM_SECRET};
use serde_json::json;
use testing::{Call, Result, World, binary};

use super::{
    ACCOUNT, CONNECT, NAME, PLATFORM, each_is_paid_once, fate, kept_body, paid, payments, rows, signed, with,
    with_header,
};

const BINARY: &str = env!("CARGO_BIN_EXE_stripe_webhook");

#[tokio::test]
async fn the_binary_receives_and_logs_no_body_and_no_secret() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    payments(&world, "", &["1".to_owned()]).await?;
    let api = world.binary(BINARY, NAME).await?;
    let canary = with(paid("1"), "/data/object/receipt_email", json!("canary-buyer@example.com"));
    let good = signed(&world, PLATFORM, canary.to_string());
    for _ in 0..2 {
        let answer = binary::call(&api, &good).await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "received": true })));
    }
    let theirs = with(with(paid("2"), "/account", json!(ACCOUNT)), "/id", json!("evt_theirs"));
    let answer = binary::call(&api, &signed(&world, CONNECT, theirs.to_string())).await?;
    assert_eq!(answer.status, 200);
    let broken = signed(&world, PLATFORM, "canary-buyer, and no JSON");
    assert_eq!(binary::call(&api, &broken).await?.refusal()?, (400, "MALFORMED_REQUEST"));
    let forged = with_header(PLATFORM, canary.to_string(), "t=1,v1=canary-mac");
    assert_eq!(binary::call(&api, &forged).await?.refusal()?, (400, "WEBHOOK_REJECTED"));
    binary::survives_bad_base64(&api, &good).await?;
    binary::logs_the_request_once(&api, &good).await?;

    assert_eq!(rows(&world, "webhook_events").await?, 2);
    assert_eq!(fate(&world, "evt_theirs").await?, ("done".to_owned(), None));
    assert_eq!(rows(&world, "payments WHERE state = 'paid'").await?, 1);
    let logs = api.logs().join("\n");
    for secret in ["canary", STRIPE_PLATFORM_SECRET, STRIPE_CONNECT_SECRET, "whsec_"] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn headers_that_the_gateway_joined_are_refused() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let api = world.binary(BINARY, NAME).await?;
    let good = signed(&world, PLATFORM, paid("1").to_string());
    let header = good.request().header("stripe-signature").unwrap_or_default().to_owned();
    let twice = good.clone().header("stripe-signature", &header);
    let event = binary::event(&twice)?;
    assert_eq!(
        event["headers"]["stripe-signature"].as_str().unwrap_or_default().matches("t=").count(),
        2,
        "{event}"
    );
    assert_eq!(binary::send(&api, &event).await?.refusal()?, (400, "WEBHOOK_REJECTED"));
    assert_eq!(rows(&world, "webhook_events").await?, 0);
    assert_eq!(binary::call(&api, &good).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_body_in_base64_is_verified_as_what_it_decodes_to() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    payments(&world, "", &["1".to_owned()]).await?;
    let api = world.binary(BINARY, NAME).await?;
    let body = with(paid("1"), "/data/object/description", json!("ein Kaffee für dich ☕")).to_string();
    let mut event = binary::event(&signed(&world, PLATFORM, body.as_str()))?;
    event["body"] = json!(BASE64.encode(body.as_bytes()));
    event["isBase64Encoded"] = json!(true);
    assert_eq!(binary::send(&api, &event).await?.status, 200);
    assert_eq!(kept_body(&world, "evt_1").await?, body.as_bytes());
    each_is_paid_once(&world, 1).await
}

#[tokio::test]
async fn bodies_of_any_bytes_are_answered_and_the_process_serves_on() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let api = world.binary(BINARY, NAME).await?;
    let bodies = [
        Vec::new(),
        vec![0xff; 1_000],
        vec![0; 1_000],
        b"[".repeat(500_000),
        b"{\"a\":".repeat(10_000),
        "\u{feff}{}".into(),
        vec![b' '; 1024 * 1024 + 1],
    ];
    for body in &bodies {
        let expected =
            if body.len() > 1024 * 1024 { (413, "PAYLOAD_TOO_LARGE") } else { (400, "MALFORMED_REQUEST") };
        let answer = binary::call(&api, &signed(&world, PLATFORM, body.as_slice())).await?;
        assert_eq!(answer.refusal()?, expected, "{} bytes", body.len());
    }
    assert_eq!(binary::call(&api, &signed(&world, PLATFORM, paid("1").to_string())).await?.status, 200);
    assert!(api.exit_status().is_none(), "the process ended");
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = ["DATABASE_SECRET is missing", "SEALING_SECRET is missing", "STRIPE_LIVEMODE"];
    let environment = binary::bare_environment(&world, &[("STRIPE_LIVEMODE", "perhaps")]);
    binary::refuses_to_start(BINARY, &environment, &missing, &[]).await
}

#[tokio::test]
async fn with_a_weak_signing_secret_it_does_not_start() -> Result<()> {
    let world = World::start().await?;
    for (platform, problem) in [
        (json!([""]), "has a secret that does not begin with whsec_"),
        (json!(["   "]), "has a secret that is not printable ASCII without blanks"),
        (json!(["whsec_"]), "has a secret that is not whsec_ and 12 to 249 characters"),
        (json!(["canary_not_of_stripe"]), "has a secret that does not begin with whsec_"),
        (json!([]), "has no secret under platform"),
    ] {
        let document = json!({ "platform": platform, "connect": [STRIPE_CONNECT_SECRET] });
        world.sandbox.secrets().put("satchel/stripe-webhooks", &document.to_string());
        let environment = world.environment(NAME)?;
        binary::refuses_to_start(BINARY, &environment, &[problem], &["canary", STRIPE_CONNECT_SECRET])
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let good: Call = signed(&world, PLATFORM, paid("1").to_string());
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &good).await
}
