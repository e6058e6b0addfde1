//! Another mail, for whoever may have one.

use std::time::{Duration, Instant};

use serde_json::json;
use shared::account::IdentityKind;
use testing::statements::Statements;
use testing::{Call, Result, World};
use verify_email::Deps;

use super::{EMAIL, NAME, PASSWORD, VERIFIED, bringing, rows, send, wire};

const RESEND: &str = "POST /v1/auth/email/resend";

fn asking(email: &str) -> Call {
    Call::new(RESEND).json(&json!({ "email": email }))
}

#[tokio::test]
async fn the_event_brings_another_token_that_proves_the_address() -> Result<()> {
    let world = World::start().await?;
    world.with_email(EMAIL, PASSWORD, false).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &Call::from_event(NAME)?).await?;
    assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({ "accepted": true })));
    world.deliver_mail().await?;
    let text = world.sandbox.mail().inbox(EMAIL)[0].text.clone();
    let token = text.split_once("token=").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
    assert_eq!(send(&deps, &bringing(token)).await?.status, 200);
    assert_eq!(rows(&world, VERIFIED).await?, 1);
    Ok(())
}

#[tokio::test]
async fn whoever_needs_no_mail_gets_none_and_the_answer_is_the_same() -> Result<()> {
    let world = World::start().await?;
    world.with_email("verified@example.com", PASSWORD, true).await?;
    let deleted = world.with_email("deleted@example.com", PASSWORD, false).await?;
    world.delete_account(deleted.user_id).await?;
    let imported = world.with_identity(IdentityKind::Privy, "did:privy:alice").await?;
    let written = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at)
         VALUES ('{}', 'email', 'written@example.com', now())",
        imported.user_id
    );
    world.db.admin().await?.batch_execute(&written).await?;
    let deps = wire(&world).await?;
    let silent = ["verified@example.com", "deleted@example.com", "written@example.com", "nobody@example.com"];
    for email in silent {
        let answer = send(&deps, &asking(email)).await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({ "accepted": true })), "{email}");
    }
    assert!(world.sandbox.mail().letters().is_empty());
    assert_eq!((rows(&world, "mails").await?, rows(&world, "one_time_tokens").await?), (0, 0));
    assert_eq!(rows(&world, "audit_logs WHERE details::text LIKE '%@%'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn known_and_unknown_addresses_take_the_same_statements_and_time() -> Result<()> {
    let world = World::start().await?;
    world.with_email(EMAIL, PASSWORD, false).await?;
    let statements = Statements::listen(&world, "auth").await?;
    let deps = wire(&world).await?;
    send(&deps, &asking("warm@example.com")).await?;
    statements.take();
    let mut heard = Vec::new();
    for email in [EMAIL, "nobody@example.com"] {
        let started = Instant::now();
        assert_eq!(send(&deps, &asking(email)).await?.status, 202);
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(1), "{took:?}");
        let beyond = Duration::from_millis((took.as_millis() % 1_000).try_into()?);
        assert!(beyond < Duration::from_millis(400), "{took:?}");
        heard.push(statements.take());
    }
    assert_eq!(heard[0], heard[1]);
    assert!(heard[0].iter().any(|statement| statement.starts_with("INSERT INTO mails")), "{heard:?}");
    world.deliver_mail().await?;
    assert_eq!(world.sandbox.mail().letters().len(), 1);
    Ok(())
}

#[tokio::test]
async fn tokens_that_are_brought_back_count_apart_from_what_is_asked_for() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    for _ in 0..10 {
        assert_eq!(send(&deps, &bringing("no token")).await?.refusal()?, (410, "TOKEN_GONE"));
    }
    assert_eq!(send(&deps, &asking(EMAIL)).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn one_address_is_mailed_three_times_a_minute_and_one_caller_asks_ten_times() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    for at in 0..3 {
        let call = asking(EMAIL).from_address(&format!("198.51.100.{at}"));
        assert_eq!(send(&deps, &call).await?.status, 202);
    }
    let refused = send(&deps, &asking(EMAIL).from_address("198.51.100.9")).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    for at in 0..10 {
        assert_eq!(send(&deps, &asking(&format!("a{at}@example.com"))).await?.status, 202);
    }
    assert_eq!(send(&deps, &asking("b@example.com")).await?.refusal()?, (429, "RATE_LIMITED"));
    Ok(())
}
