//! Stripe's own list of events.

use sandbox::{Misbehaviour, Route, Service, When};
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::Db;
use shared::random::Random;
use shared::stripe;
use shared::webhook::stripe::{Delivery, plan, take_in};
use testing::{Result, World, sell};
use time::{Duration, OffsetDateTime};

use super::{NAME, PRICE, open, reconcile, rows, run_sql, standing, wire};

const HOUR: Duration = Duration::HOUR;

/// As `stripe_webhook` takes it in.
async fn told(world: &World, body: &[u8]) -> Result<()> {
    let event = stripe::Event::parse(body).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let plan = plan(&event, false);
    let db = world.wire("stripe_webhook", Db::wire).await?;
    let mut config = world.config(world.environment(NAME)?);
    let ring = config.secret::<SealingKeys, KeyRing>("SEALING_SECRET").get().await?;
    let (random, now) = (Random::system(), world.now());
    let delivery = Delivery { event: &event, body, plan: &plan, ring: &ring, random: &random, now };
    take_in(&mut db.connection().await?, &delivery).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(())
}

/// The list of our own account was gone through up to then.
async fn reached(world: &World, at: OffsetDateTime) -> Result<()> {
    let sql = format!(
        "INSERT INTO reconcile_cursors VALUES ('stripe', '', '{at}', '{at}')
         ON CONFLICT (provider, account) DO UPDATE SET reached_at = excluded.reached_at"
    );
    run_sql(world, &sql).await
}

#[tokio::test]
async fn what_no_webhook_told_is_found_for_our_own_account_and_for_connected_ones() -> Result<()> {
    let (world, shop) = open().await?;
    let account = world.sandbox.stripe().add_account();
    let (own, session) = shop.checkout(&world, None).await?;
    let (connected, _) = shop.checkout(&world, Some(&account)).await?;
    world.sandbox.stripe().refund(&session, Some(1_000))?;
    let deps = wire(&world).await?;
    world.advance(Duration::minutes(2));

    let first = reconcile(&deps).await?.stripe;

    assert!(first.found > 5 && first.failed == 0, "{first:?}");
    assert_eq!(standing(&world, own).await?, format!("partially_refunded {PRICE} 1000 f t"));
    assert_eq!(standing(&world, connected).await?, format!("paid {PRICE} 0 f t"));
    let moved = "SELECT sum(amount_minor)::bigint FROM ledger";
    assert_eq!(world.db.count(moved).await?, 2 * PRICE - 1_000);
    assert_eq!(rows(&world, "webhook_events WHERE state <> 'done'").await?, 0);
    // Run again it sees them again, for its windows overlap, and finds nothing.
    let again = reconcile(&deps).await?.stripe;
    assert_eq!((again.found, again.failed), (0, 0));
    assert_eq!(world.db.count(moved).await?, 2 * PRICE - 1_000);
    Ok(())
}

#[tokio::test]
async fn of_deliveries_lost_by_lot_it_finds_exactly_the_lost_ones() -> Result<()> {
    let (world, shop) = open().await?;
    let mut payments = Vec::new();
    let mut lost = 0;
    let lots = Random::system();
    for _ in 0..5 {
        let (payment, session) = shop.checkout(&world, None).await?;
        world.sandbox.stripe().refund(&session, None)?;
        for event in world.sandbox.stripe().events_of(&session) {
            if lots.bytes::<1>()[0] < 128 {
                told(&world, &event.body).await?;
            } else {
                lost += u64::from(stripe::EVENT_TYPES.contains(&event.kind.as_str()));
            }
        }
        payments.push(payment);
    }
    world.advance(Duration::minutes(2));
    let report = reconcile(&wire(&world).await?).await?.stripe;
    assert_eq!((report.found, report.failed), (lost, 0));
    for payment in payments {
        assert_eq!(standing(&world, payment).await?, format!("refunded {PRICE} {PRICE} f f"));
    }
    assert_eq!(world.db.count("SELECT sum(amount_minor)::bigint FROM ledger").await?, 0);
    Ok(())
}

