//! What cannot be a login, and what is none.

use serde_json::{Value, json};
use testing::{Call, Result, World};

use super::{GRACE, PASSWORD, ROUTE, login, rows, send, wire, with};

#[tokio::test]
async fn what_cannot_be_a_login_names_its_field_and_costs_nothing() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    let plus = |field: &str, value: Value| {
        let mut body = json!({ "email": GRACE, "password": PASSWORD });
        body[field] = value;
        body
    };
    for (body, field) in [
        (json!({}), "email"),
        (json!({ "email": GRACE }), "password"),
        (json!({ "password": PASSWORD }), "email"),
        (plus("email", json!("grace")), "email"),
        (plus("email", json!("grace@example.com\r\nBcc: all@example.com")), "email"),
        (plus("email", json!(7)), "email"),
        (plus("password", json!(7)), "password"),
        (plus("password", json!("x".repeat(5_000))), "password"),
        (plus("privyToken", json!("eyJ")), "privyToken"),
        (plus("platform", json!("amiga")), "platform"),
        (plus("deviceId", json!("")), "deviceId"),
        (plus("deviceId", json!("a\0b")), "deviceId"),
        (plus("deviceId", json!("x".repeat(129))), "deviceId"),
    ] {
        let answer = send(&deps, &with(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}");
        assert!(!answer.body.to_string().contains(PASSWORD), "{answer:?}");
    }
    let huge = json!({ "email": GRACE, "password": "x".repeat(1_000_000) });
    assert_eq!(send(&deps, &with(&huge)).await?.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(send(&deps, &Call::new(ROUTE).body("no json")).await?.refusal()?, (400, "MALFORMED_REQUEST"));
    assert_eq!(rows(&world, "rate_limits").await?, 0, "refused before any work");
    assert_eq!(rows(&world, "sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_address_in_another_spelling_is_the_same_account_and_a_look_alike_is_not() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email("grace@bücher.example", PASSWORD, true).await?;
    let deps = wire(&world).await?;
    for same in ["grace@bücher.example", "GRACE@BÜCHER.EXAMPLE", "grace@xn--bcher-kva.example"] {
        let answer = send(&deps, &login(same, PASSWORD)).await?;
        assert_eq!(answer.text("/userId")?, grace.user_id.to_string(), "{same}");
    }
    let other = send(&deps, &login("grace@bucher.example", PASSWORD)).await?;
    assert_eq!(other.refusal()?, (401, "INVALID_CREDENTIALS"));
    let cyrillic = send(&deps, &login("grаce@bücher.example", PASSWORD)).await?;
    assert_eq!(cyrillic.refusal()?, (400, "VALIDATION_FAILED"));
    Ok(())
}

#[tokio::test]
async fn what_is_tried_at_an_account_is_written_down_once_a_minute() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    for _ in 0..2 {
        let calls = vec![login(GRACE, "a guess of mine"); 3];
        super::all_at_once(&deps, &calls).await?;
        super::all_at_once(&deps, &vec![login("nobody@example.com", "a guess of mine"); 3]).await?;
        world.advance(time::Duration::minutes(1));
    }
    let failed = format!("audit_logs WHERE action = 'login.failed' AND user_id = '{}'", grace.user_id);
    assert_eq!(rows(&world, &failed).await?, 2);
    assert_eq!(rows(&world, "audit_logs").await?, 2, "and nothing of accounts that are not there");
    assert_eq!(rows(&world, "audit_chains").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_stored_hash_that_cannot_be_read_is_a_refusal_like_any_other() -> Result<()> {
    let world = World::start().await?;
    let broken =
        ["$argon2id$v=19$m=19456,t=2,p=1$no", "$2b$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"];
    for (at, hash) in broken.into_iter().enumerate() {
        world.with_hash(&format!("user{at}@example.com"), hash, true).await?;
    }
    let deps = wire(&world).await?;
    let calls: Vec<_> = (0..2).map(|at| login(&format!("user{at}@example.com"), PASSWORD)).collect();
    for answer in super::all_at_once(&deps, &calls).await? {
        assert_eq!(answer.refusal()?, (401, "INVALID_CREDENTIALS"));
    }
    Ok(())
}
