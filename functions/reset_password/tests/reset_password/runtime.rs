//! The real binary.

use testing::{Call, Result, World, binary};

use super::{EMAIL, NAME, NEW, OLD, setting};

const BINARY: &str = env!("CARGO_BIN_EXE_reset_password");

#[tokio::test]
async fn the_binary_mails_a_token_takes_it_and_logs_neither_it_nor_address_nor_password() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    world.with_email(EMAIL, OLD, true).await?;
    let api = world.binary(BINARY, NAME).await?;
    assert_eq!(binary::event_file(&api, NAME).await?.status, 202);
    world.deliver_mail().await?;
    let text = world.sandbox.mail().inbox(EMAIL)[0].text.clone();
    let token = text.split_once("token=").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
    assert_eq!(binary::call(&api, &setting(token, NEW)).await?.status, 200);
    assert_eq!(binary::call(&api, &setting(token, NEW)).await?.refusal()?, (410, "TOKEN_GONE"));
    let logs = api.logs().join("\n");
    for secret in [token, EMAIL, NEW, OLD] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    binary::survives_bad_base64(&api, &Call::from_event(NAME)?).await
}
