//! The real binary.

use testing::{Result, World, binary};

use super::{EMAIL, NAME, NEW, OLD, changing};

const BINARY: &str = env!("CARGO_BIN_EXE_change_password");

#[tokio::test]
async fn the_binary_changes_the_password_and_logs_neither() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let api = world.binary(BINARY, NAME).await?;
    assert_eq!(binary::event_file(&api, NAME).await?.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(binary::call(&api, &changing(&alice, OLD, NEW)).await?.status, 200);
    assert_eq!(
        binary::call(&api, &changing(&alice, OLD, NEW)).await?.refusal()?,
        (401, "INVALID_CREDENTIALS")
    );
    let logs = api.logs().join("\n");
    for secret in [OLD, NEW, EMAIL, &alice.access_token] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    binary::survives_bad_base64(&api, &changing(&alice, NEW, OLD)).await
}
