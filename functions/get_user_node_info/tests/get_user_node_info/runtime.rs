//! The real binary, and what it stands on going away.

use anyhow::Context;
use serde_json::{Value, json};
use testing::{Result, World, binary};

use super::{DID, ENDPOINT, KEY_1, NAME, call, owner, register, send, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_get_user_node_info");

#[tokio::test]
async fn the_binary_answers_the_event_file() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = world.sign_in(&format!("did:lightning:{KEY_1}"), KEY_1).await?;
    register(&world, &user, KEY_1, ENDPOINT).await?;
    let api = world.binary(BINARY, NAME).await?;
    let mut event: Value = serde_json::from_str(&testing::request::event_text(NAME)?)?;
    let authorization = event.pointer_mut("/headers/authorization").context("no bearer header")?;
    *authorization = json!(format!("Bearer {}", user.access_token));
    let answer = binary::send(&api, &event).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/caddy_endpoint")?, ENDPOINT);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    Ok(())
}

#[tokio::test]
async fn the_binary_lives_on_after_bad_events_and_logs_neither_token_nor_did() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = owner(&world).await?;
    let api = world.binary(BINARY, NAME).await?;
    let good = call(DID, &user.access_token);
    binary::survives_bad_base64(&api, &good).await?;
    binary::logs_the_request_once(&api, &good).await?;
    let logs = api.logs().join("\n");
    for secret in [&user.access_token, DID, ENDPOINT, "canary"] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = ["DATABASE_SECRET is missing", "ISSUER_URL is missing", "TOKEN_AUDIENCE is missing"];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn the_binary_names_every_weak_value_at_once_and_quotes_none() -> Result<()> {
    let world = World::start().await?;
    let remote = r#"{"host":"db.canary","port":1,"dbname":"d","username":"u","password":"canary","sslmode":"disable"}"#;
    world.sandbox.secrets().put("w/database", remote);
    let weak = [
        ("DATABASE_SECRET", "w/database"),
        ("DATABASE_POOL_SIZE", "51"),
        ("ISSUER_URL", "http://canary.example"),
        ("TOKEN_AUDIENCE", ""),
    ];
    let problems = [
        "DATABASE_SECRET: secret w/database turns TLS off for a host that is not this machine",
        "DATABASE_POOL_SIZE is not a number from 1 to 50",
        "ISSUER_URL is not an https URL",
        "TOKEN_AUDIENCE is missing",
    ];
    let environment = binary::bare_environment(&world, &weak);
    binary::refuses_to_start(BINARY, &environment, &problems, &["canary"]).await
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    world.take_database_away("api")?;
    let answer = send(&wire(&world).await?, call(DID, &user.access_token).request()).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = owner(&world).await?;
    let good = call(DID, &user.access_token);
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &good).await
}
