//! Whose account it is, and who may look at it.

use serde_json::json;
use testing::{Call, Result, World};
use users::Deps;

use super::{NAME, ONE, Scene, on, part, send};

const ROUTES: [(&str, &str); 6] = [
    ("GET", ONE),
    ("PUT", ONE),
    ("DELETE", ONE),
    ("GET", "/v1/users/{id}/export"),
    ("POST", "/v1/users/{id}/wallet"),
    ("POST", "/v1/users/{id}/activity"),
];

fn full_body() -> serde_json::Value {
    json!({ "displayName": "Mallory", "version": 1, "walletAddress": "0xabc", "privyId": "did:privy:m" })
}

#[tokio::test]
async fn others_learn_nothing_of_an_account_not_even_whether_it_is_there() -> Result<()> {
    let scene = Scene::new().await?;
    for (method, path) in ROUTES {
        for id in [scene.alice.user_id.to_string(), "019b9f5e-5c00-7000-8000-000000000001".to_owned()] {
            let call = Call::new(&format!("{method} {path}"))
                .path("id", &id)
                .bearer(&scene.bob.access_token)
                .json(&full_body());
            let answer = scene.send(&call).await?;
            assert_eq!(answer.refusal()?, (403, "FORBIDDEN"), "{method} {path} {id}");
        }
    }
    for route in ["GET /v1/users", "POST /v1/users"] {
        let answer = scene.send(&Call::new(route).bearer(&scene.bob.access_token).json(&full_body())).await?;
        assert_eq!(answer.refusal()?, (403, "FORBIDDEN"), "{route}");
    }
    assert_eq!(scene.rows("users WHERE version > 1 OR deleted_at IS NOT NULL").await?, 0);
    assert_eq!(scene.rows("wallets").await? + scene.rows("audit_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn nobody_gets_in_without_a_session_that_stands() -> Result<()> {
    let scene = Scene::new().await?;
    scene.sql("UPDATE sessions SET revoked_at = now()").await?;
    let lookups = [
        ("GET", "/v1/users"),
        ("POST", "/v1/users"),
        ("GET", "/v1/users/privy/{privyId}"),
        ("GET", "/v1/users/wallet/{walletAddress}"),
    ];
    for (method, path) in ROUTES.into_iter().chain(lookups) {
        for token in ["", "nonsense", &scene.admin.access_token, &scene.alice.access_token] {
            let call = Call::new(&format!("{method} {path}"))
                .path("id", &scene.alice.user_id.to_string())
                .path("privyId", "did:privy:m")
                .path("walletAddress", "0xabc")
                .bearer(token)
                .json(&full_body());
            let (status, _) = scene.send(&call).await?.refusal()?;
            // Who is no administrator by the token, or not the owner by it, is turned away before the session is asked.
            assert!(status == 401 || status == 403 && token.len() > 100, "{method} {path}: {status}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn administrators_see_everybody_and_do_not_speak_for_them() -> Result<()> {
    let scene = Scene::new().await?;
    let answer = scene.send(&on("GET", &scene.alice, &scene.admin)).await?;
    assert_eq!((answer.status.as_u16(), answer.text("/id")?), (200, &*scene.alice.user_id.to_string()));
    for path in ["/v1/users/{id}/wallet", "/v1/users/{id}/activity"] {
        let call = part("POST", path, &scene.alice, &scene.admin).json(&full_body());
        assert_eq!(scene.send(&call).await?.refusal()?, (403, "FORBIDDEN"), "{path}");
    }
    let nobody = Call::new("GET /v1/users/{id}").path("id", "019b9f5e-5c00-7000-8000-000000000001");
    let answer = scene.send(&nobody.bearer(&scene.admin.access_token)).await?;
    assert_eq!(answer.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn who_is_no_administrator_any_more_sees_themselves_only() -> Result<()> {
    let scene = Scene::new().await?;
    scene.sql("DELETE FROM admins").await?;
    assert_eq!(scene.send(&on("GET", &scene.alice, &scene.admin)).await?.refusal()?, (403, "FORBIDDEN"));
    assert_eq!(scene.get(&scene.admin).await?.status, 200);
    let list = Call::new("GET /v1/users").bearer(&scene.admin.access_token);
    assert_eq!(scene.send(&list).await?.refusal()?, (403, "FORBIDDEN"));
    let create = scene.new_user(&json!({ "privyId": "did:privy:x" }));
    assert_eq!(scene.send(&create).await?.refusal()?, (403, "FORBIDDEN"));
    Ok(())
}

#[tokio::test]
async fn a_new_administrator_s_older_token_looks_nobody_up() -> Result<()> {
    let scene = Scene::new().await?;
    scene.sql(&format!("INSERT INTO admins VALUES ('{}', now())", scene.bob.user_id)).await?;
    let wallet = part("POST", "/v1/users/{id}/wallet", &scene.alice, &scene.alice);
    let claimed = scene.send(&wallet.json(&json!({ "walletAddress": "0xabc" }))).await?;
    assert_eq!(claimed.status, 201);
    let call = Call::new("GET /v1/users/wallet/{walletAddress}").path("walletAddress", "0xabc");
    let answer = scene.send(&call.clone().bearer(&scene.bob.access_token)).await?;
    assert_eq!(answer.refusal()?, (404, "NOT_FOUND"));
    assert_eq!(scene.send(&call.bearer(&scene.alice.access_token)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_account_is_shown_whole_and_with_its_version() -> Result<()> {
    let scene = Scene::new().await?;
    let answer = scene.get(&scene.alice).await?;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"v1\"")));
    let fields: Vec<&str> =
        answer.body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        fields,
        [
            "createdAt",
            "deletedAt",
            "dids",
            "discordId",
            "discordUsername",
            "displayName",
            "email",
            "emailVerified",
            "id",
            "lastActiveAt",
            "lastLoginAt",
            "privyId",
            "pubkey",
            "updatedAt",
            "username",
            "version",
            "wallets"
        ]
    );
    assert_eq!(answer.body["dids"], json!([scene.alice.did.to_string()]));
    assert_eq!(answer.body["emailVerified"], false);
    assert!(answer.text("/createdAt")?.ends_with('Z'));
    Ok(())
}

#[tokio::test]
async fn the_list_is_everybody_newest_first_in_pages() -> Result<()> {
    let scene = Scene::new().await?;
    for nth in 0..5 {
        scene.world.advance(time::Duration::seconds(1));
        scene.send(&scene.new_user(&json!({ "privyId": format!("did:privy:{nth}") }))).await?;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let call = Call::new("GET /v1/users").bearer(&scene.admin.access_token);
        let answer = scene.send(&call.query(&format!("limit=3{cursor}"))).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        for user in answer.body["items"].as_array().into_iter().flatten() {
            seen.push(user["id"].as_str().unwrap_or_default().to_owned());
        }
        let Some(next) = answer.body["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 8);
    let mut sorted = seen.clone();
    sorted.sort_by(|one, other| other.cmp(one));
    sorted.dedup();
    assert_eq!(seen[..5], sorted[..5]);
    assert_eq!(sorted.len(), 8);
    Ok(())
}

#[tokio::test]
async fn ids_that_are_none_are_named() -> Result<()> {
    let scene = Scene::new().await?;
    let long = "x".repeat(300);
    let wrong = [
        ("GET /v1/users/{id}", "id", "1"),
        ("GET /v1/users/{id}", "id", "%00"),
        ("DELETE /v1/users/{id}", "id", "me"),
        ("GET /v1/users/privy/{privyId}", "privyId", "%00"),
        ("GET /v1/users/privy/{privyId}", "privyId", "a%20b"),
        ("GET /v1/users/privy/{privyId}", "privyId", &long),
        ("GET /v1/users/wallet/{walletAddress}", "walletAddress", "a%0Ab"),
        ("GET /v1/users/wallet/{walletAddress}", "walletAddress", &long),
    ];
    for (route, name, value) in wrong {
        let answer =
            scene.send(&Call::new(route).path(name, value).bearer(&scene.admin.access_token)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{route} {value}");
        assert_eq!(answer.fields(), [name]);
    }
    Ok(())
}

#[tokio::test]
async fn activity_is_noted_at_most_once_a_minute_and_is_no_new_version() -> Result<()> {
    let scene = Scene::new().await?;
    let call = part("POST", "/v1/users/{id}/activity", &scene.alice, &scene.alice);
    let first = scene.send(&call).await?;
    assert_eq!(first.text("/lastActiveAt")?, "2026-01-09T12:00:00Z");
    scene.world.advance(time::Duration::seconds(59));
    assert_eq!(scene.send(&call).await?.body, first.body);
    scene.world.advance(time::Duration::seconds(1));
    assert_eq!(scene.send(&call).await?.text("/lastActiveAt")?, "2026-01-09T12:01:00Z");
    assert_eq!(scene.get(&scene.alice).await?.header("etag"), Some("\"v1\""));
    Ok(())
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait() -> Result<()> {
    let world = World::start().await?;
    let alice = super::user(&world, "alice", "0").await?;
    let deps = world.wire_with(NAME, &[("RATE_LIMIT_PER_SESSION", "3")], Deps::wire).await?;
    let wallet = part("POST", "/v1/users/{id}/wallet", &alice, &alice).json(&full_body());
    for _ in 0..3 {
        assert!(send(&deps, &wallet).await?.status.is_success());
    }
    assert_eq!(send(&deps, &wallet).await?.refusal()?, (429, "RATE_LIMITED"));
    assert_eq!(send(&deps, &on("GET", &alice, &alice)).await?.refusal()?, (429, "RATE_LIMITED"));
    Ok(())
}
