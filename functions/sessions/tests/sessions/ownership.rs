//! Whose sessions are whose.

use serde_json::json;
use testing::{Call, Result, SignedIn, World};

use super::{
    ACTIVE, ACTIVITY, CHANGE, CREATE, END, END_ALL, EXTEND, LIST, ONE, PUSH_TOKEN, STATS, about, create,
    noted, rows, send, stranger, user, wire,
};

fn with_body(route: &str, who: &SignedIn, id: impl ToString + Copy) -> Call {
    about(route, who, id).json(&json!({ "pushToken": "x", "deviceId": "stolen" }))
}

#[tokio::test]
async fn to_a_stranger_anothers_session_is_not_there_and_anothers_id_is_not_theirs() -> Result<()> {
    let world = World::start().await?;
    let (user, stranger, deps) = (user(&world).await?, stranger(&world).await?, wire(&world).await?);
    for route in [ONE, CHANGE, END, ACTIVITY, PUSH_TOKEN, EXTEND] {
        for id in [user.session_id, uuid::Uuid::from_u128(7)] {
            let answer = send(&deps, &with_body(route, &stranger, id)).await?;
            assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{route}");
        }
    }
    for route in [LIST, ACTIVE, STATS, END_ALL] {
        for id in [user.user_id, uuid::Uuid::from_u128(7)] {
            assert_eq!(
                send(&deps, &about(route, &stranger, id)).await?.refusal()?,
                (403, "FORBIDDEN"),
                "{route}"
            );
        }
    }
    let for_them = create(&stranger, &json!({ "userId": user.user_id }));
    assert_eq!(send(&deps, &for_them).await?.refusal()?, (403, "FORBIDDEN"));
    let untouched = "sessions WHERE revoked_at IS NULL AND device_id IS NULL AND push_token_sealed IS NULL";
    assert_eq!(rows(&world, untouched).await?, 2);
    assert_eq!(rows(&world, "audit_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_administrator_looks_and_ends_and_neither_makes_nor_changes() -> Result<()> {
    let world = World::start().await?;
    let (user, stranger, deps) = (user(&world).await?, stranger(&world).await?, wire(&world).await?);
    let admin = world.make_admin(&stranger, &world.node("node15")?.pubkey).await?;
    let second = world.sign_in_again(&user, &world.node("node14")?.pubkey).await?;
    assert_eq!(send(&deps, &about(ONE, &admin, user.session_id)).await?.status, 200);
    for route in [LIST, ACTIVE, STATS] {
        assert_eq!(send(&deps, &about(route, &admin, user.user_id)).await?.status, 200, "{route}");
    }
    for route in [LIST, ACTIVE, STATS, END_ALL] {
        let nobody = about(route, &admin, uuid::Uuid::from_u128(7));
        assert_eq!(send(&deps, &nobody).await?.refusal()?, (404, "NOT_FOUND"), "{route}");
    }
    for route in [CHANGE, ACTIVITY, PUSH_TOKEN, EXTEND] {
        let answer = send(&deps, &with_body(route, &admin, user.session_id)).await?;
        assert_eq!(answer.refusal()?, (403, "FORBIDDEN"), "{route}");
    }
    let for_them = create(&admin, &json!({ "userId": user.user_id }));
    assert_eq!(send(&deps, &for_them).await?.refusal()?, (403, "FORBIDDEN"));
    let ended = send(&deps, &about(END, &admin, second.session_id)).await?;
    assert_eq!(ended.text("/revokedReason")?, "by_admin", "{ended:?}");
    assert_eq!(send(&deps, &about(END_ALL, &admin, user.user_id)).await?.body["ended"], 1);
    assert_eq!((noted(&world, "session.ended").await?, noted(&world, "session.all_ended").await?), (1, 1));
    let by_admin =
        format!("audit_logs WHERE user_id = '{}' AND details->>'reason' = 'by_admin'", admin.user_id);
    assert_eq!(rows(&world, &by_admin).await?, 2, "in the chain of who did it");
    assert_eq!(send(&deps, &about(ONE, &admin, admin.session_id)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_administrators_token_from_before_they_were_one_reaches_their_own_only() -> Result<()> {
    let world = World::start().await?;
    let (user, stranger, deps) = (user(&world).await?, stranger(&world).await?, wire(&world).await?);
    let admin = world.make_admin(&stranger, &world.node("node15")?.pubkey).await?;
    assert_eq!(send(&deps, &about(ONE, &stranger, user.session_id)).await?.refusal()?.0, 404);
    assert_eq!(send(&deps, &about(END, &stranger, user.session_id)).await?.refusal()?.0, 404);
    assert_eq!(send(&deps, &about(END_ALL, &stranger, user.user_id)).await?.refusal()?.0, 403);
    world.db.admin().await?.batch_execute("DELETE FROM admins").await?;
    assert_eq!(send(&deps, &about(ONE, &admin, user.session_id)).await?.refusal()?.0, 404, "no longer one");
    Ok(())
}

#[tokio::test]
async fn without_a_token_nothing_is_answered() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    for route in [CREATE, ONE, CHANGE, END, ACTIVITY, PUSH_TOKEN, EXTEND, LIST, ACTIVE, STATS, END_ALL] {
        let id = user.session_id.to_string();
        let call = Call::new(route).path("id", &id).path("userId", &id).json(&json!({ "pushToken": "x" }));
        assert_eq!(send(&deps, &call).await?.refusal()?, (401, "UNAUTHENTICATED"), "{route}");
    }
    Ok(())
}
