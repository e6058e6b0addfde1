//! The real binary.

use shared::one_time_token::Purpose;
use testing::{Call, Result, World, binary};

use super::{EMAIL, NAME, PASSWORD, bringing, issue};

const BINARY: &str = env!("CARGO_BIN_EXE_verify_email");

#[tokio::test]
async fn the_binary_takes_a_token_and_logs_neither_it_nor_the_address() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let alice = world.with_email(EMAIL, PASSWORD, false).await?;
    let token = issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?;
    let api = world.binary(BINARY, NAME).await?;
    assert_eq!(binary::event_file(&api, NAME).await?.status, 202);
    // The mail that was asked for replaced the token.
    assert_eq!(binary::call(&api, &bringing(&token)).await?.refusal()?, (410, "TOKEN_GONE"));
    let text = world.sandbox.mail().inbox(EMAIL)[0].text.clone();
    let mailed = text.split_once("token=").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
    assert_eq!(binary::call(&api, &bringing(mailed)).await?.status, 200);
    let logs = api.logs().join("\n");
    for secret in [mailed, &token, EMAIL] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    binary::survives_bad_base64(&api, &Call::from_event(NAME)?).await
}
