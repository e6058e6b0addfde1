//! `POST /v1/sessions`

use serde_json::{Value, json};
use testing::{Result, World};
use time::Duration;

use super::{create, noted, rows, send, stranger, user, wire};

#[tokio::test]
async fn a_session_is_made_from_the_callers_own() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    world.advance(Duration::minutes(20));
    let body = json!({ "userId": user.user_id, "deviceId": "pixel-8", "platform": "android" });
    let answer = send(&deps, &create(&user, &body).header("user-agent", "app/1")).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.text("/id")?.to_owned();
    assert_eq!(answer.header("location"), Some(format!("/v1/sessions/{id}").as_str()));
    assert!(answer.text("/accessToken").is_err(), "this function signs nothing");
    let mut shown = answer.body.clone();
    let token = shown["refreshToken"].take();
    assert_eq!(token.as_str().map(str::len), Some(55));
    let expected = json!({
        "id": id, "userId": user.user_id, "status": "active", "deviceId": "pixel-8", "platform": "android",
        "identityKind": "did", "parentId": user.session_id, "ip": "203.0.113.7", "userAgent": "app/1",
        "hasPushToken": false, "createdAt": "2026-01-09T12:20:00Z", "lastSeenAt": "2026-01-09T12:20:00Z",
        "idleExpiresAt": "2026-01-16T12:20:00Z", "absoluteExpiresAt": "2026-02-08T12:00:00Z",
        "revokedAt": null, "revokedReason": null, "isCurrent": false, "refreshToken": null,
    });
    assert_eq!(shown, expected, "no longer life than the parent's");
    // Nobody signed for it: it may not change where money goes, nor how the account is signed in to.
    assert_eq!(rows(&world, &format!("sessions WHERE id = '{id}' AND node_auth_at IS NULL")).await?, 1);
    assert_eq!(noted(&world, "session.created").await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_same_key_is_the_same_session_for_ever() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let in_body = json!({ "deviceId": "one", "idempotencyKey": "first-phone" });
    let made = send(&deps, &create(&user, &in_body)).await?;
    assert_eq!((made.status.as_u16(), made.header("idempotent-replayed")), (201, None));
    world.advance(Duration::minutes(25));
    for call in [
        create(&user, &in_body),
        create(&user, &json!({})).header("idempotency-key", "first-phone"),
        create(&user, &in_body).header("idempotency-key", "\"first-phone\""),
    ] {
        let again = send(&deps, &call).await?;
        assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, Some("true")));
        assert_eq!(again.body, made.body);
    }
    let other = send(&deps, &create(&user, &json!({ "idempotencyKey": "second-phone" }))).await?;
    assert_ne!(other.text("/id")?, made.text("/id")?);
    let stranger = stranger(&world).await?;
    let theirs = send(&deps, &create(&stranger, &in_body)).await?;
    assert_ne!(theirs.text("/id")?, made.text("/id")?, "a key is its owner's");
    assert_eq!(noted(&world, "session.created").await?, 3);
    let without = create(&user, &json!({}));
    assert_ne!(send(&deps, &without).await?.text("/id")?, send(&deps, &without).await?.text("/id")?);
    Ok(())
}

#[tokio::test]
async fn a_repeat_gets_the_token_that_is_good_now_and_none_of_an_ended_session() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let call = create(&user, &json!({ "idempotencyKey": "phone" }));
    let made = send(&deps, &call).await?;
    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE sessions SET refresh_counter = 3 WHERE parent_id IS NOT NULL").await?;
    let again = send(&deps, &call).await?;
    assert_ne!(again.text("/refreshToken")?, made.text("/refreshToken")?);
    assert_eq!(again.text("/id")?, made.text("/id")?);
    admin.batch_execute("UPDATE sessions SET revoked_at = now() WHERE parent_id IS NOT NULL").await?;
    assert_eq!(send(&deps, &call).await?.refusal()?, (409, "CONFLICT"));
    Ok(())
}

#[tokio::test]
async fn another_session_of_the_account_gets_no_tokens_by_a_key_it_guesses() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let other = world.sign_in_again(&user, &world.node("node14")?.pubkey).await?;
    let body = json!({ "idempotencyKey": "phone" });
    assert_eq!(send(&deps, &create(&user, &body)).await?.status, 201);
    let refused = send(&deps, &create(&other, &body)).await?;
    assert_eq!(refused.refusal()?, (409, "CONFLICT"));
    assert_eq!(rows(&world, "sessions WHERE parent_id IS NOT NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_named() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let long = |length: usize| Value::from("ä".repeat(length));
    for (body, field) in [
        (json!({ "deviceId": "" }), "deviceId"),
        (json!({ "deviceId": long(129) }), "deviceId"),
        (json!({ "deviceId": "nul\0" }), "deviceId"),
        (json!({ "deviceId": 7 }), "deviceId"),
        (json!({ "platform": "canary" }), "platform"),
        (json!({ "userId": "canary" }), "userId"),
        (json!({ "idempotencyKey": "" }), "idempotencyKey"),
        (json!({ "idempotencyKey": long(256) }), "idempotencyKey"),
    ] {
        let answer = send(&deps, &create(&user, &body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}");
        assert!(!answer.reply.body.contains("canary"), "{body}");
    }
    let two = create(&user, &json!({ "idempotencyKey": "one" })).header("idempotency-key", "two");
    assert_eq!(send(&deps, &two).await?.fields(), ["idempotencyKey"]);
    let fits = json!({ "deviceId": long(128), "idempotencyKey": long(255), "platform": "ios" });
    assert_eq!(send(&deps, &create(&user, &fits)).await?.status, 201);
    assert_eq!(rows(&world, "sessions").await?, 2);
    Ok(())
}
