//! `POST /v1/webhooks/btcpay/{store_id}`

mod applied;
mod forged;
mod killed;
mod races;
mod real;
mod refused;
mod runtime;
mod waiting;

use btcpay_webhook::{Deps, handle};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use shared::crypto::{KeyRing, SealingKeys};
use shared::random::Random;
use testing::{Call, Outcome, Result, Store, World};
use time::Duration;

const ROUTE: &str = "POST /v1/webhooks/btcpay/{store_id}";
const NAME: &str = "btcpay_webhook";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";

/// HMAC-SHA256 by its definition (RFC 2104), so that the tests do not sign with what they test.
fn hmac(secret: &str, body: &[u8]) -> String {
    let mut key = [0_u8; 64];
    if secret.len() > key.len() {
        key[..32].copy_from_slice(&shared::crypto::sha256(secret.as_bytes()));
    } else {
        key[..secret.len()].copy_from_slice(secret.as_bytes());
    }
    let pad = |byte: u8| key.map(|part| part ^ byte);
    let inner = shared::crypto::sha256(&[pad(0x36).as_slice(), body].concat());
    HEXLOWER.encode(&shared::crypto::sha256(&[pad(0x5c).as_slice(), &inner].concat()))
}

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

/// The state of the only row with this event's id, and why it is that.
async fn fate(world: &World, event_id: &str) -> Result<(String, Option<String>)> {
    let sql = "SELECT state, last_error_code FROM webhook_events WHERE event_id = $1";
    let row = world.db.admin().await?.query_one(sql, &[&event_id]).await?;
    Ok((row.get(0), row.get(1)))
}

/// What was kept of this event, opened.
async fn kept_body(world: &World, event_id: &str) -> Result<Vec<u8>> {
    let mut config = world.config(world.environment(NAME)?);
    let ring = config.secret::<SealingKeys, KeyRing>("SEALING_SECRET").get().await?;
    let sql = "SELECT id, body, body_sealed FROM webhook_events WHERE event_id = $1";
    let row = world.db.admin().await?.query_one(sql, &[&event_id]).await?;
    let opened = shared::webhook::body(&row, &ring).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(opened.expose().clone())
}

/// Somebody's store, active, wherever it is.
async fn store(world: &World, did: &str) -> Result<Store> {
    let node = world.node(&format!("node{}", &did[did.len() - 4..]))?;
    let user = world.sign_in(did, &node.pubkey).await?;
    let random = Random::system();
    let store = Store {
        id: HEXLOWER.encode(&random.bytes::<16>()),
        webhook_id: String::from("FgqQHNdZAVeZvkQJfcjyGm"),
        webhook_secret: HEXLOWER.encode(&random.bytes::<32>()),
    };
    world.activate(&user, &store).await?;
    Ok(store)
}

/// A delivery, as BTCPay writes it: indented.
fn delivery(store: &Store, changes: &Value) -> String {
    let mut body = json!({
        "manuallyMarked": false,
        "overPaid": false,
        "deliveryId": "8RbzPxQVsQvpQdGbDTUcFR",
        "webhookId": store.webhook_id,
        "originalDeliveryId": "8RbzPxQVsQvpQdGbDTUcFR",
        "isRedelivery": false,
        "type": "InvoiceSettled",
        "timestamp": 1_767_960_000,
        "storeId": store.id,
        "invoiceId": "Wv8HnQ1ZqUEk8SbXTvEDfm",
        "metadata": { "orderId": "019b9f5e-5c00-7000-8000-000000000003" },
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    format!("{body:#}")
}

/// The call without a signature.
fn unsigned(store: &Store, body: &str) -> Call {
    Call::new(ROUTE).path("store_id", &store.id).body(body)
}

fn signed(store: &Store, body: &str) -> Call {
    let mac = hmac(&store.webhook_secret, body.as_bytes());
    unsigned(store, body).header("btcpay-sig", &format!("sha256={mac}"))
}

async fn received(deps: &Deps, call: &Call) -> Result<()> {
    let answer = send(deps, call).await?;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "received": true })), "{answer:?}");
    Ok(())
}

