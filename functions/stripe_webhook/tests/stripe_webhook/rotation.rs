//! A signing secret is rolled while the function has the old ones in hand.

use futures_util::future::join_all;
use sandbox::{STRIPE_CONNECT_SECRET, STRIPE_PLATFORM_SECRET};
use serde_json::json;
use testing::{Call, Result, World};
use time::Duration;

use super::{
    CONNECT, PLATFORM, header, mac, nothing_was_recorded, paid, received, refused, rows, signed, wire,
    with_header,
};

const OLD: &str = STRIPE_PLATFORM_SECRET;
const NEW: &str = "whsec_sandbox_platform_0002";
const DOCUMENT: &str = "satchel/stripe-webhooks";

fn roll(world: &World, platform: &[&str]) {
    let document = json!({ "platform": platform, "connect": [STRIPE_CONNECT_SECRET] });
    world.sandbox.secrets().put(DOCUMENT, &document.to_string());
}

fn by(world: &World, secret: &str, name: &str) -> Call {
    let body = paid(name).to_string();
    let header = header(secret, world.now().unix_timestamp(), body.as_bytes());
    with_header(PLATFORM, body, &header)
}

/// As Stripe signs while both secrets are good.
fn by_both(world: &World, name: &str) -> Call {
    let (body, at) = (paid(name).to_string(), world.now().unix_timestamp());
    let [new, old] = [NEW, OLD].map(|secret| mac(secret, at, body.as_bytes()));
    with_header(PLATFORM, body, &format!("t={at},v1={new},v1={old}"))
}

#[tokio::test]
async fn a_delivery_by_the_new_secret_is_taken_at_once() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    received(&deps, &by(&world, OLD, "1")).await?;
    world.advance(Duration::seconds(5));
    roll(&world, &[NEW, OLD]);
    received(&deps, &by(&world, NEW, "2")).await?;
    received(&deps, &by(&world, OLD, "3")).await?;
    received(&deps, &by(&world, NEW, "4")).await?;
    assert_eq!(world.sandbox.secrets().reads(DOCUMENT), 2);
    assert_eq!(rows(&world, "webhook_events").await?, 4);
    Ok(())
}

#[tokio::test]
async fn of_many_deliveries_by_the_new_secret_at_once_none_is_refused() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    received(&deps, &by(&world, OLD, "first")).await?;
    world.advance(Duration::seconds(5));
    roll(&world, &[NEW, OLD]);
    let calls: Vec<Call> = (0..50).map(|nth| by(&world, NEW, &nth.to_string())).collect();
    for outcome in join_all(calls.iter().map(|call| received(&deps, call))).await {
        outcome?;
    }
    assert_eq!(world.sandbox.secrets().reads(DOCUMENT), 2);
    assert_eq!(rows(&world, "webhook_events").await?, 51);
    Ok(())
}

#[tokio::test]
async fn through_a_whole_rotation_no_valid_delivery_is_refused() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let told = |name: &str| by_both(&world, name);
    received(&deps, &by(&world, OLD, "before")).await?;
    // The secret is rolled at Stripe, and for a day both sign.
    received(&deps, &told("rolled")).await?;
    roll(&world, &[NEW, OLD]);
    received(&deps, &told("written_down")).await?;
    world.advance(Duration::hours(12));
    received(&deps, &told("half_a_day")).await?;
    world.advance(Duration::hours(12));
    received(&deps, &by(&world, NEW, "old_is_gone")).await?;
    roll(&world, &[NEW]);
    received(&deps, &by(&world, NEW, "after")).await?;
    world.advance(Duration::minutes(6));
    received(&deps, &by(&world, NEW, "later")).await?;
    assert_eq!(rows(&world, "webhook_events").await?, 7);
    refused(&deps, &by(&world, OLD, "with_the_old_one"), "the old secret").await
}

#[tokio::test]
async fn forgers_make_it_look_for_a_new_secret_once_in_five_seconds() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let secrets = world.sandbox.secrets();
    let forged = || by(&world, "whsec_of_nobody_at_all", "forged");
    let at_start = secrets.reads(DOCUMENT);
    for _ in 0..20 {
        refused(&deps, &forged(), "at the start").await?;
    }
    assert_eq!(secrets.reads(DOCUMENT), at_start, "what was fetched this second is looked for again");
    for round in 1..=10 {
        world.advance(Duration::milliseconds(4_999));
        refused(&deps, &forged(), "early").await?;
        assert_eq!(secrets.reads(DOCUMENT), at_start + round - 1);
        world.advance(Duration::milliseconds(1));
        let calls: Vec<Call> = (0..10).map(|_| forged()).collect();
        for outcome in join_all(calls.iter().map(|call| refused(&deps, call, "forged"))).await {
            outcome?;
        }
        assert_eq!(secrets.reads(DOCUMENT), at_start + round);
    }
    // What is no signature at all makes it look for nothing, nor does what is only late.
    world.advance(Duration::seconds(5));
    refused(&deps, &with_header(PLATFORM, "{}", "t=1,v1=00"), "malformed").await?;
    let body = paid("late").to_string();
    let late = header(OLD, world.now().unix_timestamp() - 301, body.as_bytes());
    refused(&deps, &with_header(PLATFORM, body, &late), "late").await?;
    assert_eq!(secrets.reads(DOCUMENT), at_start + 10);
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn forgers_do_not_keep_the_new_secret_out_for_longer_than_five_seconds() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.advance(Duration::seconds(5));
    refused(&deps, &by(&world, "whsec_of_nobody_at_all", "forged"), "forged").await?;
    roll(&world, &[NEW]);
    world.advance(Duration::seconds(5));
    received(&deps, &by(&world, NEW, "1")).await
}

#[tokio::test]
async fn with_secrets_manager_away_what_is_known_is_enough() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    received(&deps, &by(&world, OLD, "1")).await?;
    world.sandbox.faults().down(sandbox::Service::SecretsManager);
    world.advance(Duration::seconds(5));
    refused(&deps, &by(&world, NEW, "unknown_yet"), "nobody could say").await?;
    received(&deps, &by(&world, OLD, "2")).await?;
    received(&deps, &signed(&world, CONNECT, paid("3").to_string())).await?;
    world.advance(Duration::hours(1));
    received(&deps, &by(&world, OLD, "4")).await?;
    assert_eq!(rows(&world, "webhook_events").await?, 4);
    Ok(())
}
