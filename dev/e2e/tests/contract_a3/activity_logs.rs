//! What people did.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::client::text;
use serde_json::{Value, json};

use crate::harness::cases;
use crate::world::{User, World};

cases! {
    a3_42_get_activity_logs_user: "GET /v1/activity-logs/user/{userId}",
    a3_43_post_activity_logs: "POST /v1/activity-logs",
}

/// Page by page, newest first.
async fn a3_42_get_activity_logs_user(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    for action in ["first", "second", "third"] {
        user.post("/v1/activity-logs", &json!({ "action": action })).success().await?;
    }
    let page = user.get(&format!("{}?limit=2", of(&user))).ok().await?;
    ensure!(actions(&page) == ["third", "second"], "{page}");
    let next = format!("{}?limit=2&cursor={}", of(&user), text(&page, "/nextCursor")?);
    let rest = user.get(&next).ok().await?;
    ensure!(actions(&rest).first() == Some(&"first"), "{rest}");
    other.get(&of(&user)).answers(403).await?;
    Ok(())
}

async fn a3_43_post_activity_logs(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let log = json!({ "action": "wallet.opened", "details": { "screen": "home" } });
    user.post("/v1/activity-logs", &log).success().await?;
    let page = user.get(&of(&user)).ok().await?;
    ensure!(page["items"][0]["action"] == "wallet.opened", "{page}");
    ensure!(page["items"][0]["details"] == log["details"], "{page}");
    Ok(())
}

fn of(user: &User) -> String {
    format!("/v1/activity-logs/user/{}", user.user_id())
}

fn actions(page: &Value) -> Vec<&str> {
    page["items"].as_array().into_iter().flatten().filter_map(|log| log["action"].as_str()).collect()
}
