//! How long a session lives.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use testing::{Result, World};
use time::Duration;

use super::{Deps, NAME, child, next, part, refresh, rows, user, wire};

#[tokio::test]
async fn use_keeps_a_session_alive_and_a_week_without_any_ends_it() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let mut token = user.refresh_token.clone();
    for _ in 0..3 {
        world.advance(Duration::days(7) - Duration::seconds(1));
        token = next(&deps, &token).await?;
    }
    world.advance(Duration::days(7));
    assert_eq!(refresh(&deps, &token).await?.refusal()?, (401, "REFRESH_REJECTED"));
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NOT NULL").await?, 0, "it ran out");
    Ok(())
}

#[tokio::test]
async fn no_use_keeps_a_session_alive_for_more_than_a_month() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    let mut token = user.refresh_token.clone();
    for _ in 0..5 {
        world.advance(Duration::days(6) - Duration::seconds(1));
        token = next(&deps, &token).await?;
        assert_eq!(rows(&world, "sessions WHERE idle_expires_at > absolute_expires_at").await?, 0);
    }
    world.advance(Duration::seconds(4));
    token = next(&deps, &token).await?;
    world.advance(Duration::seconds(1));
    assert_eq!(refresh(&deps, &token).await?.refusal()?, (401, "REFRESH_REJECTED"));
    Ok(())
}

#[tokio::test]
async fn a_session_made_from_another_refreshes_as_any_and_lives_no_longer_than_its_parent() -> Result<()> {
    let world = World::start().await?;
    let (user, deps) = (user(&world).await?, wire(&world).await?);
    world.advance(Duration::days(5));
    let mut token = child(&world, &user).await?;
    for _ in 0..4 {
        world.advance(Duration::days(6));
        let answer = refresh(&deps, &token).await?;
        assert_ne!(answer.text("/sessionId")?, user.session_id.to_string());
        token = answer.text("/refreshToken")?.to_owned();
    }
    world.advance(Duration::days(1));
    assert_eq!(refresh(&deps, &token).await?.refusal()?, (401, "REFRESH_REJECTED"), "the parent's 30 days");
    Ok(())
}

/// For any lifetime that can be configured, and at any time.
#[test]
fn an_access_token_lives_exactly_as_long_as_is_configured() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (world, user) = runtime.block_on(async {
        let world = World::start().await?;
        let user = user(&world).await?;
        anyhow::Ok((world, user))
    })?;
    let token = RefCell::new(user.refresh_token.clone());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(100) });
    runner.run(&(60..=86_400_i64, 0..1_000_i64), |(ttl, wait)| {
        let check = async {
            world.advance(Duration::milliseconds(wait) + Duration::seconds(1));
            let given =
                [("ACCESS_TTL_SECONDS", &*ttl.to_string()), ("RATE_LIMIT_REFRESH_PER_SESSION", "100000")];
            let deps = world.wire_with(NAME, &given, Deps::wire).await?;
            let presented = token.borrow().clone();
            let answer = refresh(&deps, &presented).await?;
            let claims = part(answer.text("/accessToken")?, 1)?;
            let lived = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
            anyhow::Ok((lived, answer.body["expiresIn"].clone(), answer.text("/refreshToken")?.to_owned()))
        };
        let (lived, said, next) =
            runtime.block_on(check).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        token.replace(next);
        prop_assert_eq!((lived, said), (Some(ttl), json!(ttl)));
        Ok(())
    })?;
    Ok(())
}
