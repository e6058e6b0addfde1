//! `GET /v1/nodes/{did}`

mod forged;
mod runtime;

use get_user_node_info::{Deps, handle};
use serde_json::json;
use shared::http::{ApiError, Request};
use shared::lightning::endpoint::Transport;
use shared::lightning::{Did, NodeEndpoint, Pubkey};
use shared::node::{self, Registration};
use testing::{Call, Outcome, Result, SignedIn, World};
use time::Duration;

const ROUTE: &str = "GET /v1/nodes/{did}";
const NAME: &str = "get_user_node_info";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";
/// The public key of the secret key 1, and of 2.
const KEY_1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const KEY_2: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
const NODE_ID: &str = "node12";
const ENDPOINT: &str = "https://nodes.example.com/node12";
/// Stands where the sealed macaroon does; nothing here opens it.
const SEALED: &[u8] = b"sealed-canary";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, request: &Request) -> Result<Outcome> {
    Outcome::of(handle(deps, request).await)
}

fn call(did: &str, token: &str) -> Call {
    Call::new(ROUTE).path("did", did).bearer(token)
}

async fn read(deps: &Deps, user: &SignedIn, did: &str) -> Result<Outcome> {
    send(deps, call(did, &user.access_token).request()).await
}

/// What `POST /v1/nodes` leaves behind.
async fn register(world: &World, user: &SignedIn, pubkey: &str, endpoint: &str) -> Result<()> {
    let (pubkey, node_id): (Pubkey, node::NodeId) =
        (pubkey.parse()?, NODE_ID.parse().map_err(anyhow::Error::msg)?);
    let registration = Registration {
        user_id: user.user_id,
        did: &user.did,
        node_id: &node_id,
        pubkey,
        endpoint: &NodeEndpoint::parse(endpoint, Transport::HttpsOnly)?,
        macaroon_sealed: Some(SEALED.to_vec()),
        certificate_sha256: None,
    };
    let registered = node::register(&world.db.admin().await?, &registration, world.now()).await;
    registered.map_err(|error| anyhow::anyhow!("{:?}", ApiError::from(error)))
}

/// An owner with a registered node.
async fn owner(world: &World) -> Result<SignedIn> {
    let user = world.sign_in(DID, KEY_1).await?;
    register(world, &user, KEY_1, ENDPOINT).await?;
    Ok(user)
}

#[tokio::test]
async fn the_event_file_reads_the_owners_node() -> Result<()> {
    let world = World::start().await?;
    let did = format!("did:lightning:{KEY_1}");
    let user = world.sign_in(&did, KEY_1).await?;
    register(&world, &user, KEY_1, ENDPOINT).await?;
    let deps = wire(&world).await?;
    let event = Call::from_event(NAME)?;
    let refused = send(&deps, event.request()).await?;
    assert_eq!(refused.refusal()?, (401, "UNAUTHENTICATED"), "a placeholder is no token");
    let answer = send(&deps, event.bearer(&user.access_token).request()).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/did")?, did);
    Ok(())
}

#[tokio::test]
async fn the_owner_sees_these_fields_and_no_others() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let answer = read(&wire(&world).await?, &user, DID).await?;
    let expected = json!({
        "did": "did:mnemonic:9f86d081884c7d65",
        "node_id": "node12",
        "lightning_pubkey": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "caddy_endpoint": "https://nodes.example.com/node12",
        "has_macaroon": true,
        "status": "active",
        "created_at": "2026-01-09T12:00:00Z",
        "last_accessed_at": "2026-01-09T12:00:00Z",
    });
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &expected));
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_the_nodes_own_is_shown_by_its_digest() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let digest = "ab".repeat(32);
    let sql = format!("UPDATE nodes SET tls_cert_sha256 = '\\x{digest}'");
    world.db.admin().await?.batch_execute(&sql).await?;
    let answer = read(&wire(&world).await?, &user, DID).await?;
    assert_eq!(answer.text("/tls_cert_sha256")?, digest);
    Ok(())
}

#[tokio::test]
async fn a_node_that_moved_has_no_endpoint_no_certificate_and_no_macaroon() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE nodes SET tls_cert_sha256 = decode(repeat('ab', 32), 'hex')").await?;
    let moved = node::rebind(&world.db.admin().await?, user.user_id, KEY_2.parse()?, world.now()).await;
    assert!(moved.is_ok(), "{moved:?}");
    let answer = read(&wire(&world).await?, &user, DID).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/lightning_pubkey")?, KEY_2);
    assert!(answer.text("/tls_cert_sha256").is_err(), "{answer:?}");
    assert_eq!((&answer.body["caddy_endpoint"], &answer.body["has_macaroon"]), (&json!(null), &json!(false)));
    Ok(())
}

