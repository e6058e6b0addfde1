//! `POST /v1/nodes`

mod certificate;
mod idempotency;
mod macaroon;
mod owner;
mod races;
mod refused;
mod runtime;

use register_individual_node::{Deps, handle};
use sandbox::lnd::Node;
use serde_json::{Value, json};
use testing::{Call, Outcome, Result, SignedIn, World};
use time::Duration;

const ROUTE: &str = "POST /v1/nodes";
const NAME: &str = "register_individual_node";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";
/// The public key of the secret key 1.
const KEY_1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const ENDPOINT: &str = "https://nodes.example.com/node12";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// Somebody signed in with a node of their own.
struct Owner {
    user: SignedIn,
    node: Node,
}

impl Owner {
    async fn new(world: &World, did: &str, name: &str) -> Result<Self> {
        let node = world.node(name)?;
        let user = world.sign_in(did, &node.pubkey).await?;
        Ok(Self { user, node })
    }

    /// What an owner sends who has no macaroon to give.
    fn body(&self) -> Value {
        json!({
            "did": self.user.did.to_string(),
            "node_id": "node12",
            "lightning_pubkey": self.node.pubkey,
            "caddy_endpoint": ENDPOINT,
        })
    }

    /// [`Owner::body`] with one field changed, or added.
    fn with(&self, field: &str, value: impl Into<Value>) -> Value {
        let mut body = self.body();
        body[field] = value.into();
        body
    }

