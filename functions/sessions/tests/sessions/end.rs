//! `DELETE /v1/sessions/…`

use serde_json::json;
use testing::{Result, World};

use super::{END, END_ALL, ONE, PUSH_TOKEN, about, create, noted, rows, send, stranger, user, wire};

#[tokio::test]
async fn an_ended_session_is_refused_everywhere_at_once_and_the_others_stand() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let other = world.sign_in_again(&user, &world.node("node14")?.pubkey).await?;
    send(&deps, &about(PUSH_TOKEN, &other, other.session_id).json(&json!({ "pushToken": "x" }))).await?;
    let answer = send(&deps, &about(END, &user, other.session_id)).await?;
    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (200, "revoked"));
    assert_eq!((answer.text("/revokedReason")?, &answer.body["hasPushToken"]), ("by_owner", &json!(false)));
    let refused = send(&deps, &about(ONE, &other, other.session_id)).await?;
    assert_eq!(refused.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(send(&deps, &about(END, &user, other.session_id)).await?.body, answer.body, "twice is once");
    assert_eq!(noted(&world, "session.ended").await?, 1);
    assert_eq!(send(&deps, &about(END, &user, user.session_id)).await?.status, 200, "one's own too");
    assert_eq!(send(&deps, &about(ONE, &user, user.session_id)).await?.refusal()?.0, 401);
    Ok(())
}

#[tokio::test]
async fn what_was_made_from_a_session_ends_with_it_and_nothing_else_does() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let other = world.sign_in_again(&user, &world.node("node14")?.pubkey).await?;
    let child = send(&deps, &create(&other, &json!({}))).await?.text("/id")?.to_owned();
    let grandchild = format!(
        "INSERT INTO sessions
             (id, user_id, parent_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at, created_at,
              last_seen_at, idle_expires_at, absolute_expires_at)
         SELECT gen_random_uuid(), user_id, id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                created_at, last_seen_at, idle_expires_at, absolute_expires_at
         FROM sessions WHERE id = '{child}'"
    );
    world.db.admin().await?.batch_execute(&grandchild).await?;
    send(&deps, &about(END, &user, other.session_id)).await?;
    assert_eq!(rows(&world, "sessions WHERE revoked_reason = 'by_owner'").await?, 3);
    assert_eq!(send(&deps, &about(ONE, &user, user.session_id)).await?.status, 200, "the caller's stands");
    Ok(())
}

#[tokio::test]
async fn all_are_ended_and_counted_the_callers_own_included() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let stranger = stranger(&world).await?;
    for _ in 0..4 {
        send(&deps, &create(&user, &json!({}))).await?;
    }
    let answer = send(&deps, &about(END_ALL, &user, user.user_id)).await?;
    assert_eq!(answer.body, json!({ "userId": user.user_id, "ended": 5 }));
    assert_eq!(send(&deps, &about(ONE, &user, user.session_id)).await?.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 1);
    assert_eq!(send(&deps, &about(ONE, &stranger, stranger.session_id)).await?.status, 200);
    assert_eq!(noted(&world, "session.all_ended").await?, 1);
    Ok(())
}
