//! `/v1/activity-logs`

mod bodies;
mod pages;
mod repeats;

use activity_logs::{Deps, handle};
use serde_json::{Value, json};
use testing::{Call, Outcome, Result, SignedIn, World, binary};
use uuid::Uuid;

const NAME: &str = "activity_logs";
const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";
const OTHER_DID: &str = "did:mnemonic:8796a5b4c3d2e1f0";
const APPEND: &str = "POST /v1/activity-logs";
const LIST: &str = "GET /v1/activity-logs/user/{userId}";

async fn send(world: &World, call: &Call) -> Result<Outcome> {
    let deps = world.wire(NAME, Deps::wire).await?;
    Outcome::of(handle(&deps, call.request()).await)
}

async fn user(world: &World) -> Result<SignedIn> {
    world.sign_in(DID, &world.node("node12")?.pubkey).await
}

async fn other(world: &World) -> Result<SignedIn> {
    world.sign_in(OTHER_DID, &world.node("node13")?.pubkey).await
}

fn append(user: &SignedIn, body: &Value) -> Call {
    Call::new(APPEND).bearer(&user.access_token).json(body)
}

fn list(user: &SignedIn, of: Uuid) -> Call {
    Call::new(LIST).path("userId", &of.to_string()).bearer(&user.access_token)
}

#[tokio::test]
async fn the_event_is_written_down_with_who_did_it_from_where_and_when() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;

    let answer = send(&world, &Call::from_event(NAME)?.bearer(&user.access_token)).await?;

    assert_eq!(answer.status, 201, "{answer:?}");
    let mut expected = json!({
        "userId": user.user_id, "sessionId": user.session_id, "action": "invoice.shared",
        "details": { "channel": "email" }, "ip": "203.0.113.7", "createdAt": "2026-01-09T12:00:00Z",
    });
    expected["id"] = answer.body["id"].clone();
    assert_eq!(answer.body, expected);
    let listed = send(&world, &list(&user, user.user_id)).await?;
    assert_eq!(listed.body, json!({ "items": [expected], "nextCursor": null }));
    Ok(())
}

#[tokio::test]
async fn nobody_sees_what_another_did_but_an_administrator() -> Result<()> {
    let world = World::start().await?;
    let (user, other) = (user(&world).await?, other(&world).await?);
    send(&world, &append(&user, &json!({ "action": "canary" }))).await?;

    for of in [user.user_id, Uuid::from_u128(7)] {
        let answer = send(&world, &list(&other, of)).await?;
        assert_eq!(answer.error(), (403, "FORBIDDEN"));
        assert!(!answer.reply.body.contains("canary"));
    }
    let node = world.sandbox.nodes().get("node13").expect("it signed in");
    let admin = world.make_admin(&other, &node.pubkey).await?;
    let answer = send(&world, &list(&admin, user.user_id)).await?;
    assert_eq!(answer.body["items"][0]["action"], "canary", "{answer:?}");
    let nobody = send(&world, &list(&admin, Uuid::from_u128(7))).await?;
    assert_eq!(nobody.error(), (404, "NOT_FOUND"));
    // What an administrator writes, they did.
    let written =
        send(&world, &append(&admin, &json!({ "action": "looked", "userId": user.user_id }))).await?;
    assert_eq!(written.text("/userId")?, other.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn a_token_of_nobody_is_turned_away_from_both_routes() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let calls = [Call::from_event(NAME)?, Call::new(LIST).path("userId", &user.user_id.to_string())];
    for call in calls {
        assert_eq!(send(&world, &call).await?.error(), (401, "UNAUTHENTICATED"));
    }
    world.db.admin().await?.batch_execute("UPDATE sessions SET revoked_at = now()").await?;
    for call in [append(&user, &json!({ "action": "x" })), list(&user, user.user_id)] {
        assert_eq!(send(&world, &call).await?.error(), (401, "UNAUTHENTICATED"));
    }
    assert_eq!(world.db.count("SELECT count(*) FROM activity_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_as_the_handler_does() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = user(&world).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_activity_logs"), NAME).await?;

    let answer = binary::call(&api, &Call::from_event(NAME)?.bearer(&user.access_token)).await?;

    assert_eq!(answer.status, 201, "{answer:?}");
    Ok(())
}
