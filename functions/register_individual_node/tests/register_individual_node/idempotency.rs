//! `Idempotency-Key`

use register_individual_node::Deps;
use testing::{Call, Result, World};
use time::Duration;

use super::{DID, NAME, OTHER_DID, Owner, nothing_was_written, rows, send, wire};

fn keyed(call: Call, key: &str) -> Call {
    call.header("idempotency-key", key)
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_does_nothing() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let call = owner.call(&owner.with("admin_macaroon", owner.node.invoice_macaroon.as_str()));
    let first = send(&deps, &keyed(call.clone(), "one")).await?;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (200, None));
    for key in ["one", "\"one\""] {
        let again = send(&deps, &keyed(call.clone(), key)).await?;
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{key}");
        assert_eq!((again.status, &again.reply.body), (first.status, &first.reply.body));
        assert_eq!(again.header("content-type"), Some("application/json"));
    }
    assert_eq!(rows(&world, "audit_logs").await?, 1);
    let sealed =
        "idempotency_keys WHERE status = 200 AND strpos(encode(reply_sealed, 'escape'), 'node12') = 0";
    assert_eq!(rows(&world, sealed).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_key_used_for_another_body_is_refused() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &keyed(owner.call(&owner.body()), "one")).await?.status, 200);
    let other = keyed(owner.call(&owner.with("node_id", "node13")), "one");
    assert_eq!(send(&deps, &other).await?.refusal()?, (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(rows(&world, "nodes WHERE node_id = 'node12'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_key_is_its_users_own_and_lives_a_day() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (Owner::new(&world, DID, "alice").await?, Owner::new(&world, OTHER_DID, "bob").await?);
    let changed = [("NODE_AUTH_MAX_AGE_SECONDS", "86400")];
    let deps = world.wire_with(NAME, &changed, Deps::wire).await?;
    assert_eq!(send(&deps, &keyed(alice.call(&alice.body()), "one")).await?.status, 200);
    let others = send(&deps, &keyed(bob.call(&bob.with("node_id", "node13")), "one")).await?;
    assert_eq!((others.status.as_u16(), others.header("idempotent-replayed")), (200, None));

    world.advance(Duration::minutes(20));
    let again = send(&deps, &keyed(alice.call(&alice.body()), "one")).await?;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    world
        .db
        .admin()
        .await?
        .batch_execute("UPDATE idempotency_keys SET expires_at = '2026-01-09 12:20Z'")
        .await?;
    let after = send(&deps, &keyed(alice.call(&alice.with("node_id", "node14")), "one")).await?;
    assert_eq!((after.status.as_u16(), after.header("idempotent-replayed")), (200, None));
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_not_kept() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let refused = keyed(owner.call(&owner.with("did", OTHER_DID)), "one");
    assert_eq!(send(&deps, &refused).await?.refusal()?, (403, "FORBIDDEN"));
    nothing_was_written(&world).await?;
    assert_eq!(send(&deps, &keyed(owner.call(&owner.body()), "one")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_request_refused_for_anothers_sake_succeeds_under_its_key_once_the_way_is_clear() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (Owner::new(&world, DID, "alice").await?, Owner::new(&world, OTHER_DID, "bob").await?);
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &alice.call(&alice.body())).await?.status, 200);
    let call = keyed(bob.call(&bob.body()), "one");
    assert_eq!(send(&deps, &call).await?.refusal()?, (409, "CONFLICT"));
    assert_eq!(send(&deps, &alice.call(&alice.with("node_id", "moved"))).await?.status, 200);
    let answer = send(&deps, &call).await?;
    assert_eq!((answer.status.as_u16(), answer.header("idempotent-replayed")), (200, None));
    Ok(())
}

#[tokio::test]
async fn a_twin_of_a_request_that_takes_long_is_told_to_come_back() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let mut admin = world.db.admin().await?;
    let first = admin.transaction().await?;
    let taken = format!(
        "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, created_at, expires_at)
         VALUES ('{}', 'POST /v1/nodes', 'one', '', '2026-01-09 12:00Z', '2026-01-10 12:00Z')",
        owner.user.user_id
    );
    first.batch_execute(&taken).await?;
    let call = keyed(owner.call(&owner.body()), "one");
    let twin = send(&deps, &call).await?;
    assert_eq!(twin.refusal()?, (409, "IDEMPOTENCY_IN_PROGRESS"));
    assert_eq!(twin.header("retry-after"), Some("1"));
    first.rollback().await?;
    assert_eq!(send(&deps, &call).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_key_is_1_to_255_printable_characters() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let longest = "k".repeat(255);
    for good in ["k", longest.as_str(), "\"q\"", "7f9c2ba4-e88f-4f0e-9e6d-0f6f1f2f3f4f"] {
        assert_eq!(send(&deps, &keyed(owner.call(&owner.body()), good)).await?.status, 200, "{good}");
    }
    let longer = "k".repeat(256);
    for bad in ["", " ", "two words", "\"\"", longer.as_str()] {
        let answer = send(&deps, &keyed(owner.call(&owner.body()), bad)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{bad:?}");
        assert_eq!(answer.fields(), ["Idempotency-Key"]);
    }
    Ok(())
}
