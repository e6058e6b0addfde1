//! `GET /v1/sessions/…`

use anyhow::Context;
use serde_json::{Value, json};
use testing::{Result, World};
use time::Duration;

use super::{ACTIVE, LIST, ONE, STATS, about, create, send, user, wire};

#[tokio::test]
async fn a_session_is_shown_without_anything_that_could_be_used() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let answer = send(&deps, &about(ONE, &user, user.session_id)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({
        "id": user.session_id, "userId": user.user_id, "status": "active", "deviceId": null, "platform": null,
        "identityKind": "did", "parentId": null, "ip": null, "userAgent": null, "hasPushToken": false,
        "createdAt": "2026-01-09T12:00:00Z", "lastSeenAt": "2026-01-09T12:00:00Z",
        "idleExpiresAt": "2026-01-16T12:00:00Z", "absoluteExpiresAt": "2026-02-08T12:00:00Z",
        "revokedAt": null, "revokedReason": null, "isCurrent": true,
    });
    assert_eq!(answer.body, expected);
    Ok(())
}

#[tokio::test]
async fn the_list_is_whole_newest_first_and_in_pages() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let mut made = vec![user.session_id.to_string()];
    for _ in 0..6 {
        // Two of each millisecond, so that the id decides between them.
        world.advance(Duration::milliseconds(i64::from(made.len() % 2 == 0)));
        made.push(send(&deps, &create(&user, &json!({}))).await?.text("/id")?.to_owned());
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer =
            send(&deps, &about(LIST, &user, user.user_id).query(&format!("limit=3{cursor}"))).await?;
        let items = answer.body["items"].as_array().context("no items")?;
        assert!(items.len() <= 3);
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let key = |item: &Value| (text(item, "createdAt").trim_end_matches('Z').to_owned(), text(item, "id"));
        assert!(items.windows(2).all(|pair| key(&pair[0]) > key(&pair[1])), "{items:?}");
        seen.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        match answer.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
    let refused = send(&deps, &about(LIST, &user, user.user_id).query("limit=0")).await?;
    assert_eq!(refused.fields(), ["limit"]);
    Ok(())
}

#[tokio::test]
async fn the_active_one_is_the_standing_one_that_was_used_last() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    world.advance(Duration::seconds(1));
    let child = send(&deps, &create(&user, &json!({}))).await?.text("/id")?.to_owned();
    let active = async || send(&deps, &about(ACTIVE, &user, user.user_id)).await;
    assert_eq!(active().await?.text("/id")?, child);
    world.advance(Duration::seconds(1));
    send(&deps, &about(super::ACTIVITY, &user, user.session_id)).await?;
    assert_eq!(active().await?.text("/id")?, user.session_id.to_string());
    let sql = format!(
        "UPDATE sessions SET last_seen_at = now(), idle_expires_at = '2026-01-09 12:00Z' WHERE id = '{child}'"
    );
    world.db.admin().await?.batch_execute(&sql).await?;
    assert_eq!(active().await?.text("/id")?, user.session_id.to_string(), "one that ran out is not active");
    Ok(())
}

#[tokio::test]
async fn the_statistics_add_up() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    super::stranger(&world).await?;
    for (device, platform) in [("a", "ios"), ("a", "ios"), ("b", "web"), ("c", "android")] {
        world.advance(Duration::minutes(1));
        send(&deps, &create(&user, &json!({ "deviceId": device, "platform": platform }))).await?;
    }
    let sql = "UPDATE sessions SET revoked_at = now() WHERE device_id = 'c';
               UPDATE sessions SET idle_expires_at = '2026-01-09 12:00Z' WHERE device_id = 'b'";
    world.db.admin().await?.batch_execute(sql).await?;
    let answer = send(&deps, &about(STATS, &user, user.user_id)).await?;
    let expected = json!({
        "total": 5, "active": 3, "revoked": 1, "expired": 1, "devices": 3,
        "byPlatform": { "web": 1, "ios": 2, "android": 1, "unknown": 1 },
        "firstCreatedAt": "2026-01-09T12:00:00Z", "lastCreatedAt": "2026-01-09T12:04:00Z",
        "lastSeenAt": "2026-01-09T12:04:00Z",
    });
    assert_eq!(answer.body, expected);
    Ok(())
}