    fn call(&self, body: &Value) -> Call {
        Call::new(ROUTE).json(body).bearer(&self.user.access_token)
    }
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

/// Every row of every table a registration could touch, to compare before and after.
async fn everything(world: &World) -> Result<String> {
    let tables =
        ["users", "identities", "sessions", "nodes", "audit_logs", "audit_chains", "idempotency_keys"];
    let admin = world.db.admin().await?;
    let mut rows = String::new();
    for table in tables {
        let sql = format!("SELECT coalesce(string_agg(t::text, ';' ORDER BY t::text), '') FROM {table} t");
        rows += admin.query_typed(&sql, &[]).await?[0].get::<_, &str>(0);
        rows.push('\n');
    }
    Ok(rows)
}

/// Of all a registration writes there is nothing.
async fn nothing_was_written(world: &World) -> Result<()> {
    for table in
        ["nodes", "audit_logs", "audit_chains", "idempotency_keys", "identities WHERE retired_at IS NOT NULL"]
    {
        assert_eq!(rows(world, table).await?, 0, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn the_event_file_registers_a_node() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(&format!("did:lightning:{KEY_1}"), KEY_1).await?;
    let event = Call::from_event(NAME)?.bearer(&user.access_token);
    let answer = send(&wire(&world).await?, &event).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    let whole = json!({
        "success": true,
        "message": "node registered",
        "data": { "node_id": "node12", "lightning_pubkey": KEY_1 },
    });
    assert_eq!(answer.body, whole);
    assert_eq!(rows(&world, "nodes WHERE macaroon_sealed IS NOT NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_node_is_registered_once_with_its_audit_row() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let answer = send(&wire(&world).await?, &owner.call(&owner.body())).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    let (id, key) = (owner.user.user_id, &owner.node.pubkey);
    let stored = format!(
        "nodes WHERE user_id = '{id}' AND did = '{DID}' AND node_id = 'node12' AND pubkey = '{key}'
         AND endpoint = '{ENDPOINT}' AND macaroon_sealed IS NULL AND status = 'active'
         AND created_at = '2026-01-09 12:00Z' AND updated_at = created_at"
    );
    assert_eq!(rows(&world, &stored).await?, 1);
    let audited = format!(
        "audit_logs WHERE action = 'node.registered' AND user_id = '{id}' AND chain = '{id}'
         AND resource_type = 'node' AND resource_id = 'node12' AND ip = '203.0.113.7'
         AND request_id = 'request-under-test'
         AND details::text = '{{\"macaroon\":false,\"pubkey\":\"{key}\"}}'"
    );
    assert_eq!((rows(&world, &audited).await?, rows(&world, "audit_logs").await?), (1, 1));
    assert_eq!(rows(&world, "idempotency_keys").await?, 0, "no key was given");
    Ok(())
}

#[tokio::test]
async fn both_spellings_and_both_wrappings_say_the_same() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let snake = owner.with("admin_macaroon", owner.node.invoice_macaroon.as_str());
    let camel = json!({
        "did": DID,
        "nodeId": "node12",
        "lightningPubkey": owner.node.pubkey,
        "caddyEndpoint": ENDPOINT,
        "adminMacaroon": owner.node.invoice_macaroon,
    });
    for body in [json!({ "data": snake }), json!({ "data": camel }), snake, camel] {
        world.db.admin().await?.batch_execute("DELETE FROM nodes").await?;
        let answer = send(&deps, &owner.call(&body)).await?;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        let expected = json!({ "node_id": "node12", "lightning_pubkey": owner.node.pubkey });
        assert_eq!(answer.body["data"], expected);
        let stored = format!("nodes WHERE endpoint = '{ENDPOINT}' AND macaroon_sealed IS NOT NULL");
        assert_eq!(rows(&world, &stored).await?, 1, "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn the_same_owner_brings_the_registration_up_to_date() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &owner.call(&owner.body())).await?.status, 200);
    world.advance(Duration::minutes(1));
    assert_eq!(send(&deps, &owner.call(&owner.body())).await?.status, 200, "the same again");
    world.advance(Duration::minutes(1));
    let mut moved = owner.with("node_id", "node13");
    moved["caddy_endpoint"] = json!("https://elsewhere.example.com");
    let answer = send(&deps, &owner.call(&moved)).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/data/node_id")?, "node13");
    let stored = "nodes WHERE node_id = 'node13' AND endpoint = 'https://elsewhere.example.com'
                  AND created_at = '2026-01-09 12:00Z' AND updated_at = '2026-01-09 12:02Z'";
    assert_eq!((rows(&world, stored).await?, rows(&world, "nodes").await?), (1, 1));
    assert_eq!(rows(&world, "audit_logs WHERE action = 'node.registered'").await?, 3);
    Ok(())
}

#[tokio::test]
async fn any_did_of_the_account_registers_its_node() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let alias = format!("did:lightning:{}", owner.node.pubkey);
    let admin = world.db.admin().await?;
    let claimed = shared::account::claim_did(&admin, owner.user.user_id, &alias.parse()?, world.now()).await;
    assert!(claimed.is_ok(), "{claimed:?}");
    let answer = send(&wire(&world).await?, &owner.call(&owner.with("did", alias.as_str()))).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(rows(&world, &format!("nodes WHERE did = '{alias}'")).await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_endpoint_is_kept_in_one_form_with_its_path() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    for (written, kept) in [
        ("https://nodes.example.com/node12", "https://nodes.example.com/node12"),
        ("https://NODES.example.com:443/node12/", "https://nodes.example.com/node12"),
        ("https://nodes.example.com:8080/a/b-c/node12", "https://nodes.example.com:8080/a/b-c/node12"),
        ("https://nodes.example.com/", "https://nodes.example.com"),
        ("https://203.0.114.7/node12", "https://203.0.114.7/node12"),
    ] {
        let answer = send(&deps, &owner.call(&owner.with("caddy_endpoint", written))).await?;
        assert_eq!(answer.status, 200, "{written}: {answer:?}");
        assert_eq!(rows(&world, &format!("nodes WHERE endpoint = '{kept}'")).await?, 1, "{written}");
    }
    assert_eq!(owner.node.total_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn a_node_id_has_1_to_64_plain_characters() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let longest = "n".repeat(64);
    for good in ["1", "-", "Node_12.a-b", longest.as_str()] {
        let answer = send(&deps, &owner.call(&owner.with("node_id", good))).await?;
        assert_eq!(answer.text("/data/node_id")?, good);
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_does_not_happen() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_api").await?;
    let answer = send(&wire(&world).await?, &owner.call(&owner.body())).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    nothing_was_written(&world).await
}
