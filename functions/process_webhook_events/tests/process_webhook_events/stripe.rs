//! What Stripe's events left to be asked.

use sandbox::Service;
use sandbox::stripe::AccountState;
use serde_json::json;
use shared::db::Db;
use shared::random::Random;
use shared::stripe;
use shared::webhook::Recorded;
use shared::webhook::stripe::{Delivery, plan, take_in};
use testing::{Result, World, sell};

use super::{NOTHING, Report, open, process, ring, rows, run_sql, wire};

/// As `stripe_webhook` takes it in.
async fn told(world: &World, body: &[u8]) -> Result<()> {
    let event = stripe::Event::parse(body).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let plan = plan(&event, false);
    let db = world.wire("stripe_webhook", Db::wire).await?;
    let ring = ring(world).await?;
    let (random, now) = (Random::system(), world.now());
    let delivery = Delivery { event: &event, body, plan: &plan, ring: &ring, random: &random, now };
    let mut connection = db.connection().await?;
    let taken = take_in(&mut connection, &delivery).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    anyhow::ensure!(taken == Recorded::New, "it was told already");
    Ok(())
}

/// The body of an event the sandbox's Stripe has.
fn body(world: &World, id: &str) -> Result<Vec<u8>> {
    let events = world.sandbox.stripe().events();
    let event = events.into_iter().find(|event| event.id == id);
    Ok(event.ok_or_else(|| anyhow::anyhow!("there is no event {id}"))?.body.to_vec())
}

async fn status(world: &World, account: &str) -> Result<String> {
    let sql = format!(
        "SELECT concat_ws(' ', status, charges_enabled, payouts_enabled) FROM connected_accounts WHERE account = '{account}'"
    );
    let row = world.db.admin().await?.query_typed_one(&sql, &[]).await?;
    Ok(row.get(0))
}

#[tokio::test]
async fn a_thin_event_has_its_account_asked_about() -> Result<()> {
    let (world, _) = open().await?;
    let stripe = world.sandbox.stripe();
    let account = stripe.add_account_v2();
    stripe.set_account(&account, AccountState::Active)?;
    let thin = stripe.emit_thin("v2.core.account[requirements].updated", &account);
    told(&world, &body(&world, &thin)?).await?;
    assert_eq!(rows(&world, "connected_accounts").await?, 0, "the event itself says nothing");

    assert_eq!(process(&wire(&world).await?).await?, Report { done: 1, ..NOTHING });

    let active = status(&world, &account).await?;
    assert!(active.starts_with("active"), "{active}");
    assert_eq!(world.sandbox.calls_to(Service::Stripe, &format!("/stripe/v2/core/accounts/{account}")), 1);
    Ok(())
}

