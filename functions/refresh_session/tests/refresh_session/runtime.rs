//! The real binary.

use testing::{Call, Result, World, binary};

use super::{NAME, call, user};

const BINARY: &str = env!("CARGO_BIN_EXE_refresh_session");

#[tokio::test]
async fn the_binary_refuses_the_placeholder_of_the_event_and_takes_a_token() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = user(&world).await?;
    let api = world.binary(BINARY, NAME).await?;
    let refused = binary::call(&api, &Call::from_event(NAME)?).await?;
    assert_eq!(refused.refusal()?, (401, "REFRESH_REJECTED"));
    let answer = binary::call(&api, &call(&user.refresh_token)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let next = answer.text("/refreshToken")?;
    assert_eq!(binary::call(&api, &call(next)).await?.status, 200);
    let logs = api.logs().join("\n");
    for secret in [&user.refresh_token, next, answer.text("/accessToken")?] {
        assert!(!logs.contains(secret), "{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "SEALING_SECRET is missing",
        "SIGNING_SECRET is missing",
        "AUDIT_SECRET is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
        "ALLOWED_ORIGINS is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}
