//! Open redirects, replays, other browsers: what a journey must not be turned into.

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testing::{Call, Result, World};

use super::{CALLBACK, Journey, START, nelly, rows, send, travel, wire};

const REFUSED: (u16, &str) = (401, "IDENTITY_REJECTED");

fn asking_for(redirect_uri: &str) -> Call {
    let encoded: String = url::form_urlencoded::byte_serialize(redirect_uri.as_bytes()).collect();
    Call::new(START).query(&format!("redirect_uri={encoded}"))
}

#[tokio::test]
async fn nobody_is_sent_anywhere_that_is_not_on_the_list_to_the_letter() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let ours = sandbox::DISCORD_REDIRECT_URI;
    assert_eq!(send(&deps, &asking_for(ours)).await?.status, 302);
    let mut others: Vec<String> =
        ["/", "?x=1", "#x", "/../x", "%2f..", "@evil.example", ".evil.example", "\\", " ", "\0"]
            .iter()
            .map(|more| format!("{ours}{more}"))
            .collect();
    others.extend(["", "https://evil.example/", "//evil.example", "javascript:alert(1)"].map(str::to_owned));
    others.extend([ours.to_uppercase(), ours.replace("http:", "https:"), format!("{ours},{ours}")]);
    for other in &others {
        let answer = send(&deps, &asking_for(other)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{other:?}");
        assert_eq!(answer.fields(), ["redirect_uri"]);
        assert!(answer.reply.cookies.is_empty() && answer.header("location").is_none(), "{other:?}");
    }
    let twice = Call::new(START).query(&format!("redirect_uri={ours}&redirect_uri=https://evil.example/"));
    assert_eq!(send(&deps, &twice).await?.refusal()?, (400, "VALIDATION_FAILED"));
    assert_eq!(rows(&world, "oauth_states").await?, 1);
    Ok(())
}

#[test]
fn no_text_but_the_lists_own_is_ever_redirected_to() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let world = runtime.block_on(World::start())?;
    let changed = [("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "1000000")];
    let deps = runtime.block_on(world.wire_with(super::NAME, &changed, discord_oauth::Deps::wire))?;
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let near = prop_oneof![
        ".{0,80}",
        "https?://127\\.0\\.0\\.1:3000/auth/discord[/?#@.]{0,3}[a-z]{0,8}",
        "(https?:)?//[a-z.@:/\\\\]{1,40}",
    ];
    let outcome = runner.run(&near, |text| {
        prop_assume!(text != sandbox::DISCORD_REDIRECT_URI);
        let answer = runtime.block_on(send(&deps, &asking_for(&text)));
        let answer = answer.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert_eq!(answer.error(), (400, "VALIDATION_FAILED"));
        prop_assert!(answer.header("location").is_none());
        Ok(())
    });
    outcome.map_err(|error| anyhow::anyhow!("{error}"))
}

#[tokio::test]
async fn a_journey_ends_once() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let journey = travel(&world, &deps, &Call::new(START)).await?;
    assert_eq!(send(&deps, &journey.callback()).await?.status, 200);
    assert_eq!(send(&deps, &journey.callback()).await?.refusal()?, REFUSED);
    assert_eq!(rows(&world, "sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_fifty_callbacks_with_one_state_one_opens_a_session() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let call = travel(&world, &deps, &Call::new(START)).await?.callback();
    let answers = join_all((0..50).map(|_| send(&deps, &call))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.error() == REFUSED).count(), 49);
    assert_eq!(rows(&world, "sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn another_browser_cannot_end_a_journey_and_does_not_spoil_it() -> Result<()> {
    // given nelly's journey, and mallory's own
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let nellys = travel(&world, &deps, &Call::new(START)).await?;
    let mallorys = travel(&world, &deps, &Call::new(START)).await?;
    // when mallory's browser brings nelly's state and code, and when nelly's is led to mallory's (a login CSRF)
    let without = Call::new(CALLBACK).query(&nellys.query);
    let stolen = Journey { cookie: mallorys.cookie.clone(), query: nellys.query.clone() };
    let planted = Journey { cookie: nellys.cookie.clone(), query: mallorys.query.clone() };
    let twice = nellys.callback().cookie("__Host-oauth", &mallorys.cookie);
    for call in [without, stolen.callback(), planted.callback(), twice] {
        let answer = send(&deps, &call).await?;
        assert_eq!(answer.refusal()?, REFUSED);
    }
    assert_eq!(rows(&world, "sessions").await?, 0);
    // then nelly's journey still ends where it should
    assert_eq!(send(&deps, &nellys.callback()).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_code_of_another_journey_is_worth_nothing() -> Result<()> {
    // The state is the browser's own and the code somebody else's: PKCE ties the code to who asked for it.
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let nellys = travel(&world, &deps, &Call::new(START)).await?;
    let mallorys = travel(&world, &deps, &Call::new(START)).await?;
    let of = |journey: &Journey, name: &str| {
        let found = journey.query.split('&').find(|pair| pair.starts_with(&format!("{name}=")));
        found.unwrap_or_default().to_owned()
    };
    let mixed = format!("{}&{}", of(&mallorys, "code"), of(&nellys, "state"));
    let injected = Journey { cookie: nellys.cookie, query: mixed };
    assert_eq!(send(&deps, &injected.callback()).await?.refusal()?, REFUSED);
    assert_eq!(rows(&world, "users").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_journey_takes_ten_minutes_at_most() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let journey = travel(&world, &deps, &Call::new(START)).await?;
    world.advance(time::Duration::minutes(10));
    assert_eq!(send(&deps, &journey.callback()).await?.refusal()?, REFUSED);
    Ok(())
}

#[tokio::test]
async fn who_refuses_at_discord_is_not_signed_in() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    world.sandbox.discord().deny_next();
    let journey = travel(&world, &deps, &Call::new(START)).await?;
    assert!(journey.query.contains("access_denied"), "{}", journey.query);
    assert_eq!(send(&deps, &journey.callback()).await?.refusal()?, REFUSED);
    assert_eq!((rows(&world, "users").await?, rows(&world, "oauth_states").await?), (0, 0));
    Ok(())
}

#[tokio::test]
async fn what_no_journey_ends_with_is_refused() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let long = format!("state={}&code=x", "x".repeat(8_000));
    for query in
        ["", "state=&code=", "code=x", "state=%00&code=x", "state=%ff%fe&code=x", "state=a&state=a", &long]
    {
        let call = Call::new(CALLBACK).query(query).cookie("__Host-oauth", "x");
        assert_eq!(send(&deps, &call).await?.refusal()?, REFUSED, "{query:.40}");
    }
    for (query, field) in
        [("platform=amiga", "platform"), ("deviceId=", "deviceId"), ("deviceId=%00", "deviceId")]
    {
        let answer = send(&deps, &Call::new(CALLBACK).query(query)).await?;
        assert_eq!((answer.error(), answer.fields()), ((400, "VALIDATION_FAILED"), vec![field]));
    }
    Ok(())
}

#[tokio::test]
async fn one_address_begins_and_ends_so_many_journeys_a_minute() -> Result<()> {
    let world = World::start().await?;
    let changed = [("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "5")];
    let deps = world.wire_with(super::NAME, &changed, discord_oauth::Deps::wire).await?;
    for _ in 0..5 {
        assert_eq!(send(&deps, &Call::new(START)).await?.status, 302);
    }
    for route in [START, CALLBACK] {
        assert_eq!(send(&deps, &Call::new(route)).await?.refusal()?, (429, "RATE_LIMITED"));
    }
    assert_eq!(rows(&world, "oauth_states").await?, 5);
    Ok(())
}
