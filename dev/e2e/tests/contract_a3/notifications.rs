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
    ensure!(found["emailPayments"].is_boolean() && found["pushNews"].is_boolean(), "{found}");
    other.get(&of(&user)).answers(403).await?;
    Ok(())
}

async fn a3_40_put_notifications_preferences(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let before = user.get(&of(&user)).ok().await?;
    let wish = json!({ "emailNews": !before["emailNews"].as_bool().unwrap_or_default() });
    user.put(&of(&user), &wish).success().await?;
    let after = user.get(&of(&user)).ok().await?;
    ensure!(after["emailNews"] == wish["emailNews"] && after["pushNews"] == before["pushNews"], "{after}");
    other.put(&of(&user), &wish).answers(403).await?;
    Ok(())
}

async fn a3_41_post_notifications_preferences_reset(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let defaults = user.get(&of(&user)).ok().await?["emailNews"].clone();
    let wish = json!({ "emailNews": !defaults.as_bool().unwrap_or_default() });
    user.put(&of(&user), &wish).success().await?;
    user.post(&format!("{}/reset", of(&user)), &json!({})).success().await?;
    let found = user.get(&of(&user)).ok().await?;
    ensure!(found["emailNews"] == defaults, "{found}");
    Ok(())
}

fn of(user: &User) -> String {
    format!("/v1/notifications/preferences/{}", user.id())
}
