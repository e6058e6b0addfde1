//! The real binary, and what it stands on going away.

use testing::{Call, Result, World, binary};

use super::{DID, ROUTE, login, send, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_create_challenge");
const NAME: &str = "create_challenge";

fn good() -> Call {
    Call::new(ROUTE).json(&login(DID)).header("content-type", "application/json")
}

#[tokio::test]
async fn the_binary_answers_and_lives_on_after_bad_events() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::call(&api, &good()).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text("/challenge/title")?.starts_with("satchel-login:v1\ndomain: app.example.com\n"));
    binary::survives_bad_base64(&api, &good()).await?;
    binary::logs_the_request_once(&api, &good()).await
}

#[tokio::test]
async fn the_binary_answers_the_event_file_where_nothing_is_seeded() -> Result<()> {
    let world = World::start().await?;
    let answer = binary::event_file(&world.binary(BINARY, NAME).await?, NAME).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "APP_DOMAIN is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
        "DATABASE_SECRET is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn the_binary_names_every_weak_value_at_once_and_quotes_none() -> Result<()> {
    let world = World::start().await?;
    world.sandbox.secrets().put("satchel/weak", r#"{"password":"canary-7"}"#);
    let weak = [
        ("APP_DOMAIN", "Canary.Example.COM"),
        ("ISSUER_URL", "http://canary.example"),
        ("TOKEN_AUDIENCE", ""),
        ("DATABASE_SECRET", "satchel/weak"),
        ("DATABASE_POOL_SIZE", "canary-1"),
        ("CHALLENGE_TTL_SECONDS", "29"),
        ("RATE_LIMIT_SIGN_IN_PER_DID", "0"),
        ("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "-1"),
    ];
    let problems = [
        "APP_DOMAIN is not a host name in lower case",
        "ISSUER_URL is not an https URL",
        "TOKEN_AUDIENCE is missing",
        "DATABASE_SECRET: secret satchel/weak is not the document expected",
        "DATABASE_POOL_SIZE is not a number from 1 to 50",
        "CHALLENGE_TTL_SECONDS is not a number from 30 to 3600",
        "RATE_LIMIT_SIGN_IN_PER_DID is not a number from 1 to 1000000",
        "RATE_LIMIT_SIGN_IN_PER_ADDRESS is not a number from 1 to 1000000",
    ];
    let environment = binary::bare_environment(&world, &weak);
    binary::refuses_to_start(BINARY, &environment, &problems, &["canary", "Canary"]).await
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = World::start().await?;
    world.take_database_away("auth")?;
    let answer = send(&wire(&world).await?, &good()).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &good()).await
}