/// A copy of it came by an endpoint that is not for it, and was ignored for that.
#[tokio::test]
async fn what_only_came_by_the_wrong_endpoint_is_found() -> Result<()> {
    let (world, shop) = open().await?;
    let (payment, session) = shop.checkout(&world, None).await?;
    for event in world.sandbox.stripe().events_of(&session) {
        told(&world, &event.body).await?;
    }
    // As that leaves them.
    run_sql(
        &world,
        "UPDATE webhook_events SET state = 'ignored', last_error_code = 'WRONG_ENDPOINT' WHERE state = 'done';
         TRUNCATE payment_objects, ledger, outbox CASCADE;
         UPDATE payments SET state = 'created', received_minor = 0, entitled = false, version = 0",
    )
    .await?;
    world.advance(Duration::minutes(2));
    let report = reconcile(&wire(&world).await?).await?.stripe;
    assert!(report.found > 0, "{report:?}");
    assert_eq!(standing(&world, payment).await?, format!("paid {PRICE} 0 f t"));
    Ok(())
}

#[tokio::test]
async fn the_cursor_moves_and_only_what_came_since_is_asked_for_and_a_little_before() -> Result<()> {
    let (world, shop) = open().await?;
    let stripe = world.sandbox.stripe();
    let at = |before: Duration| (world.now() - before).unix_timestamp();
    reached(&world, world.now() - HOUR).await?;
    let mut payments = Vec::new();
    // Long before the cursor; a little before; after.
    for before in [HOUR * 2, HOUR + Duration::minutes(10), Duration::minutes(10)] {
        stripe.stop_clock(at(before));
        payments.push(shop.checkout(&world, None).await?.0);
    }
    let deps = wire(&world).await?;
    reconcile(&deps).await?;
    let paid = format!("paid {PRICE} 0 f t");
    assert_eq!(standing(&world, payments[0]).await?, "created 0 0 f f", "that was gone through before");
    assert_eq!(
        (standing(&world, payments[1]).await?, standing(&world, payments[2]).await?),
        (paid.clone(), paid)
    );
    let moved = format!("reconcile_cursors WHERE account = '' AND reached_at = '{}'", world.now());
    assert_eq!(rows(&world, &moved).await?, 1);
    Ok(())
}

/// From one window to the next, and at the very second of the run.
#[tokio::test]
async fn an_event_at_the_very_second_of_a_border_is_found_once() -> Result<()> {
    let (world, _) = open().await?;
    let stripe = world.sandbox.stripe();
    let now = world.now();
    reached(&world, now - HOUR * 13).await?;
    for before in [HOUR * 13, HOUR * 7, HOUR, Duration::ZERO] {
        for second in [-1, 0, 1] {
            if before.is_zero() && second > 0 {
                continue;
            }
            stripe.stop_clock((now - before).unix_timestamp() + second);
            stripe.add_payout(None, 1_000, "usd");
        }
    }
    let made = rows_of_payouts(&world);
    let deps = wire(&world).await?;
    reconcile(&deps).await?;
    world.advance(Duration::SECOND);
    reconcile(&deps).await?;
    assert_eq!(rows(&world, "payouts").await?, made);
    assert_eq!(rows(&world, "ledger WHERE kind = 'payout'").await?, made);
    Ok(())
}

fn rows_of_payouts(world: &World) -> i64 {
    let events = world.sandbox.stripe().events();
    events.iter().filter(|event| event.kind == "payout.created").count().try_into().unwrap_or_default()
}

#[tokio::test]
async fn a_list_of_more_than_one_page_is_gone_through_to_its_end() -> Result<()> {
    let (world, _) = open().await?;
    let stripe = world.sandbox.stripe();
    for _ in 0..250 {
        stripe.add_payout(None, 1_000, "usd");
    }
    reached(&world, world.now() - HOUR).await?;
    world.advance(Duration::minutes(2));
    let before = world.sandbox.calls_to(Service::Stripe, "/stripe/v1/events");
    let report = reconcile(&wire(&world).await?).await?.stripe;
    assert!(report.found >= 250, "{report:?}");
    assert!(world.sandbox.calls_to(Service::Stripe, "/stripe/v1/events") - before >= 3);
    assert_eq!((rows(&world, "payouts").await?, rows(&world, "ledger").await?), (250, 250));
    Ok(())
}

