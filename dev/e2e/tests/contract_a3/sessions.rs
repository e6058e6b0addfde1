//! Sessions.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::client::text;
use e2e::person::{Session, refresh};
use serde_json::{Value, json};

use crate::harness::cases;
use crate::world::{User, World};

cases! {
    a3_28_post_sessions: "POST /v1/sessions",
    a3_29_get_sessions_id: "GET /v1/sessions/{id}",
    a3_30_get_sessions_user_active: "GET /v1/sessions/user/{userId}/active",
    a3_31_get_sessions_user: "GET /v1/sessions/user/{userId}",
    a3_32_get_sessions_user_stats: "GET /v1/sessions/user/{userId}/stats",
    a3_33_put_sessions_id: "PUT /v1/sessions/{id}",
    a3_34_post_sessions_id_activity: "POST /v1/sessions/{id}/activity",
    a3_35_put_sessions_id_push_token: "PUT /v1/sessions/{id}/push-token",
    a3_36_post_sessions_id_extend: "POST /v1/sessions/{id}/extend",
    a3_37_delete_sessions_id: "DELETE /v1/sessions/{id}",
    a3_38_delete_sessions_user_all: "DELETE /v1/sessions/user/{userId}/all",
}

/// The same key is the same session, which can be signed in to with its refresh token.
async fn a3_28_post_sessions(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let body = json!({ "userId": user.user_id(), "deviceId": "phone-1", "platform": "ios", "idempotencyKey": "once" });
    let first = user.post("/v1/sessions", &body).success().await?;
    let second = user.post("/v1/sessions", &body).success().await?;
    ensure!(
        first["id"] == second["id"] && first["refreshToken"] == second["refreshToken"],
        "{first} {second}"
    );
    let on_phone = Session::from(refresh(&world.stack.client, text(&first, "/refreshToken")?)).await?;
    ensure!(first["id"] == on_phone.id.as_str() && on_phone.user_id == user.user_id(), "{on_phone:?}");
    let of_another = json!({ "userId": world.user().await?.user_id(), "platform": "web" });
    user.post("/v1/sessions", &of_another).answers(403).await?;
    Ok(())
}

async fn a3_29_get_sessions_id(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let path = format!("/v1/sessions/{}", user.session.id);
    let found = user.get(&path).ok().await?;
    ensure!(found["id"] == user.session.id.as_str() && found["userId"] == user.user_id(), "{found}");
    other.get(&path).answers(404).await?;
    Ok(())
}

/// Of those that stand, the one used last.
async fn a3_30_get_sessions_user_active(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let ended = another(&user).await?;
    user.delete(&format!("/v1/sessions/{ended}")).success().await?;
    let active = user.get(&of(&user, "/active")).ok().await?;
    ensure!(active["id"] == user.session.id.as_str(), "{active}");
    other.get(&of(&user, "/active")).answers(403).await?;
    Ok(())
}

/// Those that have ended, too.
async fn a3_31_get_sessions_user(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let ended = another(&user).await?;
    user.delete(&format!("/v1/sessions/{ended}")).success().await?;
    let all = user.get(&of(&user, "")).ok().await?;
    ensure!(ids(&all) == [ended.as_str(), user.session.id.as_str()], "{all}");
    other.get(&of(&user, "")).answers(403).await?;
    Ok(())
}

async fn a3_32_get_sessions_user_stats(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let ended = another(&user).await?;
    user.delete(&format!("/v1/sessions/{ended}")).success().await?;
    let stats = user.get(&of(&user, "/stats")).ok().await?;
    ensure!(stats["total"] == 2 && stats["active"] == 1, "{stats}");
    Ok(())
}

async fn a3_33_put_sessions_id(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let path = format!("/v1/sessions/{}", user.session.id);
    let change = json!({ "deviceId": "laptop-7", "platform": "web" });
    user.put(&path, &change).success().await?;
    let changed = user.get(&path).ok().await?;
    ensure!(changed["deviceId"] == "laptop-7" && changed["platform"] == "web", "{changed}");
    other.put(&path, &change).answers(404).await?;
    Ok(())
}

async fn a3_34_post_sessions_id_activity(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let path = format!("/v1/sessions/{}", user.session.id);
    let before = user.get(&path).ok().await?;
    user.post(&format!("{path}/activity"), &json!({})).success().await?;
    let after = user.get(&path).ok().await?;
    ensure!(text(&after, "/lastSeenAt")? >= text(&before, "/lastSeenAt")?, "{before} {after}");
    Ok(())
}

/// It is kept sealed, and never comes back.
async fn a3_35_put_sessions_id_push_token(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let path = format!("/v1/sessions/{}", user.session.id);
    user.put(&format!("{path}/push-token"), &json!({ "pushToken": "ExponentPushToken[one]" }))
        .success()
        .await?;
    let kept = format!(
        "SELECT count(*) FROM sessions WHERE id = '{}' AND push_token_sealed IS NOT NULL",
        user.session.id
    );
    ensure!(world.stack.db.count(&kept).await? == 1, "it is not kept");
    let found = user.get(&path).ok().await?;
    ensure!(!found.to_string().contains("ExponentPushToken"), "{found}");
    Ok(())
}

async fn a3_36_post_sessions_id_extend(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let path = format!("/v1/sessions/{}", user.session.id);
    let admin = world.stack.admin().await?;
    let aged = format!(
        "UPDATE sessions SET idle_expires_at = now() + interval '1 hour' WHERE id = '{}'",
        user.session.id
    );
    admin.batch_execute(&aged).await?;
    let before = user.get(&path).ok().await?;
    user.post(&format!("{path}/extend"), &json!({})).success().await?;
    let after = user.get(&path).ok().await?;
    ensure!(text(&after, "/idleExpiresAt")? > text(&before, "/idleExpiresAt")?, "{before} {after}");
    Ok(())
}

async fn a3_37_delete_sessions_id(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let elsewhere = Session::from(user.person.log_in()).await?;
    let path = format!("/v1/sessions/{}", elsewhere.id);
    other.delete(&path).answers(404).await?;
    user.delete(&path).success().await?;
    world.stack.client.get("/v1/auth/me").bearer(&elsewhere.access).answers(401).await?;
    user.get("/v1/auth/me").answers(200).await?;
    Ok(())
}

async fn a3_38_delete_sessions_user_all(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let elsewhere = Session::from(user.person.log_in()).await?;
    other.delete(&of(&user, "/all")).answers(403).await?;
    user.delete(&of(&user, "/all")).success().await?;
    for access in [&user.session.access, &elsewhere.access] {
        world.stack.client.get("/v1/auth/me").bearer(access).answers(401).await?;
    }
    Ok(())
}

fn of(user: &User, what: &str) -> String {
    format!("/v1/sessions/user/{}{what}", user.user_id())
}

/// One more session, made from the first.
async fn another(user: &User) -> Result<String> {
    let made = user
        .post("/v1/sessions", &json!({ "deviceId": "tablet-3", "platform": "android" }))
        .success()
        .await?;
    Ok(text(&made, "/id")?.to_owned())
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().into_iter().flatten().filter_map(|session| session["id"].as_str()).collect()
}