#[tokio::test]
async fn an_event_that_only_says_that_something_changed_has_its_account_asked_about() -> Result<()> {
    let (world, _) = open().await?;
    let stripe = world.sandbox.stripe();
    let account = stripe.add_account();
    let deps = wire(&world).await?;
    for (nth, (kind, state)) in [
        ("capability.updated", AccountState::Active),
        ("person.updated", AccountState::Restricted),
        ("account.external_account.updated", AccountState::Active),
    ]
    .into_iter()
    .enumerate()
    {
        stripe.set_account(&account, state)?;
        let object = json!({ "id": format!("x_{nth}"), "object": "capability", "account": account });
        let event = stripe.emit(Some(&account), kind, object);
        told(&world, &body(&world, &event)?).await?;
        world.advance(time::Duration::seconds(5));
        assert_eq!(process(&deps).await?, Report { done: 1, ..NOTHING }, "{kind}");
        let found = status(&world, &account).await?;
        assert_eq!(found.starts_with("active"), state == AccountState::Active, "{kind}: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn an_account_that_cannot_be_asked_about_waits_and_one_that_was_taken_from_us_is_let_go() -> Result<()>
{
    let (world, _) = open().await?;
    let stripe = world.sandbox.stripe();
    let account = stripe.add_account();
    let event =
        stripe.emit(Some(&account), "capability.updated", json!({ "id": "x_1", "object": "capability" }));
    told(&world, &body(&world, &event)?).await?;
    let deps = wire(&world).await?;
    world.sandbox.faults().broken(Service::Stripe);
    assert_eq!(process(&deps).await?, Report { waiting: 1, ..NOTHING });
    world.sandbox.faults().up(Service::Stripe);
    stripe.deauthorize(&account)?;
    world.advance(time::Duration::minutes(1));
    assert_eq!(process(&deps).await?, Report { done: 1, ..NOTHING });
    // Its owner's word that they took it away may never come.
    assert!(status(&world, &account).await?.starts_with("deauthorized"));
    Ok(())
}

/// Two refunds within one second: the charge's two descriptions stand alike and differ.
#[tokio::test]
async fn what_two_events_of_one_second_disagree_about_is_asked() -> Result<()> {
    let (world, shop) = open().await?;
    let stripe = world.sandbox.stripe();
    stripe.stop_clock(world.now().unix_timestamp());
    let payment = sell::payment(&world.db.admin().await?, shop.user.user_id, None, 1_000).await?;
    let session = sell::checkout(&stripe, None, payment, 1_000).await?;
    stripe.pay(&session)?;
    stripe.refund(&session, Some(100))?;
    stripe.refund(&session, Some(250))?;
    for event in stripe.events_of(&session) {
        // The refunds' own events never come.
        if !event.kind.starts_with("refund.") {
            told(&world, &event.body).await?;
        }
    }
    assert!(rows(&world, "payment_objects WHERE refetch_at IS NOT NULL").await? > 0, "nothing to be asked");
    world.advance(time::Duration::minutes(1));
    let deps = wire(&world).await?;

    let report = process(&deps).await?;

    assert!(report.refetched > 0, "{report:?}");
    assert_eq!(rows(&world, "payment_objects WHERE refetch_at IS NOT NULL").await?, 0);
    let refunded =
        format!("payments WHERE id = '{payment}' AND state = 'partially_refunded' AND refunded_minor = 350");
    assert_eq!(rows(&world, &refunded).await?, 1);
    assert_eq!(process(&deps).await?, NOTHING, "asked once");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_asked_about_is_put_off_and_asked_later() -> Result<()> {
    let (world, shop) = open().await?;
    let stripe = world.sandbox.stripe();
    let payment = sell::payment(&world.db.admin().await?, shop.user.user_id, None, 1_000).await?;
    let session = sell::checkout(&stripe, None, payment, 1_000).await?;
    stripe.pay(&session)?;
    for event in stripe.events_of(&session) {
        told(&world, &event.body).await?;
    }
    run_sql(&world, "UPDATE payment_objects SET refetch_at = now() WHERE kind = 'charge'").await?;
    let deps = wire(&world).await?;
    world.advance(time::Duration::minutes(1));
    world.sandbox.faults().broken(Service::Stripe);
    assert_eq!(process(&deps).await?, NOTHING);
    let put_off = format!("payment_objects WHERE refetch_at > '{}'", world.now());
    assert_eq!(rows(&world, &put_off).await?, 1);
    world.sandbox.faults().up(Service::Stripe);
    assert_eq!(process(&deps).await?, NOTHING, "it is not time yet");
    world.advance(time::Duration::hours(1));
    assert_eq!(process(&deps).await?, Report { refetched: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn what_came_before_our_own_row_finds_it() -> Result<()> {
    let (world, shop) = open().await?;
    let stripe = world.sandbox.stripe();
    let admin = world.db.admin().await?;
    let payment = sell::payment(&admin, shop.user.user_id, None, 1_000).await?;
    let row =
        format!("CREATE TABLE kept AS SELECT * FROM payments WHERE id = '{payment}'; DELETE FROM payments");
    admin.batch_execute(&row).await?;
    let session = sell::checkout(&stripe, None, payment, 1_000).await?;
    stripe.pay(&session)?;
    for event in stripe.events_of(&session) {
        told(&world, &event.body).await?;
    }
    let deps = wire(&world).await?;
    assert_eq!(process(&deps).await?, NOTHING);
    admin.batch_execute("INSERT INTO payments SELECT * FROM kept").await?;
    let report = process(&deps).await?;
    assert!(report.claimed > 0, "{report:?}");
    let paid =
        format!("payments WHERE id = '{payment}' AND state = 'paid' AND entitled AND received_minor = 1000");
    assert_eq!(
        (rows(&world, &paid).await?, rows(&world, "payment_objects WHERE payment_id IS NULL").await?),
        (1, 0)
    );
    assert_eq!(process(&deps).await?, NOTHING);
    Ok(())
}
