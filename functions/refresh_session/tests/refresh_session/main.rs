//! `POST /v1/auth/refresh`

mod cookie;
mod lifetimes;
mod races;
mod refused;
mod reuse;
mod runtime;

use anyhow::Context;
use refresh_session::{Deps, handle};
use serde_json::{Value, json};
use shared::random::Random;
use shared::session::child::NewChild;
use shared::session::{Device, Sessions};
use testing::{Call, Outcome, Result, SignedIn, World};

const NAME: &str = "refresh_session";
const ROUTE: &str = "POST /v1/auth/refresh";
const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn user(world: &World) -> Result<SignedIn> {
    world.sign_in(DID, &world.node("node12")?.pubkey).await
}

fn call(token: &str) -> Call {
    Call::new(ROUTE).json(&json!({ "refreshToken": token }))
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

async fn refresh(deps: &Deps, token: &str) -> Result<Outcome> {
    send(deps, &call(token)).await
}

/// Refreshes and returns the next token.
async fn next(deps: &Deps, token: &str) -> Result<String> {
    Ok(refresh(deps, token).await?.text("/refreshToken")?.to_owned())
}

async fn rows(world: &World, from: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {from}")).await
}

/// The refresh token of a session made from the user's.
async fn child(world: &World, user: &SignedIn) -> Result<String> {
    let sessions = world.wire("sessions", Sessions::wire).await?;
    let child = NewChild {
        id: Random::system().id(world.now()),
        user_id: user.user_id,
        parent_id: user.session_id,
        device: Device::default(),
        idempotency_key: None,
        ip: None,
        user_agent: None,
        now: world.now(),
    };
    let made = sessions.open_child(&world.db.admin().await?, &child).await;
    Ok(made.map_err(|error| anyhow::anyhow!("{error:?}"))?.refresh_token.expose().clone())
}

/// One part of a JWT, read without a check.
fn part(token: &str, place: usize) -> Result<Value> {
    let part = token.split('.').nth(place).context("too few parts")?;
    Ok(serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(part.as_bytes())?)?)
}

#[tokio::test]
async fn a_refresh_token_is_spent_for_the_next_one_and_an_access_token() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let mut token = user.refresh_token.clone();
    for _ in 0..5 {
        world.advance(time::Duration::hours(1));
        let answer = refresh(&deps, &token).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let fields: Vec<&str> = answer.body.as_object().context("no object")?.keys().map(|k| &**k).collect();
        let expected = ["accessToken", "expiresIn", "refreshToken", "sessionId", "tokenType", "userId"];
        assert_eq!(fields, expected);
        assert_eq!(answer.text("/sessionId")?, user.session_id.to_string());
        assert_eq!(answer.text("/userId")?, user.user_id.to_string());
        assert_eq!((answer.text("/tokenType")?, &answer.body["expiresIn"]), ("Bearer", &json!(1800)));
        let claims = part(answer.text("/accessToken")?, 1)?;
        assert_eq!(claims["sid"], user.session_id.to_string());
        assert_eq!(
            (&claims["scope"], &claims["iat"]),
            (&json!("user"), &json!(world.now().unix_timestamp()))
        );
        assert!(answer.reply.cookies.is_empty());
        assert_ne!(answer.text("/refreshToken")?, token);
        token = answer.text("/refreshToken")?.to_owned();
    }
    assert_eq!(rows(&world, "sessions WHERE refresh_counter = 5 AND revoked_at IS NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn whether_they_are_an_administrator_is_looked_up_anew() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let scope = async |token: &str| -> Result<(String, String)> {
        let answer = refresh(&deps, token).await?;
        let claims = part(answer.text("/accessToken")?, 1)?;
        Ok((
            claims["scope"].as_str().unwrap_or_default().to_owned(),
            answer.text("/refreshToken")?.to_owned(),
        ))
    };
    let (before, token) = scope(&user.refresh_token).await?;
    let admin = world.db.admin().await?;
    admin.batch_execute("INSERT INTO admins SELECT id, now() FROM users").await?;
    let (promoted, token) = scope(&token).await?;
    admin.batch_execute("DELETE FROM admins").await?;
    let (after, _) = scope(&token).await?;
    assert_eq!([before, promoted, after], ["user", "user admin", "user"]);
    Ok(())
}
