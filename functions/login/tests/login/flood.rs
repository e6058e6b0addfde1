//! Limits: nobody guesses, and nobody is locked out.

use std::time::{Duration, Instant};

use login::Deps;
use testing::{Call, Result, World};

use super::{GRACE, NAME, PASSWORD, all_at_once, login, rows, send};

const HOME: &str = "198.51.100.7";

async fn wire(world: &World, changed: &[(&str, &str)]) -> Result<Deps> {
    let changed = [changed, &[("DATABASE_POOL_SIZE", "20")]].concat();
    world.wire_with(NAME, &changed, Deps::wire).await
}

/// So many guesses, each from an address of its own.
fn guesses(count: usize) -> Vec<Call> {
    (0..count)
        .map(|at| login(GRACE, "a guess of mine").from_address(&format!("203.0.{}.{}", at / 250, at % 250)))
        .collect()
}

#[tokio::test]
async fn one_address_has_ten_tries_a_minute_at_one_account() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world, &[]).await?;
    let answers = all_at_once(&deps, &vec![login(GRACE, "a guess of mine"); 14]).await?;
    let refused = answers.iter().filter(|answer| answer.error() == (429, "RATE_LIMITED")).count();
    assert_eq!(refused, 4);
    assert_eq!(answers.iter().filter(|answer| answer.error().0 == 401).count(), 10);

    let answer = send(&deps, &login(GRACE, PASSWORD)).await?;
    assert_eq!(answer.refusal()?, (429, "RATE_LIMITED"), "not even with the right one");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(send(&deps, &login("other@example.com", PASSWORD)).await?.error().0, 401, "another account");
    assert_eq!(send(&deps, &login(GRACE, PASSWORD).from_address(HOME)).await?.status, 200, "another address");
    world.advance(time::Duration::minutes(1));
    assert_eq!(send(&deps, &login(GRACE, PASSWORD)).await?.status, 200, "a minute later");
    Ok(())
}

#[tokio::test]
async fn one_address_uses_up_no_more_of_an_account_than_its_ten_tries() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world, &[("RATE_LIMIT_LOGIN_PER_ACCOUNT", "11")]).await?;
    let answers = all_at_once(&deps, &vec![login(GRACE, "a guess of mine"); 40]).await?;
    assert_eq!(answers.iter().filter(|answer| answer.error() == (429, "RATE_LIMITED")).count(), 30);
    // The eleventh try of the account is anybody's.
    assert_eq!(send(&deps, &login(GRACE, PASSWORD).from_address(HOME)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_not_there_has_the_same_limits() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world, &[("RATE_LIMIT_LOGIN_PER_ACCOUNT", "5")]).await?;
    let answers = all_at_once(&deps, &guesses(8)).await?;
    assert_eq!(answers.iter().filter(|answer| answer.error() == (429, "RATE_LIMITED")).count(), 3);
    assert_eq!(answers.iter().filter(|answer| answer.error() == (401, "INVALID_CREDENTIALS")).count(), 5);
    Ok(())
}

#[tokio::test]
async fn one_address_has_300_tries_a_minute_whatever_the_account() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world, &[("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "6")]).await?;
    let calls: Vec<Call> = (0..9).map(|at| login(&format!("user{at}@example.com"), PASSWORD)).collect();
    let answers = all_at_once(&deps, &calls).await?;
    assert_eq!(answers.iter().filter(|answer| answer.error() == (429, "RATE_LIMITED")).count(), 3);
    Ok(())
}

#[tokio::test]
async fn a_flood_slows_the_owner_down_at_home_and_never_locks_them_out() -> Result<()> {
    // given an owner who signed in from home once
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world, &[("RATE_LIMIT_LOGIN_PER_ACCOUNT", "12")]).await?;
    let at_home = login(GRACE, PASSWORD).from_address(HOME);
    assert_eq!(send(&deps, &at_home).await?.status, 200);
    // when others try more often than the account allows, from as many addresses
    let answers = all_at_once(&deps, &guesses(20)).await?;
    assert_eq!(answers.iter().filter(|answer| answer.error() == (429, "RATE_LIMITED")).count(), 9);
    // then the owner gets in at home, a second later than otherwise
    let started = Instant::now();
    assert_eq!(send(&deps, &at_home).await?.status, 200);
    assert!(started.elapsed() >= Duration::from_secs(1));
    // and from elsewhere once the minute is over
    let elsewhere = login(GRACE, PASSWORD).from_address("192.0.2.1");
    assert_eq!(send(&deps, &elsewhere).await?.refusal()?, (429, "RATE_LIMITED"));
    world.advance(time::Duration::minutes(1));
    assert_eq!(send(&deps, &elsewhere).await?.status, 200);
    assert_eq!(rows(&world, "sessions").await?, 4);
    Ok(())
}

#[tokio::test]
async fn home_is_a_whole_network_of_ipv6_addresses() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world, &[("RATE_LIMIT_LOGIN_PER_ACCOUNT", "6")]).await?;
    let from = |address: &str| login(GRACE, PASSWORD).from_address(address);
    assert_eq!(send(&deps, &from("2001:db8:1:2::1")).await?.status, 200);
    all_at_once(&deps, &guesses(6)).await?;
    assert_eq!(send(&deps, &from("2001:db8:1:2:aaaa::2")).await?.status, 200);
    assert_eq!(send(&deps, &from("2001:db8:1:3::1")).await?.refusal()?, (429, "RATE_LIMITED"));
    Ok(())
}
