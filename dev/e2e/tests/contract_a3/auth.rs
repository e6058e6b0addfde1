//! Signing in, staying so, and signing out.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::person::{Session, refresh};
use e2e::{form, tokens};
use http::Method;
use sandbox::privy::PrivyPerson;
use serde_json::json;

use crate::harness::cases;
use crate::world::World;

cases! {
    a3_14_post_auth_login: "POST /v1/auth/login",
    a3_15_post_auth_refresh: "POST /v1/auth/refresh",
    a3_16_post_auth_logout: "POST /v1/auth/logout",
    a3_17_get_auth_me: "GET /v1/auth/me",
    a3_18_get_auth_status: "GET /v1/auth/status",
}

/// By password, and by Privy, who makes the account the first time and finds it the second.
async fn a3_14_post_auth_login(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let again = Session::from(user.person.log_in()).await?;
    ensure!(again.user_id == user.user_id() && again.id != user.session.id, "{again:?}");
    let wrong = json!({ "email": user.person.email, "password": "another password" });
    let refused = world.anybody(&Method::POST, "/v1/auth/login", Some(&wrong)).answers(401).await?;
    ensure!(form::error_code(&refused)? == "INVALID_CREDENTIALS", "{refused}");

    let alice = PrivyPerson::new("alice-of-login").email("alice-of-login@example.com");
    let (first, second) = (
        Session::from(world.stack.by_privy(&alice)).await?,
        Session::from(world.stack.by_privy(&alice)).await?,
    );
    ensure!(first.user_id == second.user_id && first.id != second.id, "{first:?} {second:?}");
    Ok(())
}

/// The next token takes its place, and the one before gets the same for a moment.
async fn a3_15_post_auth_refresh(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let client = &world.stack.client;
    let next = Session::from(refresh(client, &user.session.refresh)).await?;
    ensure!(next.refresh != user.session.refresh && next.id == user.session.id, "{next:?}");
    ensure!(tokens::session_of(&next.access)? == user.session.id, "another session's token");
    let late = Session::from(refresh(client, &user.session.refresh)).await?;
    ensure!(late.refresh == next.refresh, "two tabs have two tokens");
    Ok(())
}

async fn a3_16_post_auth_logout(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    user.post("/v1/auth/logout", &json!({})).success().await?;
    let after = user.get("/v1/auth/me").answers(401).await?;
    ensure!(form::error_code(&after)? == "UNAUTHENTICATED", "{after}");
    refresh(&world.stack.client, &user.session.refresh).answers(401).await?;
    Ok(())
}

async fn a3_17_get_auth_me(world: Arc<World>) -> Result<()> {
    let user = world.user().await?;
    let me = user.get("/v1/auth/me").ok().await?;
    ensure!(me["id"] == user.user_id(), "{me}");
    ensure!(me["email"] == user.person.email.as_str() && me["emailVerified"] == true, "{me}");
    ensure!(me["sessionId"] == user.session.id.as_str() && me["isAdmin"] == false, "{me}");
    Ok(())
}

async fn a3_18_get_auth_status(world: Arc<World>) -> Result<()> {
    let status = world.anybody(&Method::GET, "/v1/auth/status", None).ok().await?;
    ensure!(status["status"] == "ok", "{status}");
    Ok(())
}
