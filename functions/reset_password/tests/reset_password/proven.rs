//! What comes of it that the mailbox answered.

use shared::account::IdentityKind;
use testing::{Result, World};

use super::{EMAIL, NEW, OLD, is_password, issue, rows, send, setting, wire};

#[tokio::test]
async fn whoever_registered_with_somebody_elses_address_loses_all_of_it_to_them() -> Result<()> {
    let world = World::start().await?;
    let squatter = world.with_email(EMAIL, OLD, false).await?;
    world.open_session_by(squatter.user_id, (IdentityKind::Email, EMAIL)).await?;
    // What no account in this state can link, should it be there all the same.
    let linked = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at) VALUES
             ('{id}', 'discord', '1', now()), ('{id}', 'did', 'did:mnemonic:0f1e2d3c4b5a6978', now())",
        id = squatter.user_id
    );
    world.db.admin().await?.batch_execute(&linked).await?;
    let token = issue(&world, squatter.user_id).await?;
    let answer = send(&wire(&world).await?, &setting(&token, NEW)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["sessionsEnded"], 2);
    assert!(!is_password(&world, squatter.user_id, OLD).await?);
    let left = "identities WHERE retired_at IS NULL";
    assert_eq!(rows(&world, left).await?, 1);
    let email =
        "identities WHERE kind = 'email' AND verified_at = '2026-01-09 12:00Z' AND retired_at IS NULL";
    assert_eq!(rows(&world, email).await?, 1);
    assert_eq!(rows(&world, "identities WHERE kind = 'did' AND retired_at IS NOT NULL").await?, 1);
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 0);
    assert_eq!(rows(&world, "audit_logs WHERE (details->>'identitiesRemoved')::int = 2").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_account_whose_address_was_proven_keeps_its_other_ways_in() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let linked = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at) VALUES ('{}', 'discord', '1', now())",
        alice.user_id
    );
    world.db.admin().await?.batch_execute(&linked).await?;
    let token = issue(&world, alice.user_id).await?;
    assert_eq!(send(&wire(&world).await?, &setting(&token, NEW)).await?.status, 200);
    assert_eq!(rows(&world, "identities WHERE retired_at IS NULL").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_deleted_account_stays_deleted() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let token = issue(&world, alice.user_id).await?;
    world.delete_account(alice.user_id).await?;
    let answer = send(&wire(&world).await?, &setting(&token, NEW)).await?;
    assert_eq!(answer.refusal()?, (403, "ACCOUNT_DELETED"));
    assert!(is_password(&world, alice.user_id, OLD).await?);
    Ok(())
}

#[tokio::test]
async fn tokens_that_are_out_for_other_addresses_go_with_the_old_password() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, false).await?;
    let token = issue(&world, alice.user_id).await?;
    let other = format!(
        "INSERT INTO one_time_tokens (hash, user_id, purpose, email, created_at, expires_at)
         VALUES (sha256('x'), '{}', 'link_email', 'mallory@example.com', now(), now() + interval '1 day')",
        alice.user_id
    );
    world.db.admin().await?.batch_execute(&other).await?;
    assert_eq!(send(&wire(&world).await?, &setting(&token, NEW)).await?.status, 200);
    assert_eq!(rows(&world, "one_time_tokens").await?, 0);
    Ok(())
}
