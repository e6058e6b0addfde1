//! `GET /v1/auth/discord/start` and `GET /v1/auth/discord/callback`

mod hijack;
mod link;
mod runtime;
mod travel;

use std::collections::BTreeSet;

use anyhow::Context;
use discord_oauth::{Deps, handle};
use futures_util::future::join_all;
use sandbox::discord::Person;
use testing::{Call, Outcome, Result, World};
use url::Url;

const NAME: &str = "discord_oauth";
const START: &str = "GET /v1/auth/discord/start";
const CALLBACK: &str = "GET /v1/auth/discord/callback";
const NELLYS_ID: &str = "80351110224678912";
const NELLYS_EMAIL: &str = "nelly@example.com";
const PASSWORD: &str = "correct horse battery staple";

async fn wire(world: &World) -> Result<Deps> {
    world.wire_with(NAME, &[("DATABASE_POOL_SIZE", "20")], Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

async fn rows(world: &World, what: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {what}")).await
}

fn nelly() -> Person {
    Person::new(NELLYS_ID, "nelly").email(NELLYS_EMAIL, true)
}

/// The browser's half of a journey: its cookie, and the query Discord sent it back with.
#[derive(Clone)]
struct Journey {
    cookie: String,
    query: String,
}

impl Journey {
    fn callback(&self) -> Call {
        Call::new(CALLBACK).query(&self.query).cookie("__Host-oauth", &self.cookie)
    }
}

/// The value of the cookie an answer sets.
fn cookie_of(answer: &Outcome) -> Result<String> {
    let [cookie] = &answer.reply.cookies[..] else { anyhow::bail!("not one cookie: {answer:?}") };
    let value = cookie.strip_prefix("__Host-oauth=").and_then(|rest| rest.split(';').next());
    value.map(str::to_owned).context("another cookie")
}

/// Starts, and has whoever sits at the browser agree.
async fn travel(world: &World, deps: &Deps, start: &Call) -> Result<Journey> {
    let answer = send(deps, start).await?;
    anyhow::ensure!(answer.status == 302, "{answer:?}");
    let url = answer.header("location").context("no location")?;
    let back = world.sandbox.discord().authorize(url)?;
    Ok(Journey { cookie: cookie_of(&answer)?, query: back.query().unwrap_or_default().to_owned() })
}

async fn sign_in(world: &World, deps: &Deps, person: Person) -> Result<Outcome> {
    world.sandbox.discord().person(person);
    let journey = travel(world, deps, &Call::new(START)).await?;
    send(deps, &journey.callback()).await
}

#[tokio::test]
async fn the_event_file_sends_the_browser_to_discord_with_a_state_a_challenge_and_a_cookie() -> Result<()> {
    let world = World::start().await?;
    let answer = send(&wire(&world).await?, &Call::from_event(NAME)?).await?;
    assert_eq!(answer.status, 302, "{answer:?}");
    let url = Url::parse(answer.header("location").context("no location")?)?;
    let said =
        |name: &str| url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
    assert_eq!(said("response_type").as_deref(), Some("code"));
    assert_eq!(said("redirect_uri").as_deref(), Some(sandbox::DISCORD_REDIRECT_URI));
    assert_eq!(said("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(said("state").context("no state")?.len(), 43);
    assert_eq!(said("code_challenge").context("no challenge")?.len(), 43);
    let [cookie] = &answer.reply.cookies[..] else { anyhow::bail!("{answer:?}") };
    assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax"), "{cookie}");
    // Neither half stands in the database, and neither tells the other.
    let value = cookie_of(&answer)?;
    assert!(!url.as_str().contains(&value));
    let kept = format!("oauth_states WHERE encode(hash, 'escape') LIKE '%{value}%' OR user_id IS NOT NULL");
    assert_eq!((rows(&world, "oauth_states").await?, rows(&world, &kept).await?), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_script_is_told_where_to_go() -> Result<()> {
    let world = World::start().await?;
    let call = Call::new(START).header("accept", "application/json");
    let answer = send(&wire(&world).await?, &call).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text("/authorizationUrl")?.contains("/oauth2/authorize?"), "{answer:?}");
    cookie_of(&answer)?;
    Ok(())
}

#[tokio::test]
async fn somebody_at_discord_gets_an_account_and_comes_back_to_it() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let first = sign_in(&world, &deps, nelly()).await?;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.text("/tokenType")?, "Bearer");
    assert!(
        first.reply.cookies[0].starts_with("__Host-oauth=; ") && first.reply.cookies[0].contains("Max-Age=0")
    );
    // Another name and another address at Discord are the same person.
    let renamed = Person::new(NELLYS_ID, "nell").email("nell@example.org", true);
    let again = sign_in(&world, &deps, renamed).await?;
    assert_eq!(again.text("/userId")?, first.text("/userId")?);
    let label = format!("identities WHERE kind = 'discord' AND subject = '{NELLYS_ID}' AND label = 'nelly'");
    assert_eq!(rows(&world, &label).await?, 1);
    let email =
        format!("identities WHERE kind = 'email' AND subject = '{NELLYS_EMAIL}' AND verified_at IS NOT NULL");
    assert_eq!(rows(&world, &email).await?, 1);
    assert_eq!(rows(&world, "identities").await?, 2);
    assert_eq!(rows(&world, "sessions WHERE identity_kind = 'discord'").await?, 2);
    assert_eq!(rows(&world, "oauth_states").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_sign_in_says_which_device_it_is_on_and_may_ask_for_a_cookie() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let mut journey = travel(&world, &deps, &Call::new(START)).await?;
    journey.query.push_str("&platform=web&deviceId=laptop");
    let call = journey.callback().header("x-refresh-transport", "cookie");
    let answer = send(&deps, &call).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body.get("refreshToken"), None);
    assert!(answer.reply.cookies.iter().any(|cookie| cookie.starts_with("__Host-rt=")), "{answer:?}");
    assert_eq!(rows(&world, "sessions WHERE platform = 'web' AND device_id = 'laptop'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_100_first_sign_ins_at_once_one_makes_the_account() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let mut journeys = Vec::new();
    for _ in 0..100 {
        journeys.push(travel(&world, &deps, &Call::new(START)).await?);
    }
    let calls: Vec<Call> = journeys.iter().map(Journey::callback).collect();
    let answers = join_all(calls.iter().map(|call| send(&deps, call))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        answers.iter().find(|a| a.status != 200)
    );
    let accounts: BTreeSet<_> = answers.iter().map(|answer| answer.body["userId"].to_string()).collect();
    assert_eq!(accounts.len(), 1);
    assert_eq!((rows(&world, "users").await?, rows(&world, "sessions").await?), (1, 100));
    Ok(())
}

#[tokio::test]
async fn a_deployment_without_discord_says_so() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire_with(NAME, &[("DISCORD_SECRET", "")], Deps::wire).await?;
    for route in [START, CALLBACK] {
        assert_eq!(send(&deps, &Call::new(route)).await?.refusal()?, (503, "PROVIDER_NOT_CONFIGURED"));
    }
    Ok(())
}

#[tokio::test]
async fn a_deployment_with_discord_and_nowhere_to_come_back_to_does_not_start() -> Result<()> {
    let world = World::start().await?;
    for nowhere in ["", ",", "/auth/discord"] {
        let deps = world.wire_with(NAME, &[("DISCORD_REDIRECT_URIS", nowhere)], Deps::wire).await;
        let Err(problem) = deps else { anyhow::bail!("{nowhere:?} will do") };
        assert!(format!("{problem:?}").contains("DISCORD_REDIRECT_URIS"), "{problem:?}");
    }
    Ok(())
}

#[tokio::test]
async fn discord_away_is_said_and_nobody_is_made() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.sandbox.discord().person(nelly());
    let journey = travel(&world, &deps, &Call::new(START)).await?;
    world.sandbox.faults().down(sandbox::Service::Discord);
    assert_eq!(send(&deps, &journey.callback()).await?.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(rows(&world, "users").await?, 0);
    Ok(())
}
