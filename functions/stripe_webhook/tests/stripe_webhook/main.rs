//! `POST /v1/webhooks/stripe`, `POST /v1/webhooks/stripe/connect`
//!
//! `SATCHEL_FULL=1` runs what takes long in its long form.

mod answers;
mod away;
mod bodies;
mod endpoints;
mod forged;
mod objects;
mod official;
mod races;
mod recorded;
mod rotation;
mod runtime;

use data_encoding::HEXLOWER;
use sandbox::{STRIPE_CONNECT_SECRET, STRIPE_PLATFORM_SECRET};
use serde_json::{Value, json};
use shared::crypto::{KeyRing, SealingKeys, sha256};
use shared::db::roles::Role;
use shared::payment::{self, NewPayment, Source};
use shared::random::Random;
use stripe_webhook::{Deps, handle};
use testing::{Call, Outcome, Result, World};

const NAME: &str = "stripe_webhook";
const PLATFORM: &str = "POST /v1/webhooks/stripe";
const CONNECT: &str = "POST /v1/webhooks/stripe/connect";
const ACCOUNT: &str = "acct_1SatchelSeller0001";
const AMOUNT: i64 = 2_500;

/// HMAC-SHA256 by its definition (RFC 2104), so that the tests do not sign with what they test.
fn hmac(secret: &str, text: &[u8]) -> String {
    let mut key = [0_u8; 64];
    if secret.len() > key.len() {
        key[..32].copy_from_slice(&sha256(secret.as_bytes()));
    } else {
        key[..secret.len()].copy_from_slice(secret.as_bytes());
    }
    let pad = |byte: u8| key.map(|part| part ^ byte);
    let inner = sha256(&[pad(0x36).as_slice(), text].concat());
    HEXLOWER.encode(&sha256(&[pad(0x5c).as_slice(), &inner].concat()))
}

/// The `v1` of a body signed at `at`.
fn mac(secret: &str, at: i64, body: &[u8]) -> String {
    hmac(secret, &[format!("{at}.").as_bytes(), body].concat())
}

fn header(secret: &str, at: i64, body: &[u8]) -> String {
    format!("t={at},v1={}", mac(secret, at, body))
}

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// The call with this header, at either address.
fn with_header(route: &str, body: impl Into<Vec<u8>>, header: &str) -> Call {
    Call::new(route).body(body).header("stripe-signature", header)
}

/// As Stripe would deliver it now, to the endpoint whose secret `route` has.
fn signed(world: &World, route: &str, body: impl Into<Vec<u8>>) -> Call {
    let secret = if route == CONNECT { STRIPE_CONNECT_SECRET } else { STRIPE_PLATFORM_SECRET };
    let body = body.into();
    let header = header(secret, world.now().unix_timestamp(), &body);
    with_header(route, body, &header)
}

async fn received(deps: &Deps, call: &Call) -> Result<()> {
    let answer = send(deps, call).await?;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "received": true })), "{answer:?}");
    Ok(())
}

/// Signed, delivered to where it belongs, and answered with 200.
async fn told(world: &World, deps: &Deps, event: &Value) -> Result<()> {
    let route = if event["account"].is_null() { PLATFORM } else { CONNECT };
    received(deps, &signed(world, route, event.to_string())).await
}

async fn refused(deps: &Deps, call: &Call, what: &str) -> Result<()> {
    let answer = send(deps, call).await?;
    assert_eq!(answer.refusal()?, (400, "WEBHOOK_REJECTED"), "{what}");
    Ok(())
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

/// Of what was told there is nothing.
async fn nothing_was_recorded(world: &World) -> Result<()> {
    for table in ["webhook_events", "payment_objects", "ledger", "outbox"] {
        assert_eq!(rows(world, table).await?, 0, "{table}");
    }
    Ok(())
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

/// Our own id for the payment `name`.
fn payment_id(name: &str) -> String {
    format!("019b9f5e-5c00-7000-8000-{}", &HEXLOWER.encode(&sha256(name.as_bytes()))[..12])
}

/// Rows of ours that wait for their money, as the part that sells writes them.
async fn payments(world: &World, account: &str, names: &[String]) -> Result<()> {
    let node = world.node("seller")?;
    let user = world.sign_in("did:mnemonic:9f86d081884c7d65", &node.pubkey).await?;
    let client = world.db.connect(Role::Jobs).await?;
    for name in names {
        let new = NewPayment {
            id: payment_id(name).parse()?,
            user_id: user.user_id,
            source: Source { provider: "stripe", account },
            currency: "usd",
            amount_minor: AMOUNT,
            expires_at: None,
            poll_at: None,
        };
        payment::create(&client, &new, world.now()).await?;
    }
    Ok(())
}

/// An event about an object.
fn event(name: &str, kind: &str, object: &Value) -> Value {
    json!({
        "id": format!("evt_{name}"),
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_767_960_000,
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
        "type": kind,
        "data": { "object": object },
    })
}

/// The payment `name` is paid.
fn paid(name: &str) -> Value {
    event(name, "payment_intent.succeeded", &intent(name))
}

fn intent(name: &str) -> Value {
    json!({
        "id": format!("pi_{name}"), "object": "payment_intent", "status": "succeeded", "amount": AMOUNT,
        "amount_received": AMOUNT, "currency": "usd", "created": 1_767_960_000, "latest_charge": format!("ch_{name}"),
        "metadata": { "payment_id": payment_id(name) }, "last_payment_error": null,
        "receipt_email": "buyer@example.com",
    })
}

fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = event.pointer_mut(parent) {
        parent[name] = value;
    }
    event
}

fn without(mut event: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = event.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(name);
    }
    event
}

/// Each of these payments is paid, told of once, and in the ledger once.
async fn each_is_paid_once(world: &World, payments: i64) -> Result<()> {
    for (table, expected) in [
        ("webhook_events", payments),
        ("webhook_events WHERE state = 'done'", payments),
        ("payment_objects", payments),
        (&format!("payments WHERE state = 'paid' AND received_minor = {AMOUNT}"), payments),
        (&format!("ledger WHERE kind = 'payment' AND amount_minor = {AMOUNT}"), payments),
        ("ledger", payments),
        ("outbox WHERE topic = 'entitlement.granted' AND payload ->> 'state' = 'paid'", payments),
        ("outbox", payments),
    ] {
        assert_eq!(rows(world, table).await?, expected, "{table}");
    }
    Ok(())
}

/// An id nobody else has.
fn fresh_name() -> String {
    HEXLOWER.encode(&Random::system().bytes::<6>())
}
