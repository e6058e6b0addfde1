//! `/v1/sessions`

mod change;
mod create;
mod end;
mod ownership;
mod races;
mod read;

use serde_json::{Value, json};
use sessions::{Deps, handle};
use testing::{Call, Outcome, Result, SignedIn, World, binary};

const NAME: &str = "sessions";
const BINARY: &str = env!("CARGO_BIN_EXE_sessions");
const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";
const CREATE: &str = "POST /v1/sessions";
const ONE: &str = "GET /v1/sessions/{id}";
const CHANGE: &str = "PUT /v1/sessions/{id}";
const END: &str = "DELETE /v1/sessions/{id}";
const ACTIVITY: &str = "POST /v1/sessions/{id}/activity";
const PUSH_TOKEN: &str = "PUT /v1/sessions/{id}/push-token";
const EXTEND: &str = "POST /v1/sessions/{id}/extend";
const LIST: &str = "GET /v1/sessions/user/{userId}";
const ACTIVE: &str = "GET /v1/sessions/user/{userId}/active";
const STATS: &str = "GET /v1/sessions/user/{userId}/stats";
const END_ALL: &str = "DELETE /v1/sessions/user/{userId}/all";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn user(world: &World) -> Result<SignedIn> {
    world.sign_in(DID, &world.node("node12")?.pubkey).await
}

async fn stranger(world: &World) -> Result<SignedIn> {
    world.sign_in(OTHER_DID, &world.node("node13")?.pubkey).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// A call by `user` about what the route's path names.
fn about(route: &str, user: &SignedIn, id: impl ToString + Copy) -> Call {
    Call::new(route).path("id", &id.to_string()).path("userId", &id.to_string()).bearer(&user.access_token)
}

fn create(user: &SignedIn, body: &Value) -> Call {
    Call::new(CREATE).bearer(&user.access_token).json(body)
}

async fn rows(world: &World, from: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {from}")).await
}

/// The events of an account's log, oldest first.
async fn noted(world: &World, action: &str) -> Result<i64> {
    rows(world, &format!("audit_logs WHERE action = '{action}'")).await
}

#[tokio::test]
async fn the_binary_makes_the_session_of_the_event_file_once() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = user(&world).await?;
    let api = world.binary(BINARY, NAME).await?;
    let call = Call::from_event(NAME)?.bearer(&user.access_token);
    let made = binary::call(&api, &call).await?;
    assert_eq!(made.status, 201, "{made:?}");
    let again = binary::call(&api, &call).await?;
    assert_eq!(again.body, made.body);
    let logs = api.logs().join("\n");
    assert!(!logs.contains(made.text("/refreshToken")?), "{logs}");
    let refused = binary::event_file(&api, NAME).await?;
    assert_eq!(refused.refusal()?, (401, "UNAUTHENTICATED"));
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "SEALING_SECRET is missing",
        "AUDIT_SECRET is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn what_is_no_id_is_named_and_not_quoted() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    for route in [ONE, CHANGE, END, ACTIVITY, PUSH_TOKEN, EXTEND, LIST, ACTIVE, STATS, END_ALL] {
        let call = about(route, &user, "canary").json(&json!({ "pushToken": null }));
        let answer = send(&deps, &call).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{route}");
        assert!(!answer.reply.body.contains("canary"), "{route}");
    }
    Ok(())
}
