//! `POST /v1/auth/email/verify`

use testing::{Call, Outcome, Result, World, binary};

use verify_email::{Deps, handle};

const NAME: &str = "verify_email";
const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";

async fn send(world: &World, call: &Call) -> Result<Outcome> {
    let deps = world.wire(NAME, Deps::wire).await?;
    Outcome::of(handle(&deps, call.request()).await)
}

#[tokio::test]
async fn the_event_of_a_signed_in_user_is_answered() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("node12")?.pubkey).await?;

    let answer = send(&world, &Call::from_event(NAME)?.bearer(&user.access_token)).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/userId")?, user.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn a_token_of_nobody_is_turned_away() -> Result<()> {
    let world = World::start().await?;

    let answer = send(&world, &Call::from_event(NAME)?).await?;

    assert_eq!(answer.error(), (401, "UNAUTHENTICATED"));
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_as_the_handler_does() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = world.sign_in(DID, &world.node("node12")?.pubkey).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_verify_email"), NAME).await?;

    let answer = binary::call(&api, &Call::from_event(NAME)?.bearer(&user.access_token)).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(())
}
