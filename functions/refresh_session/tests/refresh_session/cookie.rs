//! The refresh token of a browser: in a cookie that no script reads.

use anyhow::Context;
use testing::{Call, Outcome, Result, World};
use time::Duration;

use super::{Deps, NAME, ROUTE, call, rows, send, user, wire};

const PAGE: &str = "https://app.example.com";

fn with_cookie(token: &str, origin: Option<&str>) -> Call {
    let call = Call::new(ROUTE).header("x-refresh-transport", "cookie").cookie("__Host-rt", token);
    origin.map_or(call.clone(), |origin| call.header("origin", origin))
}

/// The token in the one cookie of an answer, whose attributes are checked.
fn cookie(answer: &Outcome, max_age: i64) -> Result<String> {
    let [cookie] = answer.reply.cookies.as_slice() else { anyhow::bail!("not one cookie: {answer:?}") };
    let (value, attributes) = cookie.split_once("; ").context("no attributes")?;
    assert_eq!(attributes, format!("Path=/; Max-Age={max_age}; HttpOnly; Secure; SameSite=Strict"));
    Ok(value.strip_prefix("__Host-rt=").context("another cookie")?.to_owned())
}

#[tokio::test]
async fn a_token_that_came_in_a_cookie_goes_back_in_one_and_nowhere_else() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    world.advance(Duration::days(1));
    let answer = send(&deps, &with_cookie(&user.refresh_token, Some(PAGE))).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text("/refreshToken").is_err(), "{answer:?}");
    let next = cookie(&answer, 29 * 86_400)?;
    assert!(!answer.reply.body.contains(&next));
    let plain = Call::new(ROUTE).cookie("__Host-rt", &next).header("origin", PAGE);
    let answer = send(&deps, &plain).await?;
    assert_eq!(answer.status, 200, "no body and a cookie say it too: {answer:?}");
    cookie(&answer, 29 * 86_400)?;
    Ok(())
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_use_the_cookie() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let strangers = [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "null",
        "",
    ];
    for origin in strangers.into_iter().map(Some).chain([None]) {
        let answer = send(&deps, &with_cookie(&user.refresh_token, origin)).await?;
        assert_eq!(answer.refusal()?, (403, "FORBIDDEN"), "{origin:?}");
        assert!(answer.reply.cookies.is_empty(), "nobody signs the owner out from afar");
        let silent = Call::new(ROUTE).cookie("__Host-rt", &user.refresh_token);
        let silent = origin.map_or(silent.clone(), |origin| silent.header("origin", origin));
        assert_eq!(send(&deps, &silent).await?.refusal()?, (403, "FORBIDDEN"), "{origin:?}");
    }
    let twice = with_cookie(&user.refresh_token, Some(PAGE)).header("origin", "https://evil.example");
    assert_eq!(send(&deps, &twice).await?.refusal()?, (403, "FORBIDDEN"));
    assert_eq!(rows(&world, "sessions WHERE refresh_counter = 0").await?, 1, "nothing was spent");
    Ok(())
}

#[tokio::test]
async fn the_origins_are_those_that_may_call_the_api() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let several = [("ALLOWED_ORIGINS", "https://one.example, https://two.example")];
    let deps = world.wire_with(NAME, &several, Deps::wire).await?;
    let answer = send(&deps, &with_cookie(&user.refresh_token, Some("https://two.example"))).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = send(&deps, &with_cookie(&user.refresh_token, Some(PAGE))).await?;
    assert_eq!(answer.refusal()?, (403, "FORBIDDEN"));
    for bad in ["*", "app.example.com", "https://app.example.com/", "https://one.example,"] {
        assert!(world.wire_with(NAME, &[("ALLOWED_ORIGINS", bad)], Deps::wire).await.is_err(), "{bad}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cookie_that_is_not_good_is_taken_away() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE sessions SET revoked_at = now(), revoked_reason = 'logout'").await?;
    let refused = send(&deps, &with_cookie(&user.refresh_token, Some(PAGE))).await?;
    assert_eq!(refused.refusal()?, (401, "REFRESH_REJECTED"));
    assert_eq!(cookie(&refused, 0)?, "");
    admin.batch_execute("UPDATE users SET deleted_at = now()").await?;
    let refused = send(&deps, &with_cookie(&user.refresh_token, Some(PAGE))).await?;
    assert_eq!((refused.refusal()?, cookie(&refused, 0)?), ((403, "ACCOUNT_DELETED"), String::new()));
    let nothing = Call::new(ROUTE).header("x-refresh-transport", "cookie").header("origin", PAGE);
    assert_eq!(send(&deps, &nothing).await?.refusal()?, (401, "REFRESH_REJECTED"));
    Ok(())
}

#[tokio::test]
async fn a_cookie_is_not_read_for_a_request_that_brings_a_body() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let call = call("garbage").cookie("__Host-rt", &user.refresh_token).header("origin", PAGE);
    let answer = send(&deps, &call).await?;
    assert_eq!(answer.refusal()?, (401, "REFRESH_REJECTED"));
    assert!(answer.reply.cookies.is_empty());
    Ok(())
}
