//! Asking tells nothing.

use std::time::{Duration, Instant};

use sandbox::Service;
use serde_json::json;
use shared::account::{IdentityKind, NewIdentity, add};
use shared::db::roles::Role;
use testing::statements::Statements;
use testing::{Call, Result, World};

use super::{EMAIL, NAME, NEW, OLD, is_password, issue, rows, send, setting, wire};

const FORGOT: &str = "POST /v1/auth/password/forgot";

fn asking(email: &str) -> Call {
    Call::new(FORGOT).json(&json!({ "email": email }))
}

#[tokio::test]
async fn the_event_brings_a_mail_whose_token_sets_the_password() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &Call::from_event(NAME)?).await?;
    assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({ "accepted": true })));
    world.deliver_mail().await?;
    let letter = world.sandbox.mail().inbox(EMAIL).remove(0);
    assert_eq!(letter.subject, "Set a new password (app.example.com)");
    let token = letter.text.split_once("reset-password?token=").and_then(|(_, rest)| rest.lines().next());
    assert_eq!(send(&deps, &setting(token.unwrap_or_default(), NEW)).await?.status, 200);
    assert!(is_password(&world, alice.user_id, NEW).await?);
    Ok(())
}

#[tokio::test]
async fn whoever_asks_for_somebody_elses_password_makes_no_mail_of_theirs_worthless() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let own = issue(&world, alice.user_id).await?;
    let deps = wire(&world).await?;
    for _ in 0..2 {
        world.advance(time::Duration::seconds(1));
        assert_eq!(send(&deps, &asking(EMAIL)).await?.status, 202);
    }
    assert_eq!(rows(&world, "one_time_tokens").await?, 3);
    assert_eq!(send(&deps, &setting(&own, NEW)).await?.status, 200);
    assert_eq!(rows(&world, "one_time_tokens").await?, 0, "the others go with it");
    Ok(())
}

#[tokio::test]
async fn known_and_unknown_addresses_take_the_same_statements_and_time() -> Result<()> {
    let world = World::start().await?;
    world.with_email(EMAIL, OLD, true).await?;
    let statements = Statements::listen(&world, "auth").await?;
    let deps = wire(&world).await?;
    send(&deps, &asking("warm@example.com")).await?;
    statements.take();
    let mut heard = Vec::new();
    for email in [EMAIL, "nobody@example.com"] {
        let started = Instant::now();
        assert_eq!(send(&deps, &asking(email)).await?.status, 202);
        let took = started.elapsed();
        let beyond = Duration::from_millis((took.as_millis() % 1_000).try_into()?);
        assert!(took >= Duration::from_secs(1) && beyond < Duration::from_millis(400), "{took:?}");
        heard.push(statements.take());
    }
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0].iter().filter(|statement| *statement == "COMMIT").count(), 1, "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn with_mail_away_the_answer_is_the_same_and_the_mail_waits() -> Result<()> {
    let world = World::start().await?;
    world.with_email(EMAIL, OLD, true).await?;
    world.sandbox.faults().down(Service::Mail);
    assert_eq!(send(&wire(&world).await?, &asking(EMAIL)).await?.status, 202);
    assert_eq!(rows(&world, "mails WHERE state = 'waiting' AND kind = 'reset_password'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_account_without_a_password_gets_one_only_by_an_address_it_has_proven() -> Result<()> {
    let world = World::start().await?;
    let client = world.db.connect(Role::Auth).await?;
    let deps = wire(&world).await?;
    for (name, verified_at) in [("proven", Some(world.now())), ("written", None)] {
        let person = world.with_identity(IdentityKind::Discord, name).await?;
        let subject = format!("{name}@example.com");
        let email = NewIdentity { kind: IdentityKind::Email, subject: &subject, label: None, verified_at };
        add(&client, person.user_id, &email, world.now())
            .await
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        assert_eq!(send(&deps, &asking(&subject)).await?.status, 202);
    }
    world.deliver_mail().await?;
    let written_to = world.sandbox.mail().letters().into_iter().map(|letter| letter.to).collect::<Vec<_>>();
    assert_eq!(written_to, ["proven@example.com"]);
    Ok(())
}
