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
    world.deliver_mail().await?;
    let text = world.sandbox.mail().inbox(EMAIL)[0].text.clone();
    let mailed = text.split_once("token=").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
    assert_eq!(binary::call(&api, &bringing(mailed)).await?.status, 200);
    // It was one of two.
    assert_eq!(binary::call(&api, &bringing(&token)).await?.refusal()?, (410, "TOKEN_GONE"));
    let user = world.sign_in("did:mnemonic:0f1e2d3c4b5a6978", &world.node("bob")?.pubkey).await?;
    let linking = issue(&world, user.user_id, Purpose::LinkEmail, "bob@example.com").await?;
    assert_eq!(binary::call(&api, &bringing(&linking)).await?.refusal()?, (401, "UNAUTHENTICATED"));
    let signed_in = bringing(&linking).bearer(&user.access_token);
    assert_eq!(binary::call(&api, &signed_in).await?.status, 200);
    let logs = api.logs().join("\n");
    for secret in [mailed, &token, &linking, &user.access_token, EMAIL] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    binary::survives_bad_base64(&api, &Call::from_event(NAME)?).await
}
