//! `POST /v1/auth/logout`

use futures_util::future::join_all;
use logout::{Deps, handle};
use testing::{Call, Outcome, Result, SignedIn, World, binary};

const NAME: &str = "logout";
const BINARY: &str = env!("CARGO_BIN_EXE_logout");
const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";

async fn send(deps: &Deps, token: &str) -> Result<Outcome> {
    Outcome::of(handle(deps, Call::from_event(NAME)?.bearer(token).request()).await)
}

async fn user(world: &World) -> Result<SignedIn> {
    world.sign_in(DID, &world.node("node12")?.pubkey).await
}

async fn rows(world: &World, from: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {from}")).await
}

#[tokio::test]
async fn the_session_has_ended_at_once_and_no_other() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let other = world.sign_in_again(&user, &world.node("node13")?.pubkey).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let answer = send(&deps, &user.access_token).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/sessionId")?, user.session_id.to_string());
    assert_eq!(answer.body["success"], true);
    let cleared = "__Host-rt=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict";
    assert_eq!(answer.reply.cookies, [cleared]);
    assert_eq!(rows(&world, "sessions WHERE revoked_reason = 'logout'").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'session.ended'").await?, 1);
    let again = send(&deps, &user.access_token).await?;
    assert_eq!(again.refusal()?, (401, "UNAUTHENTICATED"));
    assert!(again.reply.cookies.is_empty());
    assert_eq!(send(&deps, &other.access_token).await?.status, 200, "the other session stood");
    Ok(())
}

#[tokio::test]
async fn of_many_at_once_one_is_written_down() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let deps = world.wire_with(NAME, &[("DATABASE_POOL_SIZE", "20")], Deps::wire).await?;
    for answer in join_all((0..20).map(|_| send(&deps, &user.access_token))).await {
        assert!(matches!(answer?.error(), (200, "") | (401, "UNAUTHENTICATED")));
    }
    assert_eq!(rows(&world, "audit_logs WHERE action = 'session.ended'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_token_of_nobody_is_turned_away() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let answer = Outcome::of(handle(&deps, Call::from_event(NAME)?.request()).await)?;
    assert_eq!(answer.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(send(&deps, "garbage").await?.refusal()?, (401, "UNAUTHENTICATED"));
    Ok(())
}

#[tokio::test]
async fn the_binary_signs_out() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = user(&world).await?;
    let api = world.binary(BINARY, NAME).await?;
    let call = Call::from_event(NAME)?.bearer(&user.access_token);
    let answer = binary::call(&api, &call).await?;
    assert_eq!((answer.status.as_u16(), answer.reply.cookies.len()), (200, 1), "{answer:?}");
    assert_eq!(binary::call(&api, &call).await?.refusal()?, (401, "UNAUTHENTICATED"));
    Ok(())
}
