//! A challenge counts once, for one DID, for its lifetime, and for ten wrong answers.

use serde_json::json;
use testing::{Call, Result, World};
use time::Duration;
use verify_lightning_signature::Deps;

use super::{DID, NAME, OTHER_DID, ROUTE, login, registration, rows, send, wire};

#[tokio::test]
async fn a_used_challenge_is_gone() -> Result<()> {
    let world = World::start().await?;
    let call = registration(&world, DID).await?.signed(&world.node("alice")?);
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &call).await?.status, 200);
    assert_eq!(send(&deps, &call).await?.refusal()?, (410, "CHALLENGE_GONE"));
    assert_eq!(rows(&world, "sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_challenge_lives_for_its_lifetime_and_not_a_second_more() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let (first, second) = (registration(&world, DID).await?, registration(&world, DID).await?);
    let deps = wire(&world).await?;
    world.advance(Duration::seconds(299));
    assert_eq!(send(&deps, &first.signed(&node)).await?.status, 200);
    world.advance(Duration::seconds(1));
    assert_eq!(send(&deps, &second.signed(&node)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    world.advance(Duration::seconds(1));
    assert_eq!(send(&deps, &second.signed(&node)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    assert_eq!(rows(&world, "sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn another_dids_challenge_and_an_unknown_one_are_gone() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let given = registration(&world, DID).await?;
    let deps = wire(&world).await?;
    let signature = node.sign(&given.text);
    let others = json!({ "did": OTHER_DID, "challenge_id": given.id, "signature": signature });
    let unknown = json!({ "did": DID, "challenge_id": uuid::Uuid::nil(), "signature": signature });
    for body in [others, unknown] {
        let answer = send(&deps, &Call::new(ROUTE).json(&body)).await?;
        assert_eq!(answer.refusal()?, (410, "CHALLENGE_GONE"), "{body}");
    }
    assert_eq!(send(&deps, &given.signed(&node)).await?.status, 200, "it was not spent by others");
    Ok(())
}

#[tokio::test]
async fn a_challenge_bears_nine_wrong_answers_and_then_the_right_one() -> Result<()> {
    let world = World::start().await?;
    let (node, stranger) = (world.node("alice")?, world.node("mallory")?);
    world.sign_in(DID, &node.pubkey).await?;
    let given = login(&world, DID).await?;
    let deps = wire(&world).await?;
    for _ in 0..9 {
        assert_eq!(send(&deps, &given.signed(&stranger)).await?.refusal()?, (401, "SIGNATURE_REJECTED"));
    }
    assert_eq!(send(&deps, &given.signed(&node)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn after_ten_wrong_answers_not_even_the_right_one_counts() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let given = login(&world, DID).await?;
    let deps = wire(&world).await?;
    for _ in 0..10 {
        assert_eq!(send(&deps, &given.answer("nonsense")).await?.refusal()?, (401, "SIGNATURE_REJECTED"));
    }
    let refused = send(&deps, &given.signed(&node)).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(rows(&world, "sessions").await?, 1, "that of the account's making");
    assert_eq!(send(&deps, &login(&world, DID).await?.signed(&node)).await?.status, 200, "another one does");
    Ok(())
}

#[tokio::test]
async fn answers_are_counted_by_address_and_did() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    for _ in 0..10 {
        assert_eq!(send(&deps, &login(&world, DID).await?.signed(&node)).await?.status, 200);
    }
    let given = login(&world, DID).await?;
    let refused = send(&deps, &given.signed(&node)).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    assert_eq!(refused.header("retry-after"), Some("60"));
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""default";q=10;w=60"#));
    let elsewhere = given.signed(&node).from_address("2001:db8::7");
    assert_eq!(send(&deps, &elsewhere).await?.status, 200, "nobody locks an owner out from afar");
    Ok(())
}