/// The secret was read, and of what was said there is nothing.
async fn nothing_was_recorded(world: &World) -> Result<()> {
    assert_eq!(rows(world, "webhook_events").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_event_file_is_received() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("node12")?.pubkey).await?;
    let of_the_file = Store {
        id: String::from("9nQkBdhHpdwmPtwqHzjdvhBkDqhNuyT2cXhKhMNGpvE1"),
        webhook_id: String::from("FgqQHNdZAVeZvkQJfcjyGm"),
        webhook_secret: String::from("the secret of the event file, 32 bytes"),
    };
    world.activate(&user, &of_the_file).await?;
    received(&wire(&world).await?, &Call::from_event(NAME)?).await?;
    assert_eq!(rows(&world, "webhook_events WHERE type = 'InvoiceSettled'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_delivery_is_kept_sealed_as_the_bytes_that_came_with_what_it_is_about() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let body = delivery(&store, &json!({ "isRedelivery": true, "deliveryId": "anotherDeliveryOfIt" }));
    received(&wire(&world).await?, &signed(&store, &body)).await?;

    let kept = format!(
        "webhook_events WHERE provider = 'btcpay' AND account = '{}' AND webhook_id = '{}'
         AND event_id = '8RbzPxQVsQvpQdGbDTUcFR' AND type = 'InvoiceSettled' AND object_id = 'Wv8HnQ1ZqUEk8SbXTvEDfm'
         AND livemode IS NULL AND api_version IS NULL AND occurred_at = '2026-01-09 12:00Z'
         AND received_at = '2026-01-09 12:00Z' AND body IS NULL
         AND position('orderId' IN encode(body_sealed, 'escape')) = 0",
        store.id, store.webhook_id
    );
    assert_eq!((rows(&world, &kept).await?, rows(&world, "webhook_events").await?), (1, 1));
    assert_eq!(kept_body(&world, "8RbzPxQVsQvpQdGbDTUcFR").await?, body.as_bytes());
    Ok(())
}

#[tokio::test]
async fn that_the_secret_was_read_is_audited_outside_the_account_s_chain() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    received(&deps, &signed(&store, &delivery(&store, &json!({})))).await?;
    let forged = unsigned(&store, "{}").header("btcpay-sig", &format!("sha256={}", "0".repeat(64)));
    assert_eq!(send(&deps, &forged).await?.refusal()?, (400, "WEBHOOK_REJECTED"));

    let audited = format!(
        "audit_logs WHERE action = 'webhook_secret.read' AND resource_type = 'btcpay_store'
         AND resource_id = '{}' AND user_id IS NULL AND chain LIKE 'system:%' AND ip = '203.0.113.7'",
        store.id
    );
    assert_eq!((rows(&world, &audited).await?, rows(&world, "audit_logs").await?), (2, 2));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_received() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_webhooks").await?;
    let answer = send(&wire(&world).await?, &signed(&store, &delivery(&store, &json!({})))).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn repeats_and_redeliveries_find_their_row_and_change_nothing() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    let first = delivery(&store, &json!({}));
    received(&deps, &signed(&store, &first)).await?;
    let ended =
        "UPDATE webhook_events SET state = 'done', attempts = 3, due_at = NULL, finished_at = received_at";
    world.db.admin().await?.batch_execute(ended).await?;
    world.advance(Duration::minutes(10));
    for again in [
        json!({}),
        json!({ "deliveryId": "secondDelivery", "isRedelivery": true }),
        json!({ "deliveryId": "thirdDelivery", "isRedelivery": true, "timestamp": 1_767_960_900 }),
    ] {
        received(&deps, &signed(&store, &delivery(&store, &again))).await?;
    }
    let untouched =
        "webhook_events WHERE state = 'done' AND attempts = 3 AND received_at = '2026-01-09 12:00Z'
         AND finished_at = received_at";
    assert_eq!((rows(&world, untouched).await?, rows(&world, "webhook_events").await?), (1, 1));
    assert_eq!(kept_body(&world, "8RbzPxQVsQvpQdGbDTUcFR").await?, first.as_bytes());
    Ok(())
}

#[tokio::test]
async fn without_an_original_the_delivery_is_its_own() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    for (changes, event_id) in [
        (json!({ "originalDeliveryId": null, "deliveryId": "first" }), "first"),
        (
            json!({ "originalDeliveryId": null, "orignalDeliveryId": "older", "deliveryId": "second" }),
            "older",
        ),
    ] {
        received(&deps, &signed(&store, &delivery(&store, &changes))).await?;
        assert_eq!(rows(&world, &format!("webhook_events WHERE event_id = '{event_id}'")).await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn one_delivery_id_at_two_stores_or_two_webhooks_is_two_events() -> Result<()> {
    let world = World::start().await?;
    let (one, other) = (store(&world, DID).await?, store(&world, OTHER_DID).await?);
    let deps = wire(&world).await?;
    received(&deps, &signed(&one, &delivery(&one, &json!({})))).await?;
    received(&deps, &signed(&other, &delivery(&other, &json!({})))).await?;
    received(&deps, &signed(&one, &delivery(&one, &json!({ "webhookId": "anotherOfTheStore" })))).await?;
    assert_eq!(rows(&world, "webhook_events").await?, 3);
    Ok(())
}

#[tokio::test]
async fn types_and_members_nobody_knows_are_kept_and_ignored() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let new = json!({ "type": "PayoutApproved", "invoiceId": null, "payoutId": "p1", "deliveryId": "x",
                      "originalDeliveryId": "x" });
    received(&wire(&world).await?, &signed(&store, &delivery(&store, &new))).await?;
    let kept = "webhook_events WHERE type = 'PayoutApproved' AND object_id IS NULL AND state = 'ignored'
         AND last_error_code = 'UNKNOWN_TYPE' AND attempts = 0";
    assert_eq!(rows(&world, kept).await?, 1);
    assert_eq!(kept_body(&world, "x").await?, delivery(&store, &new).as_bytes());
    Ok(())
}
