//! Whose DID, whose key, whose place: what is not the caller's own is refused, and nothing is written.

use serde_json::Value;
use shared::db::roles::Role;
use testing::{Call, Result, World};
use time::Duration;

use super::{DID, ENDPOINT, KEY_1, OTHER_DID, Owner, ROUTE, everything, rows, send, wire};

#[tokio::test]
async fn anothers_did_and_anothers_key_are_conflicts_and_nobodys_are_forbidden() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let other = Owner::new(&world, OTHER_DID, "bob").await?;
    let deps = wire(&world).await?;
    let before = everything(&world).await?;
    let cases: [(Value, (u16, &str)); 6] = [
        (owner.with("did", OTHER_DID), (409, "DID_ALREADY_BOUND")),
        (owner.with("lightning_pubkey", other.node.pubkey.as_str()), (409, "NODE_ALREADY_BOUND")),
        (owner.with("did", format!("did:lightning:{KEY_1}")), (403, "FORBIDDEN")),
        (owner.with("did", format!("did:lightning:{}", owner.node.pubkey)), (403, "FORBIDDEN")),
        (owner.with("lightning_pubkey", KEY_1), (403, "FORBIDDEN")),
        (owner.with("did", "did:mnemonic:2222222222222222"), (403, "FORBIDDEN")),
    ];
    for (body, expected) in cases {
        for call in [owner.call(&body), owner.call(&body).header("idempotency-key", "a-key")] {
            let answer = send(&deps, &call).await?;
            assert_eq!(answer.refusal()?, expected, "{body}");
            assert_eq!(everything(&world).await?, before, "{body}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_once_replaced_is_no_key_to_register() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let client = world.db.connect(Role::Auth).await?;
    shared::account::retire_node(&client, owner.user.user_id, owner.node.pubkey.parse()?, world.now())
        .await?;
    let before = everything(&world).await?;
    let answer = send(&wire(&world).await?, &owner.call(&owner.body())).await?;
    assert_eq!(answer.refusal()?, (409, "NODE_ALREADY_BOUND"));
    assert_eq!(everything(&world).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_name_at_an_address_is_one_accounts() -> Result<()> {
    let world = World::start().await?;
    let (owner, other) =
        (Owner::new(&world, DID, "alice").await?, Owner::new(&world, OTHER_DID, "bob").await?);
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &owner.call(&owner.body())).await?.status, 200);
    let before = everything(&world).await?;
    let others = |node_id: &str, endpoint: &str| {
        let mut body = other.with("node_id", node_id);
        body["caddy_endpoint"] = endpoint.into();
        other.call(&body)
    };
    for endpoint in [ENDPOINT, "https://NODES.example.com:443/node12/"] {
        let answer = send(&deps, &others("node12", endpoint)).await?;
        assert_eq!(answer.refusal()?, (409, "CONFLICT"), "{endpoint}");
        assert!(!answer.reply.body.contains(&owner.user.user_id.to_string()), "{answer:?}");
    }
    assert_eq!(everything(&world).await?, before);
    assert_eq!(send(&deps, &others("node13", ENDPOINT)).await?.status, 200, "another name there");
    let elsewhere = others("node12", "https://nodes.example.com/node13");
    assert_eq!(send(&deps, &elsewhere).await?.status, 200, "the name elsewhere");
    Ok(())
}

#[tokio::test]
async fn a_node_that_signed_fifteen_minutes_ago_may_and_a_second_later_may_not() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    world.advance(Duration::minutes(15));
    assert_eq!(send(&deps, &owner.call(&owner.body())).await?.status, 200);
    let before = everything(&world).await?;
    world.advance(Duration::seconds(1));
    let answer = send(&deps, &owner.call(&owner.body())).await?;
    assert_eq!(answer.refusal()?, (403, "STEP_UP_REQUIRED"));
    assert_eq!(everything(&world).await?, before);

    let again = world.sign_in_again(&owner.user, &owner.node.pubkey).await?;
    let call = owner.call(&owner.body()).bearer(&again.access_token);
    assert_eq!(send(&deps, &call).await?.status, 200, "signed again");
    Ok(())
}

#[tokio::test]
async fn a_session_no_node_signed_for_may_not() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    world.db.admin().await?.batch_execute("UPDATE sessions SET node_auth_at = NULL").await?;
    let answer = send(&wire(&world).await?, &owner.call(&owner.body())).await?;
    assert_eq!(answer.refusal()?, (403, "STEP_UP_REQUIRED"));
    assert_eq!(rows(&world, "nodes").await?, 0);
    Ok(())
}

#[tokio::test]
async fn without_a_standing_session_nothing_is_registered() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let before = everything(&world).await?;
    let bare = send(&deps, &Call::new(ROUTE).json(&owner.body())).await?;
    assert_eq!(bare.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(bare.header("www-authenticate"), Some("Bearer"));
    let forged =
        send(&deps, &Call::new(ROUTE).json(&owner.body()).bearer("eyJhbGciOiJub25lIn0.e30.")).await?;
    assert_eq!(forged.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(everything(&world).await?, before);

    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE sessions SET revoked_at = '2026-01-09 12:00Z'").await?;
    assert_eq!(send(&deps, &owner.call(&owner.body())).await?.refusal()?, (401, "UNAUTHENTICATED"));
    admin.batch_execute("UPDATE sessions SET revoked_at = NULL").await?;
    assert_eq!(everything(&world).await?, before);

    world.advance(Duration::minutes(30) + Duration::seconds(5));
    let expired = send(&deps, &owner.call(&owner.body())).await?;
    assert_eq!(expired.refusal()?, (401, "TOKEN_EXPIRED"));
    assert_eq!(expired.header("www-authenticate"), Some("Bearer"));
    assert_eq!(everything(&world).await?, before);
    Ok(())
}
