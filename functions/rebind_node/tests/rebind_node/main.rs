//! `POST /v1/nodes/rebind`

mod after;
mod races;
mod runtime;
mod whose;

use std::time::Duration;

use rebind_node::{Deps, handle};
use sandbox::lnd::{Node, NodeOptions};
use serde_json::{Value, json};
use shared::challenge::{self, ChallengeType, NewChallenge, Purpose};
use shared::db::roles::Role;
use shared::random::Random;
use testing::world::DOMAIN;
use testing::{Call, Outcome, Result, SignedIn, World};
use uuid::Uuid;

const NAME: &str = "rebind_node";
const ROUTE: &str = "POST /v1/nodes/rebind";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

/// An account with a registered node, and the challenge to move it to another key.
struct Move {
    user: SignedIn,
    old: Node,
    new: Node,
    id: Uuid,
    text: String,
}

async fn give(world: &World, did: &str, id: Uuid, purpose: Purpose) -> Result<String> {
    let parsed = did.parse()?;
    let challenge = NewChallenge {
        id,
        did: &parsed,
        purpose,
        nonce: [0x5a; 32],
        issued_at: world.now(),
        lifetime: Duration::from_mins(5),
    };
    let text = challenge.text(DOMAIN);
    challenge::create(&world.db.connect(Role::Auth).await?, &challenge, &text).await?;
    Ok(text)
}

fn node_of(world: &World, name: &str, key: u8) -> Result<Node> {
    let mut secret_key = [0; 32];
    secret_key[31] = key;
    world.sandbox.nodes().create(name, NodeOptions { secret_key: Some(secret_key), ..NodeOptions::default() })
}

impl Move {
    async fn prepare(world: &World) -> Result<Self> {
        Self::with_id(world, Random::system().id(world.now())).await
    }

    async fn with_id(world: &World, id: Uuid) -> Result<Self> {
        let (old, new) = (node_of(world, "old", 1)?, node_of(world, "new", 2)?);
        let user = world.sign_in(DID, &old.pubkey).await?;
        let register = format!(
            "INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, macaroon_sealed, tls_cert_sha256, created_at,
                                updated_at)
             VALUES ('{}', '{DID}', 'node12', '{}', 'https://a.example', 'sealed', decode(repeat('ab', 32), 'hex'),
                     now(), now())",
            user.user_id, old.pubkey
        );
        world.db.admin().await?.batch_execute(&register).await?;
        let (user_id, old_key, new_key) = (user.user_id, old.pubkey.parse()?, new.pubkey.parse()?);
        let purpose = Purpose::NodeRebind { user_id, old: old_key, new: new_key };
        let text = give(world, DID, id, purpose).await?;
        Ok(Self { user, old, new, id, text })
    }

    fn body(&self) -> Value {
        signed(self.id, &self.text, &self.old, &self.new)
    }

    /// Another challenge of the same account: from one of these keys to the other.
    async fn another(&self, world: &World, old: &Node, new: &Node) -> Result<Value> {
        let id = Random::system().id(world.now());
        let (user_id, old_key, new_key) = (self.user.user_id, old.pubkey.parse()?, new.pubkey.parse()?);
        let purpose = Purpose::NodeRebind { user_id, old: old_key, new: new_key };
        let text = give(world, DID, id, purpose).await?;
        Ok(signed(id, &text, old, new))
    }

    fn with(&self, field: &str, value: impl Into<Value>) -> Call {
        let mut body = self.body();
        body[field] = value.into();
        self.call(&body)
    }

    fn call(&self, body: &Value) -> Call {
        Call::new(ROUTE).json(body).bearer(&self.user.access_token)
    }
}

fn signed(id: Uuid, text: &str, old: &Node, new: &Node) -> Value {
    json!({
        "did": DID,
        "challenge_id": id,
        "old_signature": old.sign(text),
        "new_signature": new.sign(text),
    })
}

