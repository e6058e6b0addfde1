//! The real binary, and what it stands on going away.

use anyhow::Context;
use serde_json::{Value, json};
use testing::{Call, Result, World, binary};

use super::{Move, NAME, nothing_moved, rows, send, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_rebind_node");

#[tokio::test]
async fn the_binary_answers_the_event_file() -> Result<()> {
    let world = World::start().await?;
    let body: Value = serde_json::from_slice(&Call::from_event(NAME)?.request().body)?;
    let moving = Move::with_id(&world, body["challenge_id"].as_str().unwrap_or_default().parse()?).await?;
    // The file is signed for a day long gone; the binary has only today.
    world.catch_up();
    let user = world.sign_in_again(&moving.user, &moving.old.pubkey).await?;
    let later = "UPDATE challenges SET expires_at = now() + interval '5 minutes'";
    world.db.admin().await?.batch_execute(later).await?;
    let mut event: Value = serde_json::from_str(&testing::request::event_text(NAME)?)?;
    let authorization = event.pointer_mut("/headers/authorization").context("no bearer header")?;
    *authorization = json!(format!("Bearer {}", user.access_token));

    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::send(&api, &event).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["data"]["sessions_ended"], 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'node.rebound'").await?, 1);

    let logs = api.logs().join("\n");
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    for secret in [text("old_signature"), text("new_signature"), user.access_token] {
        assert!(!secret.is_empty() && !logs.contains(&secret), "{secret} is in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_rebinds_and_lives_on_after_bad_events() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let moving = Move::prepare(&world).await?;
    let api = world.binary(BINARY, NAME).await?;
    let good = moving.call(&moving.body());
    binary::survives_bad_base64(&api, &good).await?;
    assert_eq!(binary::call(&api, &good).await?.refusal()?, (410, "CHALLENGE_GONE"), "it was used");
    binary::logs_the_request_once(&api, &good).await
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
        "AUDIT_SECRET is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await?;
    world.sandbox.secrets().put("w/audit", r#"{"key":"canary"}"#);
    let weak = [
        ("DATABASE_SECRET", "w/nowhere"),
        ("ISSUER_URL", "canary"),
        ("AUDIT_SECRET", "w/audit"),
        ("NODE_AUTH_MAX_AGE_SECONDS", "canary"),
    ];
    let problems = [
        "DATABASE_SECRET: secret w/nowhere does not exist",
        "ISSUER_URL is not an https URL",
        "TOKEN_AUDIENCE is missing",
        "AUDIT_SECRET: secret w/audit is not the document expected",
        "NODE_AUTH_MAX_AGE_SECONDS is not a number from 60 to 86400",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &weak), &problems, &["canary"]).await
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    world.take_database_away("api")?;
    let answer = send(&wire(&world).await?, &moving.call(&moving.body())).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    nothing_moved(&world).await
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let moving = Move::prepare(&world).await?;
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &moving.call(&moving.body())).await
}