#[tokio::test]
async fn an_account_that_cannot_be_asked_does_not_stop_the_others_and_is_asked_again() -> Result<()> {
    let (world, shop) = open().await?;
    let stripe = world.sandbox.stripe();
    let (mut payments, mut accounts) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let account = stripe.add_account();
        payments.push(shop.checkout(&world, Some(&account)).await?.0);
        accounts.push(account);
    }
    world.advance(Duration::minutes(2));
    for account in std::iter::once("").chain(accounts.iter().map(String::as_str)) {
        let at = world.now() - HOUR;
        run_sql(
            &world,
            &format!("INSERT INTO reconcile_cursors VALUES ('stripe', '{account}', '{at}', '{at}')"),
        )
        .await?;
    }
    // As often as one call is tried: the first account's.
    let broken = Misbehaviour::FailBefore { status: 500, body: String::new() };
    world.sandbox.faults().add(
        Route::service(Service::Stripe).path("/stripe/v1/events"),
        When::Times(3),
        broken,
    )?;
    let deps = wire(&world).await?;

    let first = reconcile(&deps).await?.stripe;

    assert_eq!(first.failed, 1, "{first:?}");
    let mut paid = 0;
    for payment in &payments {
        paid += i32::from(standing(&world, *payment).await?.starts_with("paid"));
    }
    assert!(paid >= 2, "{paid} accounts were gone through");
    assert_eq!(rows(&world, &format!("reconcile_cursors WHERE reached_at < '{}'", world.now())).await?, 1);

    assert_eq!(reconcile(&deps).await?.stripe.failed, 0);
    for payment in payments {
        assert_eq!(standing(&world, payment).await?, format!("paid {PRICE} 0 f t"));
    }
    Ok(())
}

/// Whoever owns the account took it from us: that is no failure, and nobody's alarm.
#[tokio::test]
async fn an_account_that_was_taken_from_us_is_no_failure() -> Result<()> {
    let (world, shop) = open().await?;
    let account = world.sandbox.stripe().add_account();
    let (gone, _) = shop.checkout(&world, Some(&account)).await?;
    let (own, _) = shop.checkout(&world, None).await?;
    world.sandbox.stripe().deauthorize(&account)?;
    world.advance(Duration::minutes(2));
    let report = reconcile(&wire(&world).await?).await?.stripe;
    assert_eq!(report.failed, 0, "{report:?}");
    assert_eq!(standing(&world, own).await?, format!("paid {PRICE} 0 f t"));
    assert_eq!(standing(&world, gone).await?, "created 0 0 f f");
    let known = format!("connected_accounts WHERE account = '{account}' AND status = 'deauthorized'");
    assert_eq!(rows(&world, &known).await?, 1, "nobody else tells us");
    Ok(())
}

/// A subscription, whose session alone carries our id.
#[tokio::test]
async fn a_subscription_nobody_told_of_is_found_with_whose_it_is() -> Result<()> {
    let (world, shop) = open().await?;
    let stripe = world.sandbox.stripe();
    let payment = sell::payment(&world.db.admin().await?, shop.user.user_id, None, PRICE).await?;
    let session = sell::subscribe(&stripe, payment, PRICE).await?;
    stripe.pay(&session)?;
    world.advance(Duration::minutes(2));
    let report = reconcile(&wire(&world).await?).await?.stripe;
    assert_eq!(report.failed, 0, "{report:?}");
    let owned = format!("subscriptions WHERE payment_id = '{payment}' AND status = 'active' AND entitled");
    assert_eq!(rows(&world, &owned).await?, 1);
    assert_eq!(rows(&world, "outbox WHERE topic = 'entitlement.granted' AND key LIKE 'sub%'").await?, 1);
    Ok(())
}

/// What follows from one event is refused by the database; the others are taken in, and it is not lost.
#[tokio::test]
async fn an_event_the_database_refuses_waits_and_the_others_are_found() -> Result<()> {
    let (world, shop) = open().await?;
    let (bad, _) = shop.checkout(&world, None).await?;
    let (good, _) = shop.checkout(&world, None).await?;
    run_sql(
        &world,
        &format!("ALTER TABLE payments ADD CONSTRAINT odd CHECK (id <> '{bad}' OR state = 'created')"),
    )
    .await?;
    world.advance(Duration::minutes(10));
    let deps = wire(&world).await?;
    reconcile(&deps).await?;
    assert_eq!(standing(&world, good).await?, format!("paid {PRICE} 0 f t"));
    assert_eq!(standing(&world, bad).await?, "created 0 0 f f");
    assert!(
        rows(&world, "webhook_events WHERE state = 'received' AND last_error_code = 'NOT_APPLIED'").await?
            > 0
    );
    Ok(())
}
