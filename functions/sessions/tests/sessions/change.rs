//! What a session's owner changes.

use serde_json::json;
use testing::{Result, World};
use time::Duration;

use super::{ACTIVITY, CHANGE, EXTEND, PUSH_TOKEN, about, noted, rows, send, user, wire};

#[tokio::test]
async fn device_and_platform_are_changed_when_named() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let change = async |body| send(&deps, &about(CHANGE, &user, user.session_id).json(&body)).await;
    let answer = change(json!({ "deviceId": "pixel-8", "platform": "android" })).await?;
    assert_eq!((answer.status.as_u16(), answer.text("/deviceId")?), (200, "pixel-8"));
    let answer = change(json!({ "platform": "web" })).await?;
    assert_eq!((answer.text("/deviceId")?, answer.text("/platform")?), ("pixel-8", "web"));
    for (body, field) in
        [(json!({ "deviceId": "x".repeat(129) }), "deviceId"), (json!({ "platform": "tv" }), "platform")]
    {
        assert_eq!(change(body).await?.fields(), [field]);
    }
    assert_eq!(noted(&world, "session.changed").await?, 2);
    Ok(())
}

#[tokio::test]
async fn activity_is_noted_and_gives_no_longer_life() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    world.advance(Duration::minutes(5));
    let answer = send(&deps, &about(ACTIVITY, &user, user.session_id)).await?;
    assert_eq!(answer.text("/lastSeenAt")?, "2026-01-09T12:05:00Z");
    assert_eq!(answer.text("/idleExpiresAt")?, "2026-01-16T12:00:00Z");
    Ok(())
}

#[tokio::test]
async fn extending_begins_the_idle_life_anew_and_never_passes_the_absolute_end() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let deps = wire(&world).await?;
    world.advance(Duration::minutes(5));
    let answer = send(&deps, &about(EXTEND, &user, user.session_id)).await?;
    assert_eq!(answer.text("/idleExpiresAt")?, "2026-01-16T12:05:00Z");
    let near = "UPDATE sessions SET absolute_expires_at = '2026-01-10 12:00Z'";
    world.db.admin().await?.batch_execute(near).await?;
    let answer = send(&deps, &about(EXTEND, &user, user.session_id)).await?;
    assert_eq!(answer.text("/idleExpiresAt")?, "2026-01-10T12:00:00Z");
    assert_eq!(noted(&world, "session.extended").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_push_token_is_kept_sealed_and_never_comes_back() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let put = async |token| {
        send(&deps, &about(PUSH_TOKEN, &user, user.session_id).json(&json!({ "pushToken": token }))).await
    };
    let answer = put(json!("canary-push-token")).await?;
    assert_eq!((answer.status.as_u16(), &answer.body["hasPushToken"]), (200, &json!(true)));
    assert!(!answer.reply.body.contains("canary"));
    let clear = "sessions WHERE position('canary' IN encode(push_token_sealed, 'escape')) > 0";
    assert_eq!(rows(&world, clear).await?, 0);
    assert_eq!(rows(&world, "sessions WHERE octet_length(push_token_sealed) > 17").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE details::text LIKE '%canary%'").await?, 0);
    for bad in [json!(""), json!("x".repeat(4_097)), json!(7)] {
        assert_eq!(put(bad).await?.fields(), ["pushToken"]);
    }
    let missing = send(&deps, &about(PUSH_TOKEN, &user, user.session_id).json(&json!({}))).await?;
    assert_eq!(missing.fields(), ["pushToken"], "to take it away, say null");
    assert_eq!(put(json!(null)).await?.body["hasPushToken"], false);
    assert_eq!(rows(&world, "sessions WHERE push_token_sealed IS NOT NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_ended_session_is_not_changed() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let ended = world.sign_in_again(&user, &world.node("node14")?.pubkey).await?;
    let sql = format!("UPDATE sessions SET revoked_at = now() WHERE id = '{}'", ended.session_id);
    world.db.admin().await?.batch_execute(&sql).await?;
    for route in [CHANGE, ACTIVITY, PUSH_TOKEN, EXTEND] {
        let call = about(route, &user, ended.session_id).json(&json!({ "pushToken": "x", "deviceId": "x" }));
        assert_eq!(send(&deps, &call).await?.refusal()?, (409, "CONFLICT"), "{route}");
    }
    Ok(())
}
