//! Unlinking: never the node, never the last.

use futures_util::future::join_all;
use sandbox::privy::PrivyPerson;
use serde_json::json;
use shared::account::IdentityKind;
use testing::{Call, Person, Result, World};

use super::{DID, GRACE, KEY, LINK, PASSWORD, UNLINK, kinds, rows, send, wire};

fn unlink(token: &str, kind: &str) -> Call {
    Call::new(UNLINK).path("kind", kind).bearer(token)
}

/// Somebody with an address, a password and Privy.
async fn with_both(world: &World) -> Result<Person> {
    let user = world.with_email(GRACE, PASSWORD, true).await?;
    let at = world.now().unix_timestamp();
    let privy = world.sandbox.privy().tokens_at(&PrivyPerson::new("grace"), at).access;
    let call = Call::new(LINK).bearer(&user.access_token).json(&json!({ "privyToken": privy }));
    assert_eq!(send(&wire(world).await?, &call).await?.status, 201);
    Ok(user)
}

#[tokio::test]
async fn what_is_unlinked_signs_nobody_in_and_its_sessions_end() -> Result<()> {
    let world = World::start().await?;
    let user = with_both(&world).await?;
    let by_privy = world.open_session_by(user.user_id, (IdentityKind::Privy, "did:privy:grace")).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &unlink(&user.access_token, "privy")).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(kinds(&answer), ["email"]);
    let ended =
        format!("sessions WHERE id = '{}' AND revoked_reason = 'identity_unlinked'", by_privy.session_id);
    assert_eq!(rows(&world, &ended).await?, 1);
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'identity.unlinked'").await?, 1);
    let told = world.sandbox.mail().inbox(GRACE);
    assert!(told.iter().any(|letter| letter.text.contains("Privy")), "{told:?}");
    assert_eq!(send(&deps, &unlink(&user.access_token, "privy")).await?.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn with_the_address_goes_the_password_and_its_mailbox_is_told() -> Result<()> {
    let world = World::start().await?;
    let user = with_both(&world).await?;
    let before = world.sandbox.mail().inbox(GRACE).len();
    let answer = send(&wire(&world).await?, &unlink(&user.access_token, "email")).await?;
    assert_eq!((answer.status.as_u16(), kinds(&answer)), (200, vec!["privy"]));
    assert_eq!(rows(&world, "passwords").await?, 0);
    assert_eq!(rows(&world, "one_time_tokens").await?, 0);
    assert_eq!(world.sandbox.mail().inbox(GRACE).len(), before + 1);
    // The address is free for whoever proves it.
    world.with_email(GRACE, PASSWORD, true).await?;
    Ok(())
}

#[tokio::test]
async fn a_node_and_its_names_are_never_unlinked() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY).await?;
    let deps = wire(&world).await?;
    for kind in ["node", "did"] {
        assert_eq!(send(&deps, &unlink(&user.access_token, kind)).await?.refusal()?, (409, "CONFLICT"));
    }
    for kind in ["lnurl", "", "Email", "email%00", "*"] {
        assert_eq!(
            send(&deps, &unlink(&user.access_token, kind)).await?.refusal()?,
            (404, "NOT_FOUND"),
            "{kind}"
        );
    }
    assert_eq!(rows(&world, "identities WHERE retired_at IS NULL").await?, 2);
    Ok(())
}

#[tokio::test]
async fn the_last_way_to_sign_in_stays() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let only_email = world.with_email("only@example.com", PASSWORD, true).await?;
    let only_privy = world.with_identity(IdentityKind::Privy, "did:privy:only").await?;
    for (user, kind) in [(&only_email, "email"), (&only_privy, "privy")] {
        assert_eq!(send(&deps, &unlink(&user.access_token, kind)).await?.refusal()?, (409, "LAST_IDENTITY"));
    }
    // An address that nobody proved and that has no password is no way in.
    let sql = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at)
         VALUES ('{}', 'email', 'x@example.com', now())",
        only_privy.user_id
    );
    world.db.admin().await?.batch_execute(&sql).await?;
    let answer = send(&deps, &unlink(&only_privy.access_token, "privy")).await?;
    assert_eq!(answer.refusal()?, (409, "LAST_IDENTITY"));
    assert_eq!(rows(&world, "identities").await?, 3);
    assert_eq!(rows(&world, "passwords").await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_two_that_unlink_the_last_two_at_once_one_is_refused() -> Result<()> {
    for _ in 0..10 {
        let world = World::start().await?;
        let user = with_both(&world).await?;
        let deps = wire(&world).await?;
        let calls = [unlink(&user.access_token, "email"), unlink(&user.access_token, "privy")];
        let answers = join_all(calls.iter().map(|call| send(&deps, call))).await;
        let mut answers: Vec<_> = answers.iter().flatten().map(testing::Outcome::error).collect();
        answers.sort_unstable();
        assert_eq!(answers, [(200, ""), (409, "LAST_IDENTITY")]);
        assert_eq!(rows(&world, "identities").await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn unlinking_takes_a_recent_sign_in() -> Result<()> {
    let world = World::start().await?;
    let user = with_both(&world).await?;
    world.advance(time::Duration::minutes(16));
    let answer = send(&wire(&world).await?, &unlink(&user.access_token, "privy")).await?;
    assert_eq!(answer.refusal()?, (403, "STEP_UP_REQUIRED"));
    assert_eq!(rows(&world, "identities").await?, 2);
    Ok(())
}
