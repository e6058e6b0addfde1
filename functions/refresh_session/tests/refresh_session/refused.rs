//! Tokens that are not good.

use serde_json::json;
use shared::crypto::Secret;
use shared::session::refresh_token;
use testing::{Call, Result, World};

use super::{DID, Deps, NAME, OTHER_DID, ROUTE, call, next, refresh, rows, send, user, wire};

#[tokio::test]
async fn what_was_never_issued_is_refused_and_ends_nothing() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let other = world.sign_in(OTHER_DID, &world.node("node13")?.pubkey).await?;
    let foreign = Secret::new([7; 32]);
    // The other session's key over this session's id: the halves of two good tokens.
    let bytes = |token: &str| data_encoding::BASE64URL_NOPAD.decode(token.as_bytes());
    let (own, others) = (bytes(&user.refresh_token)?, bytes(&other.refresh_token)?);
    let spliced = data_encoding::BASE64URL_NOPAD.encode(&[&own[..25], &others[25..]].concat());
    let mut later = own.clone();
    later[24] = 1;
    let cases = [
        String::new(),
        String::from("garbage"),
        "A".repeat(55),
        "A".repeat(60_000),
        format!("{}=", user.refresh_token),
        format!(" {}", user.refresh_token),
        user.access_token.clone(),
        spliced,
        data_encoding::BASE64URL_NOPAD.encode(&later),
        refresh_token::make(user.session_id, 0, &foreign).expose().clone(),
        refresh_token::make(user.session_id, 1, &foreign).expose().clone(),
        refresh_token::make(user.session_id, i64::MAX, &foreign).expose().clone(),
        refresh_token::make(uuid::Uuid::nil(), 0, &foreign).expose().clone(),
    ];
    for token in cases {
        let answer = refresh(&deps, &token).await?;
        assert_eq!(answer.refusal()?, (401, "REFRESH_REJECTED"), "{token}");
        assert!(answer.reply.cookies.is_empty());
    }
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 2);
    assert_eq!(refresh(&deps, &user.refresh_token).await?.status, 200, "the owner is not concerned");
    Ok(())
}

#[tokio::test]
async fn a_count_not_reached_yet_is_refused_though_the_key_is_right() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let second = next(&deps, &user.refresh_token).await?;
    // As if a backup from before had been restored.
    world.db.admin().await?.batch_execute("UPDATE sessions SET refresh_counter = 0").await?;
    assert_eq!(refresh(&deps, &second).await?.refusal()?, (401, "REFRESH_REJECTED"));
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_ended_session_is_refused_and_a_deleted_account_is_told_so() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE sessions SET revoked_at = now(), revoked_reason = 'logout'").await?;
    assert_eq!(refresh(&deps, &user.refresh_token).await?.refusal()?, (401, "REFRESH_REJECTED"));
    admin.batch_execute("UPDATE users SET deleted_at = now()").await?;
    assert_eq!(refresh(&deps, &user.refresh_token).await?.refusal()?, (403, "ACCOUNT_DELETED"));
    let guess = refresh_token::make(user.session_id, 0, &Secret::new([7; 32]));
    assert_eq!(
        refresh(&deps, guess.expose()).await?.refusal()?,
        (401, "REFRESH_REJECTED"),
        "no proof, no news"
    );
    assert_eq!(rows(&world, "audit_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_body_without_the_token_is_told_what_is_missing_and_nothing_is_quoted() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    for (body, code) in [
        (json!({}), "VALIDATION_FAILED"),
        (json!({ "refreshToken": null }), "VALIDATION_FAILED"),
        (json!({ "refreshToken": 7 }), "VALIDATION_FAILED"),
        (json!({ "refresh_token": "canary" }), "VALIDATION_FAILED"),
    ] {
        let answer = send(&deps, &Call::new(ROUTE).json(&body)).await?;
        assert_eq!(answer.refusal()?, (400, code), "{body}");
        assert!(!answer.reply.body.contains("canary"));
    }
    let answer = send(&deps, &Call::new(ROUTE).body("{")).await?;
    assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"));
    Ok(())
}

#[tokio::test]
async fn requests_are_counted_for_the_session_at_its_address_and_for_the_address() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let again = world.sign_in_again(&user, &world.node("node14")?.pubkey).await?;
    let few = [("RATE_LIMIT_REFRESH_PER_SESSION", "3"), ("RATE_LIMIT_REFRESH_PER_ADDRESS", "5")];
    let deps = world.wire_with(NAME, &few, Deps::wire).await?;
    let mut token = user.refresh_token.clone();
    for _ in 0..3 {
        token = next(&deps, &token).await?;
    }
    let refused = refresh(&deps, &token).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""default";q=3;w=60"#));
    let from_elsewhere = call(&token).from_address("198.51.100.1");
    let elsewhere = send(&deps, &from_elsewhere).await?;
    assert_eq!(elsewhere.status, 200, "who floods it from another address uses up nothing of its owner's");
    token = elsewhere.text("/refreshToken")?.to_owned();
    assert_eq!(refresh(&deps, &again.refresh_token).await?.status, 200);
    let refused = refresh(&deps, &again.refresh_token).await?;
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""default";q=5;w=60"#), "{refused:?}");
    world.advance(time::Duration::seconds(60));
    assert_eq!(refresh(&deps, &token).await?.status, 200, "a refused request spent nothing");
    assert_eq!(rows(&world, &format!("identities WHERE subject = '{DID}'")).await?, 1);
    Ok(())
}
