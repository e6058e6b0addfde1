//! What people want to be told.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::harness::cases;
use crate::world::{User, World};

cases! {
    a3_39_get_notifications_preferences: "GET /v1/notifications/preferences/{userId}",
    a3_40_put_notifications_preferences: "PUT /v1/notifications/preferences/{userId}",
    a3_41_post_notifications_preferences_reset: "POST /v1/notifications/preferences/{userId}/reset",
}

async fn a3_39_get_notifications_preferences(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let found = user.get(&of(&user)).ok().await?;
    ensure!(found["email"]["payments"] == true && found["push"]["news"] == false, "{found}");
    other.get(&of(&user)).answers(403).await?;
    Ok(())
}

async fn a3_40_put_notifications_preferences(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let wish = json!({ "email": { "news": true }, "push": { "payments": false } });
    user.put(&of(&user), &wish).success().await?;
    let after = user.get(&of(&user)).ok().await?;
    ensure!(after["email"]["news"] == true && after["push"]["payments"] == false, "{after}");
    ensure!(after["email"]["sessions"] == true && after["push"]["news"] == false, "{after}");
    other.put(&of(&user), &wish).answers(403).await?;
    Ok(())
}

async fn a3_41_post_notifications_preferences_reset(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let defaults = user.get(&of(&user)).ok().await?["email"].clone();
    let wish = json!({ "email": { "news": true, "payments": false } });
    user.put(&of(&user), &wish).success().await?;
    user.post(&format!("{}/reset", of(&user)), &json!({})).success().await?;
    let found = user.get(&of(&user)).ok().await?;
    ensure!(found["email"] == defaults, "{found}");
    Ok(())
}

fn of(user: &User) -> String {
    format!("/v1/notifications/preferences/{}", user.user_id())
}