#[tokio::test]
async fn the_macaroon_never_comes_back_sealed_or_open() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let answer = read(&wire(&world).await?, &user, DID).await?;
    let said = format!("{answer:?}");
    assert!(!said.contains("canary") && !said.contains("macaroon_sealed"), "{said}");
    Ok(())
}

#[tokio::test]
async fn to_others_there_is_nothing_there() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let other = world.sign_in(OTHER_DID, KEY_2).await?;
    let deps = wire(&world).await?;
    let nobody = format!("did:lightning:{KEY_2}");
    for (reader, did, what) in [
        (&other, DID, "another's"),
        (&other, OTHER_DID, "one's own, not registered"),
        (&user, OTHER_DID, "another's, not registered"),
        (&user, nobody.as_str(), "an unknown DID"),
        (&user, "did:mnemonic:0000000000000000", "an unknown name"),
    ] {
        let answer = read(&deps, reader, did).await?;
        assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{what}");
        assert_eq!(answer.text("/message")?, "no node of yours has this DID", "{what}: all say the same");
        assert!(!answer.reply.body.contains("nodes.example.com"), "{what}");
    }
    register(&world, &other, KEY_2, "https://nodes.example.com/other").await?;
    assert_eq!(read(&deps, &other, DID).await?.refusal()?, (404, "NOT_FOUND"), "another's, with one's own");
    assert_eq!(read(&deps, &user, OTHER_DID).await?.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn any_standing_did_of_the_account_names_its_node_and_a_retired_one_does_not() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let deps = wire(&world).await?;
    let alias = format!("did:lightning:{KEY_1}");
    let did: Did = alias.parse()?;
    let admin = world.db.admin().await?;
    let claimed = shared::account::claim_did(&admin, user.user_id, &did, world.now()).await;
    assert!(claimed.is_ok(), "{claimed:?}");
    assert_eq!(read(&deps, &user, &alias).await?.text("/did")?, alias);
    shared::account::retire_node(&admin, user.user_id, KEY_1.parse()?, world.now()).await?;
    assert_eq!(read(&deps, &user, &alias).await?.refusal()?, (404, "NOT_FOUND"));
    assert_eq!(read(&deps, &user, DID).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_did_may_be_percent_encoded() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let deps = wire(&world).await?;
    for did in [
        "did%3Amnemonic%3A9f86d081884c7d65",
        "did%3amnemonic:9f86d081884c7d65",
        "%64id:mnemonic:9f86d081884c7d65",
    ] {
        let answer = read(&deps, &user, did).await?;
        assert_eq!(answer.status, 200, "{did}: {answer:?}");
        assert_eq!(answer.text("/did")?, DID);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_did_is_named_and_not_quoted() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let deps = wire(&world).await?;
    let long = format!("did:mnemonic:{}", "0".repeat(5000));
    for did in [
        "",
        "canary",
        "did:web:canary.example",
        "DID:MNEMONIC:9F86D081884C7D65",
        "did%253Amnemonic%253A9f86d081884c7d65",
        "did:mnemonic:9f86d081884c7d65%00",
        "did:mnemonic:9f86d081884c7d65%20",
        "did:mnemonic:9f86d081884c7d65'%20OR%20'1'='1",
        "did:lightning:0279be",
        "%ff%fe",
        "..",
        long.as_str(),
    ] {
        let answer = read(&deps, &user, did).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{did}");
        assert_eq!(answer.fields(), ["did"], "{did}");
        assert!(!answer.reply.body.contains("canary"), "{did}");
    }
    Ok(())
}

#[tokio::test]
async fn last_accessed_moves_with_a_later_sign_in_and_not_with_a_look() -> Result<()> {
    let world = World::start().await?;
    let user = owner(&world).await?;
    let deps = wire(&world).await?;
    world.advance(Duration::minutes(5));
    assert_eq!(read(&deps, &user, DID).await?.text("/last_accessed_at")?, "2026-01-09T12:00:00Z");
    let again = world.sign_in_again(&user, KEY_1).await?;
    for session in [&user, &again] {
        let answer = read(&deps, session, DID).await?;
        assert_eq!(answer.text("/last_accessed_at")?, "2026-01-09T12:05:00Z");
        assert_eq!(answer.text("/created_at")?, "2026-01-09T12:00:00Z");
    }
    world.advance(Duration::minutes(5));
    register(&world, &user, KEY_1, ENDPOINT).await?;
    assert_eq!(read(&deps, &user, DID).await?.text("/last_accessed_at")?, "2026-01-09T12:10:00Z");
    Ok(())
}
