//! Property: whatever is not a good token of ours gets 401, and nothing else.

use data_encoding::BASE64URL_NOPAD;
use get_me::{Deps, handle};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testing::{Call, Outcome, Result, World};

use super::{NAME, user};

const CASES: u32 = 300;

/// A token made from a good one by somebody without the key.
#[derive(Clone, Debug)]
enum Forgery {
    /// One character is another.
    Flipped(prop::sample::Index, char),
    /// It ends early.
    Cut(prop::sample::Index),
    /// A claim says something else.
    Claim(&'static str, String),
    /// The header says something else.
    Header(&'static str, &'static str),
    /// It is no token at all.
    Other(String),
}

fn forgery() -> impl Strategy<Value = Forgery> {
    prop_oneof![
        (any::<prop::sample::Index>(), "[A-Za-z0-9_-]")
            .prop_map(|(at, with)| Forgery::Flipped(at, with.chars().next().unwrap_or('A'))),
        any::<prop::sample::Index>().prop_map(Forgery::Cut),
        (prop::sample::select(vec!["sub", "sid", "iss", "aud", "scope"]), "[a-z0-9 -]{0,36}")
            .prop_map(|(name, value)| Forgery::Claim(name, value)),
        (
            prop::sample::select(vec!["alg", "kid", "typ"]),
            prop::sample::select(vec!["none", "HS256", "ES256", "", "JWT", "other"])
        )
            .prop_map(|(name, value)| Forgery::Header(name, value)),
        "[ -~]{0,200}".prop_map(Forgery::Other),
    ]
}

fn changed(part: &str, name: &str, value: &str) -> String {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_default();
    let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    json[name] = value.into();
    BASE64URL_NOPAD.encode(json.to_string().as_bytes())
}

fn forge(good: &str, forgery: &Forgery) -> String {
    let parts: Vec<&str> = good.split('.').collect();
    match forgery {
        Forgery::Flipped(at, with) => {
            let at = at.index(good.len());
            format!("{}{with}{}", &good[..at], &good[at + 1..])
        }
        Forgery::Cut(at) => good[..at.index(good.len())].to_owned(),
        Forgery::Claim(name, value) => {
            format!("{}.{}.{}", parts[0], changed(parts[1], name, value), parts[2])
        }
        Forgery::Header(name, value) => {
            format!("{}.{}.{}", changed(parts[0], name, value), parts[1], parts[2])
        }
        Forgery::Other(text) => text.clone(),
    }
}

#[test]
fn whatever_is_not_our_token_is_a_401() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (world, user, deps) = runtime.block_on(async {
        let world = World::start().await?;
        let user = user(&world).await?;
        let deps = world.wire(NAME, Deps::wire).await?;
        anyhow::Ok((world, user, deps))
    })?;
    let good = &user.access_token;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(CASES) });
    runner.run(&forgery(), |forgery| {
        let token = forge(good, &forgery);
        prop_assume!(token != *good);
        let call = Call::from_event(NAME).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let answer = runtime.block_on(handle(&deps, call.bearer(&token).request()));
        let answer = Outcome::of(answer).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let refusal = answer.refusal().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(refusal, (401, "UNAUTHENTICATED"), "{}", token);
        prop_assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        Ok(())
    })?;
    drop(world);
    Ok(())
}

/// For any time after its end: the same token, which was good, is a 401.
#[test]
fn a_token_past_its_end_is_a_401_whenever_it_comes() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let world = runtime.block_on(World::start())?;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(100) });
    let user = runtime.block_on(user(&world))?;
    let deps = runtime.block_on(world.wire(NAME, Deps::wire))?;
    world.advance(time::Duration::seconds(1_805));
    runner.run(&(0..100_000_i64), |later| {
        world.advance(time::Duration::seconds(later));
        let answer = runtime.block_on(super::send(&deps, &user.access_token));
        let answer = answer.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(matches!(answer.error(), (401, "TOKEN_EXPIRED" | "UNAUTHENTICATED")), "{:?}", answer);
        Ok(())
    })?;
    Ok(())
}
