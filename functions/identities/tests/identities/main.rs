//! `/v1/auth/identities`

mod link;
mod runtime;
mod unlink;

use identities::{Deps, handle};
use shared::account::IdentityKind;
use testing::{Call, Outcome, Result, World};

const NAME: &str = "identities";
const LIST: &str = "GET /v1/auth/identities";
const LINK: &str = "POST /v1/auth/identities";
const UNLINK: &str = "DELETE /v1/auth/identities/{kind}";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
/// The public key of the secret key 1.
const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const GRACE: &str = "grace@example.com";
const PASSWORD: &str = "correct horse battery staple";

async fn wire(world: &World) -> Result<Deps> {
    world.wire_with(NAME, &[("DATABASE_POOL_SIZE", "10")], Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

async fn rows(world: &World, what: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {what}")).await
}

fn kinds(answer: &Outcome) -> Vec<&str> {
    let items = answer.body["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item["kind"].as_str()).collect()
}

#[tokio::test]
async fn an_account_sees_how_it_is_signed_in_to_and_nobody_elses() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY).await?;
    let grace = world.with_email(GRACE, PASSWORD, false).await?;
    let privy = world.with_identity(IdentityKind::Privy, "did:privy:ada").await?;
    let deps = wire(&world).await?;

    let answer = send(&deps, &Call::from_event(NAME)?.bearer(&user.access_token)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(kinds(&answer), ["did", "node"]);
    assert_eq!((answer.text("/items/0/subject")?, answer.text("/items/1/subject")?), (DID, KEY));
    assert_eq!(answer.text("/items/0/createdAt")?, "2026-01-09T12:00:00Z");
    assert_eq!(answer.body["items"][0]["verified"], true);
    assert!(answer.body["nextCursor"].is_null());

    let answer = send(&deps, &Call::new(LIST).bearer(&grace.access_token)).await?;
    assert_eq!((kinds(&answer), answer.text("/items/0/subject")?), (vec!["email"], GRACE));
    assert_eq!(answer.body["items"][0]["verified"], false);
    let answer = send(&deps, &Call::new(LIST).bearer(&privy.access_token)).await?;
    assert_eq!(answer.text("/items/0/subject")?, "did:privy:ada");
    Ok(())
}

#[tokio::test]
async fn without_a_standing_session_nothing_is_said_and_nothing_done() -> Result<()> {
    let world = World::start().await?;
    let user = world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    let call =
        |route| Call::new(route).path("kind", "email").json(&serde_json::json!({ "email": "a@example.org" }));
    for route in [LIST, LINK, UNLINK] {
        assert_eq!(send(&deps, &call(route)).await?.refusal()?, (401, "UNAUTHENTICATED"));
        let forged = call(route).bearer("eyJhbGciOiJub25lIn0.e30.");
        assert_eq!(send(&deps, &forged).await?.refusal()?, (401, "UNAUTHENTICATED"));
    }
    world.delete_account(user.user_id).await?;
    for route in [LIST, LINK, UNLINK] {
        let ended = call(route).bearer(&user.access_token);
        assert_eq!(send(&deps, &ended).await?.refusal()?, (401, "UNAUTHENTICATED"));
    }
    world.advance(time::Duration::minutes(31));
    for route in [LIST, LINK, UNLINK] {
        let expired = call(route).bearer(&user.access_token);
        assert_eq!(send(&deps, &expired).await?.refusal()?, (401, "TOKEN_EXPIRED"));
    }
    assert_eq!((rows(&world, "identities").await?, rows(&world, "mails").await?), (1, 0));
    Ok(())
}
