//! Over the Runtime API, with the real binary.

use anyhow::Context;
use testing::{Call, Result, World, binary};

use super::{Journey, NAME, cookie_of, nelly};

#[tokio::test]
async fn the_binary_sends_a_browser_to_discord_and_signs_it_in_when_it_comes_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    world.sandbox.discord().person(nelly());
    let api = world.binary(env!("CARGO_BIN_EXE_discord_oauth"), NAME).await?;
    let left = binary::call(&api, &Call::from_event(NAME)?).await?;
    assert_eq!(left.status, 302, "{left:?}");
    let back = world.sandbox.discord().authorize(left.header("location").context("no location")?)?;
    let query = back.query().unwrap_or_default().to_owned();
    let journey = Journey { cookie: cookie_of(&left)?, query };
    let answer = binary::call(&api, &journey.callback()).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/tokenType")?, "Bearer");
    let state =
        journey.query.split("state=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
    let logs = api.logs().join("\n");
    for secret in [journey.cookie.as_str(), state, answer.text("/accessToken")?] {
        assert!(!logs.contains(secret), "{secret}");
    }
    Ok(())
}
