//! What a token that was spent before gets.

use testing::{Result, World};
use time::Duration;

use super::{child, next, refresh, rows, user, wire};

#[tokio::test]
async fn a_lost_answer_asked_for_again_is_the_same_one_and_nothing_is_written() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let lost = next(&deps, &user.refresh_token).await?;
    let before = world.db.count("SELECT sum(hashtext(s::text)) FROM sessions s").await?;
    for _ in 0..3 {
        world.advance(Duration::seconds(20));
        let again = refresh(&deps, &user.refresh_token).await?;
        assert_eq!((again.status.as_u16(), again.text("/refreshToken")?), (200, lost.as_str()));
    }
    assert_eq!(world.db.count("SELECT sum(hashtext(s::text)) FROM sessions s").await?, before);
    assert_eq!(rows(&world, "audit_logs").await?, 0);
    assert_eq!(refresh(&deps, &lost).await?.status, 200, "and the session goes on from it");
    Ok(())
}

#[tokio::test]
async fn after_the_window_the_first_reuse_ends_the_session_for_everybody() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let stolen = user.refresh_token.clone();
    let current = next(&deps, &stolen).await?;
    let childs = child(&world, &user).await?;
    world.advance(Duration::seconds(61));
    assert_eq!(refresh(&deps, &stolen).await?.refusal()?, (401, "REFRESH_REJECTED"));
    assert_eq!(rows(&world, "sessions WHERE revoked_reason = 'refresh_token_reused'").await?, 2);
    assert_eq!(
        refresh(&deps, &childs).await?.refusal()?,
        (401, "REFRESH_REJECTED"),
        "made by the thief, perhaps"
    );
    assert_eq!(refresh(&deps, &current).await?.refusal()?, (401, "REFRESH_REJECTED"));
    refresh(&deps, &stolen).await?;
    let noted =
        format!("audit_logs WHERE action = 'session.reuse_detected' AND user_id = '{}'", user.user_id);
    assert_eq!(rows(&world, &noted).await?, 1, "once");
    Ok(())
}

#[tokio::test]
async fn a_token_two_back_ends_the_session_within_the_window_too() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let second = next(&deps, &user.refresh_token).await?;
    next(&deps, &second).await?;
    assert_eq!(refresh(&deps, &user.refresh_token).await?.refusal()?, (401, "REFRESH_REJECTED"));
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NOT NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_owner_is_told_by_mail_where_there_is_a_proven_address() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let sql = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at, verified_at)
         VALUES ('{}', 'email', 'alice@example.com', now(), now())",
        user.user_id
    );
    world.db.admin().await?.batch_execute(&sql).await?;
    next(&deps, &user.refresh_token).await?;
    world.advance(Duration::seconds(61));
    refresh(&deps, &user.refresh_token).await?;
    assert_eq!(rows(&world, "mails WHERE kind = 'session_reuse_detected'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_window_is_what_the_configuration_says() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let none = [("REFRESH_GRACE_SECONDS", "0")];
    let deps = world.wire_with(super::NAME, &none, super::Deps::wire).await?;
    next(&deps, &user.refresh_token).await?;
    world.advance(Duration::milliseconds(1));
    assert_eq!(refresh(&deps, &user.refresh_token).await?.refusal()?, (401, "REFRESH_REJECTED"));
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NOT NULL").await?, 1);
    Ok(())
}