/// The account is as it was.
async fn nothing_moved(world: &World) -> Result<()> {
    assert_eq!(rows(world, "identities WHERE retired_at IS NULL").await?, 2);
    assert_eq!(rows(world, "identities").await?, 2);
    assert_eq!(rows(world, "nodes WHERE endpoint IS NOT NULL AND macaroon_sealed IS NOT NULL").await?, 1);
    assert_eq!(rows(world, "audit_logs").await?, 0);
    assert_eq!(rows(world, "challenges WHERE status = 'confirmed'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_event_file_rebinds_with_a_session_and_is_refused_without() -> Result<()> {
    let world = World::start().await?;
    let call = Call::from_event(NAME)?;
    let body: Value = serde_json::from_slice(&call.request().body)?;
    let moving = Move::with_id(&world, body["challenge_id"].as_str().unwrap_or_default().parse()?).await?;
    assert_eq!(body, moving.body(), "the event file's signatures");
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &call).await?.refusal()?, (401, "UNAUTHENTICATED"), "a placeholder is no token");
    assert_eq!(send(&deps, &call.bearer(&moving.user.access_token)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn signed_by_both_keys_the_account_moves() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let alias = format!("did:lightning:{}", moving.old.pubkey);
    let user_id = moving.user.user_id;
    let more = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at) VALUES ('{user_id}', 'did', '{alias}', now());
         INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                               created_at, last_seen_at, idle_expires_at, absolute_expires_at)
         SELECT gen_random_uuid(), user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                created_at, last_seen_at, idle_expires_at, absolute_expires_at
         FROM sessions, generate_series(1, 3)"
    );
    world.db.admin().await?.batch_execute(&more).await?;

    let answer = send(&wire(&world).await?, &moving.call(&moving.body())).await?;
    let expected = json!({
        "success": true,
        "message": "node rebound",
        "data": { "did": DID, "lightning_pubkey": moving.new.pubkey, "sessions_ended": 3 },
    });
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &expected));

    let standing = format!("sessions WHERE revoked_at IS NULL AND id = '{}'", moving.user.session_id);
    assert_eq!(rows(&world, &standing).await?, 1);
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NOT NULL").await?, 3);
    let moved = format!(
        "nodes WHERE pubkey = '{}' AND num_nonnulls(endpoint, macaroon_sealed, tls_cert_sha256) = 0",
        moving.new.pubkey
    );
    assert_eq!(rows(&world, &moved).await?, 1);
    let retired = format!(
        "identities WHERE retired_at IS NOT NULL AND subject IN ('{}', '{alias}')",
        moving.old.pubkey
    );
    assert_eq!(rows(&world, &retired).await?, 2, "the old key and the DID made of it");
    let bound = format!(
        "identities WHERE retired_at IS NULL AND kind = 'node' AND subject = '{}'",
        moving.new.pubkey
    );
    assert_eq!(rows(&world, &bound).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'node.rebound'").await?, 1);
    assert_eq!(rows(&world, "challenges WHERE status = 'confirmed'").await?, 1);

    let again = send(&wire(&world).await?, &moving.call(&moving.body())).await?;
    assert_eq!(again.refusal()?, (410, "CHALLENGE_GONE"));
    Ok(())
}

#[tokio::test]
async fn the_old_key_is_reserved_for_ever() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200);

    let stranger = node_of(&world, "stranger", 3)?;
    let user = world.sign_in(OTHER_DID, &stranger.pubkey).await?;
    let id = Random::system().id(world.now());
    let (user_id, old, new) = (user.user_id, stranger.pubkey.parse()?, moving.old.pubkey.parse()?);
    let text = give(&world, OTHER_DID, id, Purpose::NodeRebind { user_id, old, new }).await?;
    let body = json!({
        "did": OTHER_DID,
        "challengeId": id,
        "oldSignature": stranger.sign(&text),
        "newSignature": moving.old.sign(&text),
    });
    let call = Call::new(ROUTE).json(&json!({ "data": body })).bearer(&user.access_token);
    assert_eq!(send(&deps, &call).await?.refusal()?, (409, "NODE_ALREADY_BOUND"));
    Ok(())
}

