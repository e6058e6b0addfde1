//! `POST /v1/challenges/verify`

mod accounts;
mod gone;
mod link;
mod races;
mod refused;
mod registration;
mod runtime;
mod signature;
mod step_up;
mod tokens;
mod wish;

use std::time::Duration;

use anyhow::Context;
use data_encoding::BASE64URL_NOPAD;
use sandbox::lnd::{Node, NodeOptions};
use serde_json::{Value, json};
use shared::challenge::{self, ChallengeType, NewChallenge, Purpose};
use shared::db::roles::Role;
use shared::random::Random;
use testing::world::DOMAIN;
use testing::{Call, Outcome, Result, World};
use uuid::Uuid;
use verify_lightning_signature::{Deps, handle};

const ROUTE: &str = "POST /v1/challenges/verify";
const NAME: &str = "verify_lightning_signature";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";
/// More than any test asks for.
const MANY: &[(&str, &str)] =
    &[("RATE_LIMIT_SIGN_IN_PER_DID", "1000000"), ("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "1000000")];

async fn wire(world: &World) -> Result<Deps> {
    world.wire_with(NAME, MANY, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// A challenge given out to a DID.
struct Given {
    id: Uuid,
    did: String,
    text: String,
}

impl Given {
    fn answer(&self, signature: &str) -> Call {
        Call::new(ROUTE).json(&json!({ "did": self.did, "challenge_id": self.id, "signature": signature }))
    }

    fn signed(&self, node: &Node) -> Call {
        self.answer(&node.sign(&self.text))
    }
}

async fn give(world: &World, did: &str, purpose: Purpose) -> Result<Given> {
    let (now, random) = (world.now(), Random::system());
    let parsed = did.parse()?;
    let new = NewChallenge {
        id: random.id(now),
        did: &parsed,
        purpose,
        nonce: random.bytes(),
        issued_at: now,
        lifetime: Duration::from_mins(5),
    };
    let text = new.text(DOMAIN);
    challenge::create(&world.db.connect(Role::Auth).await?, &new, &text).await?;
    Ok(Given { id: new.id, did: did.to_owned(), text })
}

async fn registration(world: &World, did: &str) -> Result<Given> {
    give(world, did, Purpose::SignIn(ChallengeType::DefaultRegistration)).await
}

async fn login(world: &World, did: &str) -> Result<Given> {
    give(world, did, Purpose::SignIn(ChallengeType::MnemonicLogin)).await
}

/// The node whose secret key is 1: the one the event file was signed by.
fn node_of_key_1(world: &World) -> Result<Node> {
    let mut secret_key = [0; 32];
    secret_key[31] = 1;
    world
        .sandbox
        .nodes()
        .create("one", NodeOptions { secret_key: Some(secret_key), ..NodeOptions::default() })
}

/// A part of a JWT: 0 is its header, 1 what it claims.
fn part(token: &str, at: usize) -> Result<Value> {
    let part = token.split('.').nth(at).context("a JWT has three parts")?;
    Ok(serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes())?)?)
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

/// Nothing was written but what counts attempts.
async fn nothing_was_written(world: &World) -> Result<()> {
    for table in ["users", "identities", "sessions", "audit_logs", "audit_chains", "signing_keys"] {
        assert_eq!(rows(world, table).await?, 0, "{table}");
    }
    assert_eq!(rows(world, "challenges WHERE status <> 'pending'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_event_file_signs_in() -> Result<()> {
    let world = World::start().await?;
    let node = node_of_key_1(&world)?;
    let call = Call::from_event(NAME)?;
    let body: Value = serde_json::from_slice(&call.request().body)?;
    let did = format!("did:lightning:{}", node.pubkey);
    let (now, parsed) = (world.now(), did.parse()?);
    let new = NewChallenge {
        id: body["data"]["challenge_id"].as_str().unwrap_or_default().parse()?,
        did: &parsed,
        purpose: Purpose::SignIn(ChallengeType::DefaultRegistration),
        nonce: [0x5a; 32],
        issued_at: now,
        lifetime: Duration::from_mins(5),
    };
    let text = new.text(DOMAIN);
    challenge::create(&world.db.connect(Role::Auth).await?, &new, &text).await?;
    assert_eq!(body["data"]["signature"], node.sign(&text), "the signature in the event file");

    let answer = send(&world.wire(NAME, Deps::wire).await?, &call).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/data/did")?, did);
    assert_eq!(answer.text("/data/lightning_pubkey")?, node.pubkey);
    Ok(())
}

#[tokio::test]
async fn a_first_sign_in_makes_account_session_and_audit_row_at_once() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let given = registration(&world, DID).await?;
    let answer = send(&wire(&world).await?, &given.signed(&node)).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    let data = answer.body["data"].as_object().context("no data")?;
    let mut fields: Vec<&str> = data.keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = ["accessToken", "customToken", "did", "expiresIn", "lightning_pubkey", "refreshToken"];
    assert_eq!(fields, expected);
    assert_eq!(answer.body["data"]["expiresIn"], 1800);
    assert_eq!(answer.text("/data/customToken")?, answer.text("/data/accessToken")?);
    for (table, count) in [("users", 1), ("identities", 2), ("sessions", 1), ("audit_logs", 1)] {
        assert_eq!(rows(&world, table).await?, count, "{table}");
    }
    let confirmed = "challenges WHERE status = 'confirmed' AND confirmed_at = '2026-01-09 12:00Z'";
    assert_eq!(rows(&world, confirmed).await?, 1);
    let audited = format!(
        "audit_logs WHERE action = 'account.created' AND resource_id = '{}' AND ip = '203.0.113.7'
         AND details->>'pubkey' = '{}' AND chain = user_id::text AND request_id = 'request-under-test'",
        given.id, node.pubkey
    );
    assert_eq!(rows(&world, &audited).await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_does_not_happen() -> Result<()> {
    let world = World::start().await?;
    let given = registration(&world, DID).await?;
    let admin = world.db.admin().await?;
    admin.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_auth").await?;
    let answer = send(&wire(&world).await?, &given.signed(&world.node("alice")?)).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn every_sign_in_type_opens_a_session_of_the_dids_account() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let user = world.sign_in(DID, &node.pubkey).await?;
    let deps = wire(&world).await?;
    for kind in ChallengeType::ALL.into_iter().take(6) {
        let given = give(&world, DID, Purpose::SignIn(kind)).await?;
        let answer = send(&deps, &given.signed(&node)).await?;
        assert_eq!(answer.status, 200, "{kind:?}: {answer:?}");
        assert_eq!(part(answer.text("/data/accessToken")?, 1)?["sub"], user.user_id.to_string());
    }
    assert_eq!(rows(&world, "users").await?, 1);
    assert_eq!(rows(&world, "sessions").await?, 7);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'session.created'").await?, 6);
    Ok(())
}

#[tokio::test]
async fn a_node_that_answers_nobody_signs_in_and_is_never_called() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let given = registration(&world, DID).await?;
    let call = given.signed(&node);
    node.set_blackholed(true);
    assert_eq!(send(&wire(&world).await?, &call).await?.status, 200);
    assert_eq!(node.total_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn both_spellings_and_both_wrappings_say_the_same() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let deps = wire(&world).await?;
    for (wrapped, id) in
        [(false, "challenge_id"), (false, "challengeId"), (true, "challenge_id"), (true, "challengeId")]
    {
        let given = registration(&world, DID).await?;
        let bare = json!({ "did": DID, id: given.id, "signature": node.sign(&given.text) });
        let body = if wrapped { json!({ "data": bare }) } else { bare };
        let answer = send(&deps, &Call::new(ROUTE).json(&body)).await?;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
    }
    Ok(())
}
