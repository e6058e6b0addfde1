//! Accounts.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::client::text;
use e2e::form;
use e2e::owner::unique;
use http::Method;
use serde_json::{Value, json};

use crate::harness::cases;
use crate::world::World;

cases! {
    a3_19_get_users: "GET /v1/users",
    a3_20_get_users_id: "GET /v1/users/{id}",
    a3_21_get_users_privy: "GET /v1/users/privy/{privyId}",
    a3_22_get_users_wallet: "GET /v1/users/wallet/{walletAddress}",
    a3_23_post_users: "POST /v1/users",
    a3_24_put_users_id: "PUT /v1/users/{id}",
    a3_25_post_users_id_wallet: "POST /v1/users/{id}/wallet",
    a3_26_post_users_id_activity: "POST /v1/users/{id}/activity",
    a3_27_delete_users_id: "DELETE /v1/users/{id}",
}

/// Pages of everybody, newest first, for administrators.
async fn a3_19_get_users(world: Arc<World>) -> Result<()> {
    let (first, second) = (world.user().await?, world.user().await?);
    let page = world.admin(&Method::GET, "/v1/users?limit=1", None).ok().await?;
    ensure!(ids(&page) == [second.user_id()], "{page}");
    let next = format!("/v1/users?limit=1&cursor={}", text(&page, "/nextCursor")?);
    let page = world.admin(&Method::GET, &next, None).ok().await?;
    ensure!(ids(&page) == [first.user_id()], "{page}");
    first.get("/v1/users").answers(403).await?;
    Ok(())
}

async fn a3_20_get_users_id(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let path = format!("/v1/users/{}", user.user_id());
    let own = user.get(&path).answers(200).await?;
    ensure!(own.json()?["id"] == user.user_id(), "{own}");
    ensure!(own.header("etag") == format!("\"v{}\"", own.json()?["version"]), "{:?}", own.headers);
    ensure!(
        world.admin(&Method::GET, &path, None).ok().await?["id"] == user.user_id(),
        "not the same to administrators"
    );
    other.get(&path).answers(403).await?;
    Ok(())
}

async fn a3_21_get_users_privy(world: Arc<World>) -> Result<()> {
    let made = new_user(&world).await?;
    let path = format!("/v1/users/privy/{}", made.privy_id);
    let found = world.admin(&Method::GET, &path, None).ok().await?;
    ensure!(found["id"] == made.id.as_str(), "{found}");
    world.user().await?.get(&path).answers(404).await?;
    Ok(())
}

async fn a3_22_get_users_wallet(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let address = format!("0x{:0>40}", unique(""));
    user.post(&format!("/v1/users/{}/wallet", user.user_id()), &json!({ "walletAddress": address }))
        .success()
        .await?;
    let path = format!("/v1/users/wallet/{address}");
    ensure!(user.get(&path).ok().await?["id"] == user.user_id(), "its owner does not find it");
    other.get(&path).answers(404).await?;
    Ok(())
}

/// Made once, however often it is asked for.
async fn a3_23_post_users(world: Arc<World>) -> Result<()> {
    let made = new_user(&world).await?;
    let again = json!({ "privyId": made.privy_id, "email": format!("{}@example.com", unique("other")) });
    let refused = world.admin(&Method::POST, "/v1/users", Some(&again)).answers(409).await?;
    ensure!(form::error_code(&refused)? == "IDENTITY_TAKEN", "{refused}");
    world.user().await?.post("/v1/users", &again).answers(403).await?;
    Ok(())
}

/// Whoever changed it last had the version that was there.
async fn a3_24_put_users_id(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let path = format!("/v1/users/{}", user.user_id());
    let version = user.get(&path).ok().await?["version"].clone();
    let change = json!({ "displayName": "Hal", "version": version });
    let changed = user.put(&path, &change).ok().await?;
    ensure!(changed["displayName"] == "Hal" && changed["version"].as_i64() > version.as_i64(), "{changed}");
    let stale = user.put(&path, &change).answers(409).await?;
    ensure!(form::error_code(&stale)? == "VERSION_CONFLICT", "{stale}");
    let current = format!("\"v{}\"", changed["version"]);
    user.put(&path, &json!({ "displayName": "Nick" })).header("if-match", &current).ok().await?;
    Ok(())
}

async fn a3_25_post_users_id_wallet(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let wallet = json!({ "walletAddress": format!("0x{:0>40}", unique("")) });
    let path = format!("/v1/users/{}/wallet", user.user_id());
    for _ in 0..2 {
        user.post(&path, &wallet).success().await?;
    }
    let own = "SELECT count(*) FROM wallets w JOIN users u ON u.id = w.user_id WHERE u.id = ";
    let count = world.stack.db.count(&format!("{own} '{}'", user.user_id())).await?;
    ensure!(count == 1, "{count} wallets");
    other.post(&path, &wallet).answers(403).await?;
    Ok(())
}

async fn a3_26_post_users_id_activity(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let path = format!("/v1/users/{}", user.user_id());
    user.post(&format!("{path}/activity"), &json!({})).success().await?;
    let seen = user.get(&path).ok().await?;
    ensure!(seen["lastActiveAt"].is_string(), "{seen}");
    other.post(&format!("{path}/activity"), &json!({})).answers(403).await?;
    Ok(())
}

/// Its sessions end with it, and nobody signs in to it again.
async fn a3_27_delete_users_id(world: Arc<World>) -> Result<()> {
    let (user, other) = (world.user().await?, world.user().await?);
    let path = format!("/v1/users/{}", user.user_id());
    other.delete(&path).answers(403).await?;
    user.delete(&path).success().await?;
    user.get("/v1/auth/me").answers(401).await?;
    let gone = user.person.log_in().answers(403).await?;
    ensure!(form::error_code(&gone)? == "ACCOUNT_DELETED", "{gone}");
    Ok(())
}

struct Made {
    id: String,
    privy_id: String,
}

/// An account that an administrator makes for somebody who will sign in by Privy.
async fn new_user(world: &World) -> Result<Made> {
    let privy_id = format!("did:privy:{}", unique("c"));
    let body = json!({ "privyId": privy_id, "email": format!("{}@example.com", unique("made")) });
    let made = world.admin(&Method::POST, "/v1/users", Some(&body)).success().await?;
    let id = made["id"].as_str().with_context(|| format!("no id: {made}"))?.to_owned();
    Ok(Made { id, privy_id })
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().into_iter().flatten().filter_map(|user| user["id"].as_str()).collect()
}
