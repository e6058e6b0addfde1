//! `DELETE /v1/users/{id}`

use serde_json::json;
use testing::Result;

use super::{Scene, on, part, rename};

#[tokio::test]
async fn an_owner_s_deletion_ends_every_session_of_theirs_and_nobody_else_s() -> Result<()> {
    let scene = Scene::new().await?;
    let other = scene.world.sign_in_again(&scene.alice, &scene.world.node("laptop")?.pubkey).await?;
    let gone = scene.send(&on("DELETE", &scene.alice, &scene.alice)).await?;
    assert_eq!((gone.status.as_u16(), gone.header("etag")), (200, Some("\"v2\"")), "{gone:?}");
    assert_eq!(gone.text("/deletedAt")?, "2026-01-09T12:00:00Z");
    for token in [&scene.alice, &other] {
        let answer = scene.send(&on("GET", &scene.alice, token)).await?;
        assert_eq!(answer.refusal()?, (401, "UNAUTHENTICATED"));
    }
    assert_eq!(scene.get(&scene.bob).await?.status, 200);
    assert_eq!(scene.rows("sessions WHERE revoked_reason = 'account_deleted'").await?, 2);
    let audited = format!("audit_logs WHERE action = 'user.deleted' AND chain = '{}'", scene.alice.user_id);
    assert_eq!((scene.rows(&audited).await?, scene.rows("users").await?), (1, 3));
    Ok(())
}

#[tokio::test]
async fn who_signed_in_long_ago_signs_in_again_first() -> Result<()> {
    let scene = Scene::new().await?;
    scene.world.advance(time::Duration::seconds(901));
    for by in [&scene.alice, &scene.admin] {
        let answer = scene.send(&on("DELETE", &scene.alice, by)).await?;
        assert_eq!(answer.refusal()?, (403, "STEP_UP_REQUIRED"));
    }
    // What is not so grave goes on.
    assert_eq!(scene.get(&scene.alice).await?.status, 200);
    assert_eq!(scene.rows("users WHERE deleted_at IS NOT NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_administrator_deletes_once_and_may_repeat_it() -> Result<()> {
    let scene = Scene::new().await?;
    let call = on("DELETE", &scene.alice, &scene.admin);
    let first = scene.send(&call).await?;
    scene.world.advance(time::Duration::seconds(5));
    let again = scene.send(&call).await?;
    assert_eq!((first.status.as_u16(), again.status.as_u16(), &first.body), (200, 200, &again.body));
    let audited = format!(
        "audit_logs WHERE action = 'user.deleted' AND chain = '{}' AND details ->> 'by' = '{}'",
        scene.alice.user_id, scene.admin.user_id
    );
    assert_eq!((scene.rows(&audited).await?, scene.rows("audit_logs").await?), (1, 1));
    assert_eq!(scene.get(&scene.admin).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_deleted_account_is_shown_to_administrators_and_stays_as_it_is() -> Result<()> {
    let scene = Scene::new().await?;
    scene.send(&on("DELETE", &scene.alice, &scene.admin)).await?;
    let shown = scene.send(&on("GET", &scene.alice, &scene.admin)).await?;
    assert_eq!((shown.status.as_u16(), &shown.body["version"]), (200, &json!(2)));
    for version in [1, 2] {
        let answer = scene.send(&rename(&scene.alice, &scene.admin, "x", version)).await?;
        assert_eq!(answer.refusal()?, (403, "ACCOUNT_DELETED"));
    }
    let export = part("GET", "/v1/users/{id}/export", &scene.alice, &scene.admin);
    assert_eq!(scene.send(&export).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_deletion_is_told_to_a_mailbox_that_was_proven_and_to_no_other() -> Result<()> {
    let scene = Scene::new().await?;
    let email = |user: &testing::SignedIn, verified_at: &str| {
        format!(
            "INSERT INTO identities (user_id, kind, subject, verified_at, created_at)
             VALUES ('{id}', 'email', '{id}@example.com', {verified_at}, now())",
            id = user.user_id
        )
    };
    scene.sql(&email(&scene.alice, "now()")).await?;
    scene.sql(&email(&scene.bob, "NULL")).await?;
    for user in [&scene.alice, &scene.bob] {
        assert_eq!(scene.send(&on("DELETE", user, &scene.admin)).await?.status, 200);
    }
    let told = format!("mails WHERE kind = 'account_deleted' AND user_id = '{}'", scene.alice.user_id);
    assert_eq!((scene.rows(&told).await?, scene.rows("mails").await?), (1, 1));
    Ok(())
}
