//! The real binary, and what it stands on going away.

use testing::{Call, Result, World, binary};
use users::Deps;

use super::{NAME, on, send, user};

const BINARY: &str = env!("CARGO_BIN_EXE_users");

#[tokio::test]
async fn the_binary_answers_the_event_of_an_administrator() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let admin = user(&world, "admin", "0").await?;
    let admin = world.make_admin(&admin, &world.node("again")?.pubkey).await?;
    let api = world.binary(BINARY, NAME).await?;
    let list = Call::from_event(NAME)?.bearer(&admin.access_token);
    let answer = binary::call(&api, &list).await?;
    assert_eq!((answer.status.as_u16(), answer.body["items"].as_array().map(Vec::len)), (200, Some(1)));
    let one = binary::call(&api, &on("GET", &admin, &admin)).await?;
    assert_eq!((one.status.as_u16(), one.header("etag")), (200, Some("\"v1\"")));
    binary::logs_the_request_once(&api, &list).await
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
        "SEALING_SECRET is missing",
        "AUDIT_SECRET is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = World::start().await?;
    let alice = user(&world, "alice", "0").await?;
    world.take_database_away("api")?;
    let answer = send(&world.wire(NAME, Deps::wire).await?, &on("GET", &alice, &alice)).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    Ok(())
}
