//! The real binary, and what it stands on going away.

use anyhow::Context;
use serde_json::{Value, json};
use testing::{Result, World, binary};

use super::{DID, KEY_1, NAME, Owner, nothing_was_written, rows, send, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_register_individual_node");

#[tokio::test]
async fn the_binary_answers_the_event_file() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = world.sign_in(&format!("did:lightning:{KEY_1}"), KEY_1).await?;
    let api = world.binary(BINARY, NAME).await?;
    let mut event: Value = serde_json::from_str(&testing::request::event_text(NAME)?)?;
    let authorization = event.pointer_mut("/headers/authorization").context("no bearer header")?;
    *authorization = json!(format!("Bearer {}", user.access_token));
    let answer = binary::send(&api, &event).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(rows(&world, "nodes WHERE node_id = 'node12' AND macaroon_sealed IS NOT NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_binary_registers_and_logs_no_macaroon() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let owner = Owner::new(&world, DID, "alice").await?;
    let api = world.binary(BINARY, NAME).await?;
    let good = owner.call(&owner.with("admin_macaroon", owner.node.invoice_macaroon.as_str()));
    let answer = binary::call(&api, &good).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let wide = owner.call(&owner.with("admin_macaroon", owner.node.admin_macaroon.as_str()));
    assert_eq!(binary::call(&api, &wide).await?.refusal()?, (400, "VALIDATION_FAILED"));
    binary::survives_bad_base64(&api, &good).await?;
    binary::logs_the_request_once(&api, &good).await?;

    let logs = api.logs().join("\n");
    for secret in [&owner.node.invoice_macaroon, &owner.node.admin_macaroon, &owner.user.access_token] {
        assert!(!logs.contains(secret.as_str()), "{secret} is in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
        "SEALING_SECRET is missing",
        "AUDIT_SECRET is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn the_binary_names_every_weak_value_at_once_and_quotes_none() -> Result<()> {
    let world = World::start().await?;
    let secrets = world.sandbox.secrets();
    secrets.put("w/sealing", r#"{"keys":[{"id":1,"created_at":"2025-01-01T00:00:00Z","key":"Y2FuYXJ5"}]}"#);
    secrets.put("w/audit", "canary");
    let weak = [
        ("DATABASE_SECRET", "w/nowhere"),
        ("SEALING_SECRET", "w/sealing"),
        ("AUDIT_SECRET", "w/audit"),
        ("ISSUER_URL", "https://canary.example?x=1"),
        ("TOKEN_AUDIENCE", "satchel"),
        ("NODE_AUTH_MAX_AGE_SECONDS", "1"),
        ("MACAROON_TOO_WIDE", "canary-keep"),
        ("ALLOW_HTTP_NODE_ENDPOINTS", "canary-yes"),
    ];
    let problems = [
        "DATABASE_SECRET: secret w/nowhere does not exist",
        "SEALING_SECRET: secret w/sealing is not the document expected",
        "AUDIT_SECRET: secret w/audit is not the document expected",
        "ISSUER_URL is not an https URL",
        "NODE_AUTH_MAX_AGE_SECONDS is not a number from 60 to 86400",
        "MACAROON_TOO_WIDE is none of refuse, discard",
        "ALLOW_HTTP_NODE_ENDPOINTS is neither true nor false",
    ];
    let environment = binary::bare_environment(&world, &weak);
    binary::refuses_to_start(BINARY, &environment, &problems, &["canary", "Y2FuYXJ5"]).await
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    world.take_database_away("api")?;
    let answer = send(&wire(&world).await?, &owner.call(&owner.body())).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let owner = Owner::new(&world, DID, "alice").await?;
    let good = owner.call(&owner.body());
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &good).await
}
