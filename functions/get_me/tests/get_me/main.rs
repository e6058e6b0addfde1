//! `GET /v1/auth/me`

mod forged;
mod limited;

use get_me::{Deps, handle};
use serde_json::json;
use testing::{Call, Outcome, Result, SignedIn, World, binary};
use time::Duration;

const NAME: &str = "get_me";
const BINARY: &str = env!("CARGO_BIN_EXE_get_me");
const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";

async fn send(deps: &Deps, token: &str) -> Result<Outcome> {
    Outcome::of(handle(deps, Call::from_event(NAME)?.bearer(token).request()).await)
}

async fn user(world: &World) -> Result<SignedIn> {
    world.sign_in(DID, &world.node("node12")?.pubkey).await
}

#[tokio::test]
async fn a_new_account_has_what_its_node_brought() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("node12")?;
    let user = world.sign_in(DID, &node.pubkey).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let answer = send(&deps, &user.access_token).await?;
    let expected = json!({
        "id": user.user_id, "displayName": null, "email": null, "emailVerified": false, "discordId": null,
        "discordUsername": null, "privyId": null, "pubkey": node.pubkey, "dids": [DID], "version": 1,
        "isAdmin": false, "sessionId": user.session_id, "createdAt": "2026-01-09T12:00:00Z",
        "updatedAt": "2026-01-09T12:00:00Z", "lastLoginAt": "2026-01-09T12:00:00Z", "lastActiveAt": null,
    });
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &expected));
    assert_eq!(answer.header("etag"), Some("\"v1\""));
    Ok(())
}

#[tokio::test]
async fn every_identity_is_shown_and_none_that_is_retired_or_anothers() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let other = world.sign_in(OTHER_DID, &world.node("node13")?.pubkey).await?;
    let sql = format!(
        "UPDATE users SET username = 'alice', display_name = 'Alice', version = 7, last_active_at = '2026-01-09 13:00Z'
         WHERE id = '{0}';
         INSERT INTO identities (user_id, kind, subject, created_at, verified_at, label, retired_at) VALUES
             ('{0}', 'email', 'alice@example.com', now(), now(), NULL, NULL),
             ('{0}', 'discord', '80351110224678912', now(), now(), 'nelly', NULL),
             ('{0}', 'privy', 'did:privy:cabc', now(), now(), NULL, NULL),
             ('{0}', 'did', 'did:mnemonic:2222222222222222', now(), NULL, NULL, NULL),
             ('{0}', 'did', 'did:mnemonic:3333333333333333', now(), NULL, NULL, now()),
             ('{1}', 'email', 'bob@example.com', now(), NULL, NULL, NULL)",
        user.user_id, other.user_id
    );
    world.db.admin().await?.batch_execute(&sql).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let answer = send(&deps, &user.access_token).await?;
    for (pointer, text) in [
        ("/username", "alice"),
        ("/displayName", "Alice"),
        ("/email", "alice@example.com"),
        ("/discordId", "80351110224678912"),
        ("/discordUsername", "nelly"),
        ("/privyId", "did:privy:cabc"),
        ("/lastActiveAt", "2026-01-09T13:00:00Z"),
    ] {
        assert_eq!(answer.text(pointer)?, text, "{pointer}");
    }
    assert_eq!(answer.body["emailVerified"], true);
    assert_eq!(answer.body["dids"], json!([DID, "did:mnemonic:2222222222222222"]));
    assert_eq!((answer.header("etag"), &answer.body["version"]), (Some("\"v7\""), &json!(7)));
    let theirs = send(&deps, &other.access_token).await?;
    assert_eq!((theirs.text("/email")?, &theirs.body["emailVerified"]), ("bob@example.com", &json!(false)));
    Ok(())
}

#[tokio::test]
async fn an_administrator_is_one_by_token_and_database_and_sees_themselves() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("node12")?;
    let user = world.sign_in(DID, &node.pubkey).await?;
    world.sign_in(OTHER_DID, &world.node("node13")?.pubkey).await?;
    let admin = world.make_admin(&user, &node.pubkey).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let answer = send(&deps, &admin.access_token).await?;
    assert_eq!((&answer.body["isAdmin"], answer.text("/id")?), (&json!(true), &*user.user_id.to_string()));
    assert_eq!(
        send(&deps, &user.access_token).await?.body["isAdmin"],
        false,
        "an older token says nothing of it"
    );
    world.db.admin().await?.batch_execute("DELETE FROM admins").await?;
    assert_eq!(send(&deps, &admin.access_token).await?.body["isAdmin"], false);
    Ok(())
}

#[tokio::test]
async fn a_session_that_does_not_stand_is_refused() -> Result<()> {
    for sql in [
        "UPDATE sessions SET revoked_at = now(), revoked_reason = 'logout'",
        "UPDATE sessions SET idle_expires_at = '2026-01-09 12:00Z'",
        "UPDATE sessions SET absolute_expires_at = '2026-01-09 12:00Z'",
        "UPDATE users SET deleted_at = now()",
        "DELETE FROM sessions",
    ] {
        let world = World::start().await?;
        let user = user(&world).await?;
        let deps = world.wire(NAME, Deps::wire).await?;
        assert_eq!(send(&deps, &user.access_token).await?.status, 200, "{sql}");
        world.db.admin().await?.batch_execute(sql).await?;
        assert_eq!(send(&deps, &user.access_token).await?.refusal()?, (401, "UNAUTHENTICATED"), "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_good_once_says_so() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    world.advance(Duration::seconds(1_804));
    assert_eq!(send(&deps, &user.access_token).await?.status, 200, "within the leeway of two clocks");
    world.advance(Duration::seconds(1));
    assert_eq!(send(&deps, &user.access_token).await?.refusal()?, (401, "TOKEN_EXPIRED"));
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_the_event_file() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = user(&world).await?;
    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::call(&api, &Call::from_event(NAME)?.bearer(&user.access_token)).await?;
    assert_eq!((answer.status.as_u16(), answer.text("/id")?), (200, &*user.user_id.to_string()));
    let refused = binary::event_file(&api, NAME).await?;
    assert_eq!(refused.refusal()?, (401, "UNAUTHENTICATED"));
    Ok(())
}
