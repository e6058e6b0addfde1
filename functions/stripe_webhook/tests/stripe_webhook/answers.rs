//! What is answered and what is kept, for what a good signature stands on.

use serde_json::json;
use stripe_webhook::Deps;
use testing::{Call, Result, World};

use super::{
    ACCOUNT, CONNECT, NAME, PLATFORM, each_is_paid_once, event, fate, kept_body, nothing_was_recorded, paid,
    payments, received, rows, send, signed, told, wire, with,
};

#[tokio::test]
async fn the_event_file_is_received() -> Result<()> {
    let world = World::start().await?;
    received(&wire(&world).await?, &Call::from_event(NAME)?).await?;
    assert_eq!(rows(&world, "webhook_events WHERE state = 'done'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_event_is_kept_sealed_with_what_it_is_about_and_what_follows_is_done() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let body = format!("{:#}\n", paid("1"));
    received(&wire(&world).await?, &signed(&world, PLATFORM, body.as_str())).await?;

    let kept =
        "webhook_events WHERE provider = 'stripe' AND account = '' AND webhook_id = '' AND event_id = 'evt_1'
         AND type = 'payment_intent.succeeded' AND object_id = 'pi_1' AND livemode = false
         AND api_version = '2026-10-28.endive' AND occurred_at = '2026-01-09 12:00Z' AND body IS NULL
         AND state = 'done' AND attempts = 0 AND due_at IS NULL AND last_error_code IS NULL
         AND finished_at = '2026-01-09 12:00Z' AND received_at = '2026-01-09 12:00Z'
         AND position('buyer' IN encode(body_sealed, 'escape')) = 0";
    assert_eq!(rows(&world, kept).await?, 1);
    assert_eq!(kept_body(&world, "evt_1").await?, body.as_bytes());
    each_is_paid_once(&world, 1).await
}

#[tokio::test]
async fn a_copy_changes_nothing_however_late_it_comes_and_whoever_wrote_it_down_again() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let deps = wire(&world).await?;
    told(&world, &deps, &paid("1")).await?;
    let first = kept_body(&world, "evt_1").await?;
    for copy in [
        paid("1"),
        with(paid("1"), "/pending_webhooks", json!(0)),
        with(paid("1"), "/data/object/amount_received", json!(1)),
        with(paid("1"), "/data/object/status", json!("canceled")),
    ] {
        world.advance(time::Duration::hours(20));
        told(&world, &deps, &copy).await?;
    }
    assert_eq!(kept_body(&world, "evt_1").await?, first);
    assert_eq!(
        rows(&world, "webhook_events WHERE received_at = '2026-01-09 12:00Z' AND attempts = 0").await?,
        1
    );
    each_is_paid_once(&world, 1).await
}

#[tokio::test]
async fn what_nothing_follows_from_is_kept_and_answered_with_200() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let customer = json!({ "id": "cus_1", "object": "customer", "name": "somebody" });
    let cases = [
        ("unheard", event("unheard", "customer.created", &customer), "UNKNOWN_TYPE"),
        ("odd", event("odd", "a.type.of:2031!", &json!({})), "UNKNOWN_TYPE"),
        ("live", with(paid("live"), "/livemode", json!(true)), "WRONG_LIVEMODE"),
    ];
    for (name, event, code) in &cases {
        told(&world, &deps, event).await?;
        let expected = ("ignored".to_owned(), Some((*code).to_owned()));
        assert_eq!(fate(&world, &format!("evt_{name}")).await?, expected, "{name}");
        assert_eq!(kept_body(&world, &format!("evt_{name}")).await?, event.to_string().as_bytes(), "{name}");
    }
    assert_eq!(rows(&world, "payment_objects").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_live_deployment_takes_live_events_and_no_others() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    for livemode in ["true", ""] {
        let deps = world.wire_with(NAME, &[("STRIPE_LIVEMODE", livemode)], Deps::wire).await?;
        told(&world, &deps, &with(paid("1"), "/livemode", json!(true))).await?;
        told(&world, &deps, &paid("test")).await?;
    }
    assert_eq!(fate(&world, "evt_1").await?, ("done".to_owned(), None));
    assert_eq!(fate(&world, "evt_test").await?, ("ignored".to_owned(), Some("WRONG_LIVEMODE".to_owned())));
    assert_eq!((rows(&world, "payments WHERE state = 'paid'").await?, rows(&world, "ledger").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_kept_for_somebody_to_look_at() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let deps = wire(&world).await?;
    let event = with(paid("1"), "/data/object/amount", json!("a lot"));
    told(&world, &deps, &event).await?;
    told(&world, &deps, &event).await?;
    assert_eq!(fate(&world, "evt_1").await?, ("dead".to_owned(), Some("UNREADABLE".to_owned())));
    assert_eq!(kept_body(&world, "evt_1").await?, event.to_string().as_bytes());
    assert_eq!((rows(&world, "webhook_events").await?, rows(&world, "payment_objects").await?), (1, 0));
    Ok(())
}

#[tokio::test]
async fn what_only_says_that_an_account_changed_waits_for_somebody_to_ask() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let thin = json!({
        "id": "evt_thin", "object": "v2.core.event", "type": "v2.core.account[requirements].updated",
        "livemode": false, "created": "2026-01-09T11:59:50.345Z", "context": ACCOUNT,
        "related_object": { "id": ACCOUNT, "type": "v2.core.account", "url": format!("/v2/core/accounts/{ACCOUNT}") },
    });
    received(&deps, &signed(&world, CONNECT, thin.to_string())).await?;
    let capability = json!({ "id": "transfers", "object": "capability", "status": "active" });
    let changed = event("capability", "capability.updated", &capability);
    told(&world, &deps, &with(changed, "/account", json!(ACCOUNT))).await?;

    let waiting = format!(
        "webhook_events WHERE state = 'received' AND due_at = '2026-01-09 12:00Z' AND attempts = 0
         AND finished_at IS NULL AND account = '{ACCOUNT}'"
    );
    assert_eq!((rows(&world, &waiting).await?, rows(&world, "webhook_events").await?), (2, 2));
    assert_eq!(rows(&world, "connected_accounts").await?, 0);
    Ok(())
}

#[tokio::test]
async fn without_signing_secrets_stripe_is_not_configured() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire_with(NAME, &[("STRIPE_WEBHOOKS_SECRET", "")], Deps::wire).await?;
    for route in [PLATFORM, CONNECT] {
        let answer = send(&deps, &signed(&world, route, paid("1").to_string())).await?;
        assert_eq!(answer.refusal()?, (503, "PROVIDER_NOT_CONFIGURED"));
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn an_event_of_another_api_version_is_taken_all_the_same() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let deps = wire(&world).await?;
    told(&world, &deps, &with(paid("1"), "/api_version", json!("2019-03-14"))).await?;
    assert_eq!(rows(&world, "webhook_events WHERE api_version = '2019-03-14'").await?, 1);
    each_is_paid_once(&world, 1).await
}

#[tokio::test]
async fn what_came_to_the_wrong_deployment_counts_once_it_is_the_right_one() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let live = with(paid("1"), "/livemode", json!(true));
    for (livemode, state) in [("false", "ignored"), ("true", "done"), ("false", "done"), ("true", "done")] {
        let deps = world.wire_with(NAME, &[("STRIPE_LIVEMODE", livemode)], Deps::wire).await?;
        told(&world, &deps, &live).await?;
        assert_eq!(fate(&world, "evt_1").await?.0, state);
    }
    each_is_paid_once(&world, 1).await
}
