//! `POST /v1/lightning/setup` and what belongs to it.

mod handover;
mod interrupted;
mod keys;
mod races;
mod refused;
mod registered;
mod retry;
mod runtime;
mod waiting;

use anyhow::Context;
use sandbox::Service;
use sandbox::lnd::Node;
use serde_json::{Value, json};
use setup_lightning::{Deps, handle};
use testing::{Call, Outcome, Result, SignedIn, World};

const ROUTE: &str = "POST /v1/lightning/setup";
const NAME: &str = "setup_lightning";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// Somebody signed in with a node of their own.
struct User {
    session: SignedIn,
    /// The one they sign in with.
    node: Node,
}

impl User {
    async fn new(world: &World, did: &str, name: &str) -> Result<Self> {
        let node = world.node(name)?;
        let session = world.sign_in(did, &node.pubkey).await?;
        Ok(Self { session, node })
    }

    fn call(&self, route: &str) -> Call {
        Call::new(route).bearer(&self.session.access_token)
    }

    fn setup(&self, body: &Value) -> Call {
        self.call(ROUTE).json(body)
    }

    fn status(&self) -> Call {
        self.call("GET /v1/lightning/setup")
    }

    fn retry(&self) -> Call {
        self.call("POST /v1/lightning/setup/retry")
    }

    fn handover(&self) -> Call {
        self.call("POST /v1/lightning/setup/handover")
    }
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

fn satoshi() -> Value {
    json!({ "username": "satoshi" })
}

/// One step as the status tells of it.
fn step<'a>(answer: &'a Outcome, name: &str) -> Result<&'a Value> {
    let steps = answer.body["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().find(|step| step["name"] == name).with_context(|| format!("no step {name}: {answer:?}"))
}

/// Requests BTCPay, Voltage and nodes got so far.
fn calls(world: &World) -> u64 {
    [Service::Btcpay, Service::Voltage, Service::Lnd]
        .map(|service| world.sandbox.calls_to(service, "/"))
        .iter()
        .sum()
}

/// How many of a kind were ever made, and how many of them are gone.
fn made(world: &World, kind: &str) -> (u64, u64) {
    let all = world.sandbox.objects();
    let of_kind = all.iter().filter(|objects| objects.kind == kind && objects.service != Service::Lnd);
    of_kind.fold((0, 0), |sum, objects| (sum.0 + objects.created, sum.1 + objects.deleted))
}

/// At the providers there is exactly one store and one node, and never was another; the database says the same.
async fn one_of_each(world: &World) -> Result<()> {
    let (stores, nodes) = (world.sandbox.btcpay().stores(), world.sandbox.voltage().nodes());
    assert_eq!((stores.len(), nodes.len()), (1, 1));
    assert_eq!((made(world, "store"), made(world, "node")), ((1, 0), (1, 0)));
    assert_eq!(stores[0].webhooks.len(), 1, "{stores:?}");
    let row = format!(
        "lightning_addresses WHERE btcpay_store_id = '{}' AND voltage_node_id = '{}' AND node_id IS NULL",
        stores[0].id, nodes[0].node_id
    );
    assert_eq!((rows(world, &row).await?, rows(world, "lightning_addresses").await?), (1, 1));
    assert_eq!(rows(world, "lightning_setups WHERE state = 'finished'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_event_file_sets_up_a_store_and_a_node_and_connects_them() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let event = Call::from_event(NAME)?.bearer(&user.session.access_token);
    let answer = send(&wire(&world).await?, &event).await?;

    assert_eq!(answer.status, 200, "{answer:#?}");
    let done = |name, attempts| json!({ "name": name, "state": "done", "attempts": attempts, "lastErrorCode": null });
    let steps = [
        ("create_node", 1),
        ("await_node", 1),
        ("init_wallet", 1),
        ("bake_macaroon", 1),
        ("create_store", 1),
        ("connect_node", 1),
        ("create_webhook", 1),
        ("activate", 1),
    ];
    let whole = json!({
        "status": "fully_configured",
        "lightningAddress": "satoshi@pay.example.com",
        "hasLightningAddress": true,
        "hasBTCPayStore": true,
        "hasVoltageNode": true,
        "canRetry": false,
        "steps": steps.map(|(name, attempts)| done(name, attempts)),
    });
    assert_eq!(answer.body, whole);
    assert_eq!(answer.header("location"), None);
    one_of_each(&world).await?;

    let store = &world.sandbox.btcpay().stores()[0];
    assert_eq!(store.name, "satoshi");
    let method = store.payment_method.as_ref().context("no payment method")?;
    let node = &world.sandbox.voltage().nodes()[0];
    assert!(method.enabled && method.connection_string.contains(&node.api_endpoint), "{method:?}");
    assert!(store.webhooks[0].url.ends_with(&format!("/v1/webhooks/btcpay/{}", store.id)), "{store:?}");
    Ok(())
}

#[tokio::test]
async fn a_setup_leaves_its_audit_rows_and_an_address_that_is_whole() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let body = json!({ "username": "satoshi", "lightningAddress": "Sat@PAY.example.com".to_lowercase() });
    assert_eq!(send(&wire(&world).await?, &user.setup(&body)).await?.status, 200);
    let id = user.session.user_id;
    let address = format!(
        "lightning_addresses WHERE user_id = '{id}' AND username = 'satoshi' AND address = 'sat@pay.example.com'
         AND created_at = '2026-01-09 12:00Z'"
    );
    assert_eq!(rows(&world, &address).await?, 1);
    let begun = format!(
        "audit_logs WHERE action = 'setup.begun' AND user_id = '{id}' AND resource_type = 'lightning_setup'
         AND details::text = '{{\"address\":\"sat@pay.example.com\",\"node_source\":\"voltage\"}}'
         AND request_id = 'request-under-test' AND ip = '203.0.113.7'"
    );
    assert_eq!(rows(&world, &begun).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'setup.activated'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_same_request_again_is_told_how_it_stands_and_calls_nobody() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let first = send(&deps, &user.setup(&satoshi())).await?;
    let (called, audited) = (calls(&world), rows(&world, "audit_logs").await?);
    let spelt = json!({ "username": "satoshi", "lightningAddress": "satoshi@PAY.example.com", "nodeSource": "voltage" });
    let keyed = user.setup(&satoshi()).header("idempotency-key", "one");
    let off = world.wire_with(NAME, &[("SETUP_ENABLED", "false")], Deps::wire).await?;
    for (deps, call) in
        [(&deps, keyed), (&deps, user.setup(&spelt)), (&deps, user.status()), (&off, user.setup(&spelt))]
    {
        let again = send(deps, &call).await?;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
    }
    assert_eq!((calls(&world), rows(&world, "audit_logs").await?), (called, audited));
    one_of_each(&world).await
}

#[tokio::test]
async fn without_a_setup_the_status_says_whether_one_could_be_had() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let whole = |status| {
        json!({
            "status": status,
            "lightningAddress": null,
            "hasLightningAddress": false,
            "hasBTCPayStore": false,
            "hasVoltageNode": false,
            "canRetry": false,
            "steps": [],
        })
    };
    for (enabled, status) in [("true", "none"), ("false", "disabled")] {
        let deps = world.wire_with(NAME, &[("SETUP_ENABLED", enabled)], Deps::wire).await?;
        let answer = send(&deps, &user.status()).await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &whole(status)));
        assert_eq!(answer.header("retry-after"), None);
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_does_not_begin() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_api").await?;
    let answer = send(&wire(&world).await?, &user.setup(&satoshi())).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    assert_eq!((rows(&world, "lightning_setups").await?, calls(&world)), (0, 0));
    Ok(())
}
