//! Who is let in early. Minting and listing are an administrator's, asking about one's own key is anybody's.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::client::Request;
use e2e::owner::unique;
use http::Method;
use serde_json::{Value, json};

use crate::harness::cases;
use crate::world::World;

cases! {
    a3_44_post_private_beta_referral: "POST /v1/private-beta/referral",
    a3_45_post_private_beta_referrals: "POST /v1/private-beta/referrals",
    a3_46_post_private_beta_referrals_bulk: "POST /v1/private-beta/referrals/bulk",
    a3_47_get_private_beta_referrals_unused: "GET /v1/private-beta/referrals/unused",
    a3_48_post_private_beta_verify: "POST /v1/private-beta/verify",
    a3_49_post_private_beta_check_validity: "POST /v1/private-beta/check-validity",
    a3_50_post_private_beta_status: "POST /v1/private-beta/status",
    a3_51_get_private_beta_users: "GET /v1/private-beta/users",
    a3_52_get_private_beta_debug: "GET /v1/private-beta/debug",
}

const BASE: &str = "/v1/private-beta";

async fn a3_44_post_private_beta_referral(world: Arc<World>) -> Result<()> {
    let (first, second) = (mint(&world).await?, mint(&world).await?);
    ensure!(first != second && first.len() >= 8, "{first} {second}");
    only_administrators(&world, &Method::POST, "/referral", Some(&json!({}))).await
}

/// Another name of the same.
async fn a3_45_post_private_beta_referrals(world: Arc<World>) -> Result<()> {
    let made = world.admin(&Method::POST, &format!("{BASE}/referrals"), Some(&json!({}))).success().await?;
    ensure!(made["referralKey"].is_string(), "{made}");
    only_administrators(&world, &Method::POST, "/referrals", Some(&json!({}))).await
}

async fn a3_46_post_private_beta_referrals_bulk(world: Arc<World>) -> Result<()> {
    let bulk = |count: u32| {
        let body = json!({ "count": count });
        world.admin(&Method::POST, &format!("{BASE}/referrals/bulk"), Some(&body))
    };
    let made = bulk(100).success().await?;
    let keys = made["items"].as_array().map_or(0, Vec::len);
    ensure!(keys == 100, "{keys} keys");
    for count in [0, 101] {
        bulk(count).answers(400).await?;
    }
    only_administrators(&world, &Method::POST, "/referrals/bulk", Some(&json!({ "count": 2 }))).await
}

async fn a3_47_get_private_beta_referrals_unused(world: Arc<World>) -> Result<()> {
    let (used, unused) = (mint(&world).await?, mint(&world).await?);
    come_with(&world, &used, &address()).success().await?;
    let page = world.admin(&Method::GET, &format!("{BASE}/referrals/unused?limit=100"), None).ok().await?;
    let listed = page.to_string();
    ensure!(listed.contains(&unused) && !listed.contains(&used), "{page}");
    only_administrators(&world, &Method::GET, "/referrals/unused", None).await
}

/// A key lets one address in.
async fn a3_48_post_private_beta_verify(world: Arc<World>) -> Result<()> {
    let (key, email) = (mint(&world).await?, address());
    for _ in 0..2 {
        come_with(&world, &key, &email).success().await?;
    }
    come_with(&world, &key, &address()).answers(410).await?;
    Ok(())
}

async fn a3_49_post_private_beta_check_validity(world: Arc<World>) -> Result<()> {
    let key = mint(&world).await?;
    let valid =
        async |key: &str| anybody(&world, "/check-validity", &json!({ "referralKey": key })).ok().await;
    ensure!(valid(&key).await?["valid"] == true, "a fresh key is not good");
    come_with(&world, &key, &address()).success().await?;
    ensure!(valid(&key).await?["valid"] == false, "a used key is good");
    ensure!(valid("0123456789ABCDEF").await?["valid"] == false, "anything is good");
    Ok(())
}

/// Only for key and address together.
async fn a3_50_post_private_beta_status(world: Arc<World>) -> Result<()> {
    let (key, email) = (mint(&world).await?, address());
    come_with(&world, &key, &email).success().await?;
    let status =
        |key: &str, email: &str| anybody(&world, "/status", &json!({ "referralKey": key, "email": email }));
    ensure!(status(&key, &email).ok().await?["verified"] == true, "who came is not known");
    let with_another_key = status(&mint(&world).await?, &email).ok().await?;
    let with_another_address = status(&key, &address()).ok().await?;
    ensure!(with_another_key == json!({ "verified": false }), "{with_another_key}");
    ensure!(with_another_address == with_another_key, "{with_another_address}");
    anybody(&world, "/status", &json!({ "email": email })).answers(400).await?;
    Ok(())
}

async fn a3_51_get_private_beta_users(world: Arc<World>) -> Result<()> {
    let (key, email) = (mint(&world).await?, address());
    come_with(&world, &key, &email).success().await?;
    let page = world.admin(&Method::GET, &format!("{BASE}/users?limit=100"), None).ok().await?;
    ensure!(page.to_string().contains(&email), "{page}");
    only_administrators(&world, &Method::GET, "/users", None).await
}

async fn a3_52_get_private_beta_debug(world: Arc<World>) -> Result<()> {
    let debug = world.admin(&Method::GET, &format!("{BASE}/debug"), None).ok().await?;
    ensure!(debug.is_object(), "{debug}");
    only_administrators(&world, &Method::GET, "/debug", None).await
}

/// 401 to nobody, 403 to everybody else.
async fn only_administrators(world: &World, method: &Method, path: &str, body: Option<&Value>) -> Result<()> {
    let path = format!("{BASE}{path}");
    world.anybody(method, &path, body).answers(401).await?;
    world.user().await?.call(method, &path, body).answers(403).await?;
    Ok(())
}

async fn mint(world: &World) -> Result<String> {
    let made = world.admin(&Method::POST, &format!("{BASE}/referral"), Some(&json!({}))).success().await?;
    Ok(made["referralKey"].as_str().with_context(|| format!("no key: {made}"))?.to_owned())
}

fn anybody(world: &World, path: &str, body: &Value) -> Request {
    world.anybody(&Method::POST, &format!("{BASE}{path}"), Some(body))
}

fn come_with(world: &World, key: &str, email: &str) -> Request {
    anybody(world, "/verify", &json!({ "referralKey": key, "email": email }))
}

fn address() -> String {
    format!("{}@example.com", unique("beta"))
}