#[tokio::test]
async fn each_key_must_have_signed_this_very_text() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    let stranger = world.node("stranger")?;
    let text = &moving.text;
    let wrong = [
        ("old_signature", stranger.sign(text)),
        ("new_signature", stranger.sign(text)),
        ("old_signature", moving.new.sign(text)),
        ("new_signature", moving.old.sign(text)),
        ("old_signature", moving.old.sign("another text")),
        ("new_signature", String::new()),
        ("old_signature", moving.old.sign(text).to_uppercase()),
    ];
    for (field, signature) in wrong {
        let answer = send(&deps, &moving.with(field, signature)).await?;
        assert_eq!(answer.refusal()?, (401, "SIGNATURE_REJECTED"), "{field}");
    }
    assert_eq!(rows(&world, "challenges WHERE wrong_answers = 7").await?, 1);
    nothing_moved(&world).await?;
    for _ in 0..3 {
        send(&deps, &moving.with("old_signature", "no")).await?;
    }
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.refusal()?, (429, "RATE_LIMITED"));
    nothing_moved(&world).await
}

#[tokio::test]
async fn it_needs_a_session_whose_node_signed_within_fifteen_minutes() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    let bare = Call::new(ROUTE).json(&moving.body());
    assert_eq!(send(&deps, &bare).await?.refusal()?, (401, "UNAUTHENTICATED"));
    world
        .db
        .admin()
        .await?
        .batch_execute("UPDATE sessions SET node_auth_at = '2026-01-09 11:44:59Z'")
        .await?;
    let stale = send(&deps, &moving.call(&moving.body())).await?;
    assert_eq!(stale.refusal()?, (403, "STEP_UP_REQUIRED"));
    nothing_moved(&world).await?;
    world.db.admin().await?.batch_execute("UPDATE sessions SET node_auth_at = '2026-01-09 11:45Z'").await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_did_made_of_its_key_cannot_have_another() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    for did in [
        format!("did:lightning:{}", moving.old.pubkey),
        String::from("did:key:zQ3shVc2UkAfJCdc1TR8E66J85h48P43r93q8jGPkPpjF9Ef9"),
    ] {
        assert_eq!(send(&deps, &moving.with("did", did)).await?.refusal()?, (409, "CONFLICT"));
    }
    nothing_moved(&world).await
}

#[tokio::test]
async fn only_ones_own_open_rebind_challenge_counts() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    let gone = (410, "CHALLENGE_GONE");
    assert_eq!(send(&deps, &moving.with("challenge_id", Uuid::nil().to_string())).await?.refusal()?, gone);
    assert_eq!(send(&deps, &moving.with("did", OTHER_DID)).await?.refusal()?, gone);

    let login = Random::system().id(world.now());
    give(&world, DID, login, Purpose::SignIn(ChallengeType::MnemonicLogin)).await?;
    assert_eq!(send(&deps, &moving.with("challenge_id", login.to_string())).await?.refusal()?, gone);

    let thief = world.sign_in(OTHER_DID, &node_of(&world, "thief", 3)?.pubkey).await?;
    let stolen = Call::new(ROUTE).json(&moving.body()).bearer(&thief.access_token);
    assert_eq!(send(&deps, &stolen).await?.refusal()?, gone);

    world.advance(time::Duration::minutes(5));
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.refusal()?, gone, "its time is over");
    assert_eq!(rows(&world, "challenges WHERE status = 'confirmed'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_key_with_an_account_is_not_moved_to() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    world.sign_in(OTHER_DID, &moving.new.pubkey).await?;
    let answer = send(&wire(&world).await?, &moving.call(&moving.body())).await?;
    assert_eq!(answer.refusal()?, (409, "NODE_ALREADY_BOUND"));
    assert_eq!(rows(&world, "identities WHERE retired_at IS NOT NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_no_request_move_nothing() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    for body in [&b"{"[..], b"", b"\xff"] {
        let call = moving.call(&json!({})).body(body);
        assert_eq!(send(&deps, &call).await?.refusal()?, (400, "MALFORMED_REQUEST"));
    }
    let wrong = [
        ("did", json!(null)),
        ("did", json!("did:web:a")),
        ("challenge_id", json!("one")),
        ("challenge_id", json!(1)),
        ("old_signature", json!(null)),
        ("new_signature", json!(["canary"])),
    ];
    for (field, value) in wrong {
        let answer = send(&deps, &moving.with(field, value)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{field}");
        assert_eq!(answer.fields(), [field]);
        assert!(!answer.reply.body.contains("canary"));
    }
    let large = moving.with("pad", "x".repeat(65_536));
    assert_eq!(send(&deps, &large).await?.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    nothing_moved(&world).await
}
