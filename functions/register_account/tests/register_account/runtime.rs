//! The real binary, and what it stands on going away.

use serde_json::json;
use testing::{Result, World, binary};

use super::{EMAIL, NAME, PASSWORD, registering, with};

const BINARY: &str = env!("CARGO_BIN_EXE_register_account");

#[tokio::test]
async fn the_binary_registers_and_logs_neither_password_nor_token_nor_address() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    world.sandbox.mail().refuse("refused.canary@example.com", "MessageRejected");
    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::call(&api, &registering(EMAIL)).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(binary::call(&api, &registering(EMAIL)).await?.refusal()?, (409, "EMAIL_TAKEN"));
    assert_eq!(binary::call(&api, &registering("refused.canary@example.com")).await?.status, 201);
    let wrong = with(&json!({ "email": "wrong.canary", "password": "canary" }));
    assert_eq!(binary::call(&api, &wrong).await?.refusal()?, (400, "VALIDATION_FAILED"));

    world.deliver_mail().await?;
    let letter = &world.sandbox.mail().inbox(EMAIL)[0];
    let (_, token) = letter.text.split_once("token=").unwrap_or_default();
    let token = token.lines().next().unwrap_or_default();
    assert_eq!(token.len(), 43, "{letter:?}");
    api.wait_for_log("a mail was given up", std::time::Duration::from_secs(5)).await?;
    let logs = api.logs().join("\n");
    let access = answer.text("/accessToken")?;
    for secret in [PASSWORD, EMAIL, "alice@", "canary", token, access, answer.text("/refreshToken")?] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_its_event_lives_on_and_logs_each_request_once() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let api = world.binary(BINARY, NAME).await?;
    binary::survives_bad_base64(&api, &registering("a@example.com")).await?;
    assert_eq!(binary::event_file(&api, NAME).await?.status, 201);
    binary::logs_the_request_once(&api, &registering("b@example.com")).await
}

#[tokio::test]
async fn the_binary_outlives_an_absence_of_secrets() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &registering(EMAIL)).await
}
