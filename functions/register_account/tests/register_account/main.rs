//! `POST /v1/auth/register`

mod breached;
mod mail;
mod refused;
mod runtime;
mod together;
mod wish;

use register_account::{Deps, handle};
use serde_json::{Value, json};
use testing::{Call, Outcome, Result, World};

const NAME: &str = "register_account";
const ROUTE: &str = "POST /v1/auth/register";
const EMAIL: &str = "alice@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// More than any test asks for.
const MANY: &[(&str, &str)] = &[("RATE_LIMIT_REGISTER_PER_ADDRESS", "1000000"), ("DATABASE_POOL_SIZE", "3")];

async fn wire(world: &World) -> Result<Deps> {
    world.wire_with(NAME, MANY, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

fn with(body: &Value) -> Call {
    Call::new(ROUTE).json(body)
}

fn registering(email: &str) -> Call {
    with(&json!({ "email": email, "password": PASSWORD }))
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

/// Nothing was written but what counts attempts.
async fn nothing_was_written(world: &World) -> Result<()> {
    for table in ["users", "identities", "passwords", "one_time_tokens", "mails", "sessions", "audit_logs"] {
        assert_eq!(rows(world, table).await?, 0, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn the_event_makes_an_account_with_a_session_and_a_mail() -> Result<()> {
    let world = World::start().await?;
    let answer = send(&wire(&world).await?, &Call::from_event(NAME)?).await?;

    assert_eq!(answer.status, 201, "{answer:?}");
    world.deliver_mail().await?;
    let mut fields: Vec<&str> =
        answer.body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["accessToken", "expiresIn", "refreshToken", "sessionId", "tokenType", "userId"]);
    let user = answer.text("/userId")?;
    let unproven = format!(
        "identities WHERE user_id = '{user}' AND kind = 'email' AND subject = 'alice@example.com'
         AND verified_at IS NULL AND retired_at IS NULL"
    );
    let session = format!(
        "sessions WHERE id = '{}' AND user_id = '{user}' AND identity_kind = 'email' AND revoked_at IS NULL
         AND platform = 'web' AND device_id = 'b3f1c6de-laptop' AND ip = '203.0.113.7'",
        answer.text("/sessionId")?
    );
    let hash = format!("passwords WHERE user_id = '{user}' AND hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'");
    let signed_in = format!("users WHERE id = '{user}' AND last_login_at = '2026-01-09 12:00Z'");
    let audited = format!(
        "audit_logs WHERE action = 'account.registered' AND user_id = '{user}' AND ip = '203.0.113.7'
         AND details::text NOT LIKE '%@%'"
    );
    let mailed = "mails WHERE state = 'sent' AND kind = 'verify_email' AND content_sealed IS NULL";
    for wanted in [&*unproven, &*session, &*hash, &*signed_in, &*audited, mailed, "one_time_tokens", "users"]
    {
        assert_eq!(rows(&world, wanted).await?, 1, "{wanted}");
    }
    Ok(())
}

#[tokio::test]
async fn the_refresh_token_comes_in_a_cookie_when_asked_to() -> Result<()> {
    let world = World::start().await?;
    let call = registering(EMAIL).header("x-refresh-transport", "cookie");
    let answer = send(&wire(&world).await?, &call).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.body.get("refreshToken").is_none(), "{answer:?}");
    assert!(answer.reply.cookies[0].starts_with("__Host-rt="), "{:?}", answer.reply.cookies);
    Ok(())
}

#[tokio::test]
async fn an_address_has_one_account_however_it_is_spelt() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &registering("Alice@Example.COM")).await?.status, 201);
    for email in ["alice@example.com", "ALICE@EXAMPLE.COM", "alice@example。com"] {
        assert_eq!(send(&deps, &registering(email)).await?.refusal()?, (409, "EMAIL_TAKEN"), "{email}");
    }
    assert_eq!(rows(&world, "users").await?, 1, "a refused one leaves no account behind");
    assert_eq!(rows(&world, "mails").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_does_not_happen() -> Result<()> {
    let world = World::start().await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_auth").await?;
    let answer = send(&wire(&world).await?, &registering(EMAIL)).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    assert!(world.sandbox.mail().letters().is_empty());
    nothing_was_written(&world).await
}
