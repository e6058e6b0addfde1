//! Over the Runtime API, with the real binary.

use sandbox::privy::PrivyPerson;
use serde_json::json;
use testing::{Call, Result, World, binary};

use super::{GRACE, NAME, PASSWORD, form, with};

#[tokio::test]
async fn the_binary_answers_as_the_handler_does() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let grace = world.with_email(GRACE, PASSWORD, true).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_login"), NAME).await?;
    let answer = binary::call(&api, &Call::from_event(NAME)?).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/userId")?, grace.user_id.to_string());
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let oauth = form("grant_type=password&username=grace@example.com&password=correct+horse+battery+staple");
    assert_eq!(binary::call(&api, &oauth).await?.text("/token_type")?, "bearer");
    let person = PrivyPerson::new("grace").email(GRACE);
    let tokens = world.sandbox.privy().tokens_at(&person, world.now().unix_timestamp());
    let privy = with(&json!({ "privyToken": tokens.access, "identityToken": tokens.identity }));
    assert_eq!(binary::call(&api, &privy).await?.text("/userId")?, grace.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn no_log_line_holds_a_password_an_address_or_a_token() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    world.with_email(GRACE, PASSWORD, true).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_login"), NAME).await?;
    let answer = binary::call(&api, &Call::from_event(NAME)?).await?;
    let wrong = Call::new(super::ROUTE).json(&json!({ "email": GRACE, "password": "canary-of-a-guess" }));
    assert_eq!(binary::call(&api, &wrong).await?.error().0, 401);
    binary::logs_the_request_once(&api, &Call::from_event(NAME)?).await?;
    let logs = api.logs().join("\n");
    let tokens = [answer.text("/accessToken")?, answer.text("/refreshToken")?];
    for secret in [GRACE, PASSWORD, "canary-of-a-guess"].into_iter().chain(tokens) {
        assert!(!logs.contains(secret), "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn it_outlives_an_absence_of_secrets_and_survives_bad_base64() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    world.with_email(GRACE, PASSWORD, true).await?;
    let good = Call::from_event(NAME)?;
    binary::outlives_an_absence_of_secrets(&world, (env!("CARGO_BIN_EXE_login"), NAME), &good).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_login"), NAME).await?;
    binary::survives_bad_base64(&api, &good).await
}
