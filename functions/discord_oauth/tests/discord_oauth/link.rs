//! Linking Discord to an account that is there.

use discord_oauth::Deps;
use sandbox::discord::Person;
use testing::{Call, Outcome, Result, World};
use time::Duration;

use super::{NELLYS_EMAIL, NELLYS_ID, PASSWORD, START, nelly, rows, send, travel, wire};

async fn link(world: &World, deps: &Deps, token: &str) -> Result<Outcome> {
    let journey = travel(world, deps, &Call::new(START).bearer(token)).await?;
    send(deps, &journey.callback().bearer(token)).await
}

#[tokio::test]
async fn a_session_links_discord_to_its_account_and_a_repeat_changes_nothing() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let user = world.with_email("grace@example.com", PASSWORD, true).await?;
    world.sandbox.discord().person(nelly());
    for _ in 0..2 {
        let answer = link(&world, &deps, &user.access_token).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!((answer.text("/kind")?, answer.text("/label")?), ("discord", "nelly"));
        assert!(answer.body.get("accessToken").is_none(), "{answer:?}");
    }
    let linked = format!("identities WHERE user_id = '{}' AND subject = '{NELLYS_ID}'", user.user_id);
    assert_eq!(rows(&world, &linked).await?, 1);
    assert_eq!(rows(&world, "sessions").await?, 1, "linking signs nobody in");
    assert_eq!(rows(&world, "audit_logs WHERE action = 'identity.linked'").await?, 1);
    assert_eq!(rows(&world, "mails WHERE kind = 'identity_linked'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_account_whose_mailbox_never_answered_links_nothing() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let attacker = world.with_email(NELLYS_EMAIL, PASSWORD, false).await?;
    let call = Call::new(START).bearer(&attacker.access_token);
    assert_eq!(send(&deps, &call).await?.refusal()?, (403, "EMAIL_NOT_VERIFIED"));

    // Nor when the journey began somehow.
    world.db.admin().await?.batch_execute("UPDATE identities SET verified_at = now()").await?;
    world.sandbox.discord().person(Person::new("666000000000000000", "mallory"));
    let journey = travel(&world, &deps, &call).await?;
    world.db.admin().await?.batch_execute("UPDATE identities SET verified_at = NULL").await?;
    let answer = send(&deps, &journey.callback().bearer(&attacker.access_token)).await?;
    assert_eq!(answer.refusal()?, (403, "EMAIL_NOT_VERIFIED"));
    assert_eq!(rows(&world, "identities").await?, 1);
    Ok(())
}

#[tokio::test]
async fn only_the_account_that_began_a_link_ends_it() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let grace = world.with_email("grace@example.com", PASSWORD, true).await?;
    let mallory = world.with_email("mallory@example.com", PASSWORD, true).await?;
    world.sandbox.discord().person(nelly());
    let start = Call::new(START).bearer(&grace.access_token);
    let without = travel(&world, &deps, &start).await?.callback();
    assert_eq!(send(&deps, &without).await?.refusal()?, (401, "UNAUTHENTICATED"));
    let anothers = travel(&world, &deps, &start).await?.callback().bearer(&mallory.access_token);
    assert_eq!(send(&deps, &anothers).await?.refusal()?, (403, "FORBIDDEN"));
    assert_eq!(rows(&world, "identities WHERE kind = 'discord'").await?, 0);
    assert_eq!(rows(&world, "sessions").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_journey_that_signs_in_links_nothing_whatever_token_comes_along() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let grace = world.with_email("grace@example.com", PASSWORD, true).await?;
    world.sandbox.discord().person(nelly());
    let journey = travel(&world, &deps, &Call::new(START)).await?;
    let answer = send(&deps, &journey.callback().bearer(&grace.access_token)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.text("/userId")?, grace.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn what_is_anothers_is_not_linked_and_neither_is_a_second_one() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let grace = world.with_email("grace@example.com", PASSWORD, true).await?;
    let ada = world.with_email("ada@example.com", PASSWORD, true).await?;
    world.sandbox.discord().person(nelly());
    assert_eq!(link(&world, &deps, &grace.access_token).await?.status, 200);
    assert_eq!(link(&world, &deps, &ada.access_token).await?.refusal()?, (409, "IDENTITY_TAKEN"));
    world.sandbox.discord().person(Person::new("12345678901234567", "other"));
    assert_eq!(link(&world, &deps, &grace.access_token).await?.refusal()?, (409, "CONFLICT"));
    assert_eq!(rows(&world, "identities WHERE kind = 'discord'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn linking_takes_a_recent_sign_in_and_a_token_of_ours() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let grace = world.with_email("grace@example.com", PASSWORD, true).await?;
    let start = Call::new(START).bearer(&grace.access_token);
    world.advance(Duration::minutes(15) + Duration::seconds(1));
    assert_eq!(send(&deps, &start).await?.refusal()?, (403, "STEP_UP_REQUIRED"));
    world.advance(Duration::minutes(16));
    assert_eq!(send(&deps, &start).await?.refusal()?, (401, "TOKEN_EXPIRED"));
    for token in ["", "x", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(send(&deps, &Call::new(START).bearer(token)).await?.refusal()?, (401, "UNAUTHENTICATED"));
    }
    assert_eq!(rows(&world, "oauth_states").await?, 0);
    Ok(())
}
