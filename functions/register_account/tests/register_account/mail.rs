//! The mail that proves the address.

use std::time::{Duration, Instant};

use sandbox::{Misbehaviour, Route, Service, When};
use testing::{Result, World};

use super::{EMAIL, NAME, registering, rows, send, wire};
use register_account::Deps;

#[tokio::test]
async fn it_says_which_app_and_brings_a_link_with_the_token() -> Result<()> {
    let world = World::start().await?;
    send(&wire(&world).await?, &registering(EMAIL)).await?;
    world.deliver_mail().await?;
    let letters = world.sandbox.mail().inbox(EMAIL);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].subject, "Confirm your e-mail address (app.example.com)");
    let link = letters[0].text.lines().find(|line| line.contains("?token=")).unwrap_or_default();
    let token = link.strip_prefix("http://127.0.0.1:3000/verify-email?token=").unwrap_or_default();
    assert_eq!(token.len(), 43, "{link}");
    let kept = format!("one_time_tokens WHERE hash = sha256('{token}'::bytea) AND purpose = 'verify_email'");
    assert_eq!(rows(&world, &kept).await?, 1);
    Ok(())
}

#[tokio::test]
async fn while_nobody_takes_mail_the_account_is_made_and_the_mail_waits() -> Result<()> {
    let world = World::start().await?;
    world.sandbox.faults().down(Service::Mail);
    let answer = send(&wire(&world).await?, &registering(EMAIL)).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    let waiting = "mails WHERE state = 'waiting' AND attempts = 1 AND content_sealed IS NOT NULL
                   AND due_at > '2026-01-09 12:00Z' AND due_at < '2026-01-09 12:01Z'";
    assert_eq!(rows(&world, waiting).await?, 1);
    assert_eq!(rows(&world, "one_time_tokens").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_says_nothing_holds_nobody_up() -> Result<()> {
    let world = World::start().await?;
    let stall = Misbehaviour::stall(Duration::from_secs(30));
    world.sandbox.faults().add(Route::service(Service::Mail), When::Always, stall)?;
    let started = Instant::now();
    let answer = send(&wire(&world).await?, &registering(EMAIL)).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(rows(&world, "mails WHERE state = 'waiting'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_address_that_takes_no_mail_is_given_up_at_once() -> Result<()> {
    let world = World::start().await?;
    world.sandbox.mail().refuse(EMAIL, "MessageRejected");
    assert_eq!(send(&wire(&world).await?, &registering(EMAIL)).await?.status, 201);
    world.deliver_mail().await?;
    let dead =
        "mails WHERE state = 'dead' AND last_error_code = 'MessageRejected' AND content_sealed IS NULL";
    assert_eq!(rows(&world, dead).await?, 1);
    Ok(())
}

#[tokio::test]
async fn without_a_sender_accounts_are_made_and_nothing_is_mailed() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire_with(NAME, &[("MAIL_FROM", "")], Deps::wire).await?;
    assert_eq!(send(&deps, &registering(EMAIL)).await?.status, 201);
    assert_eq!(rows(&world, "mails").await?, 0);
    assert!(world.sandbox.mail().letters().is_empty());
    Ok(())
}
