//! Requests that make nothing.

use create_invoice::Deps;
use serde_json::json;
use testing::{Call, Result, World};
use time::Duration;

use super::{DID, NAME, OTHER_DID, Owner, ROUTE, order, paid_by, rows, send, start, wire};

async fn nothing_was_asked(world: &World) -> Result<()> {
    assert_eq!(rows(world, "invoices").await?, 0);
    let asked = world.sandbox.calls().into_iter().filter(|call| call.path.contains("/invoices"));
    assert_eq!(asked.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_field_out_of_bounds_is_named() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let refusals = [
        (json!({}), "amount_msat"),
        (json!({ "amountMsat": 1_000 }), "amount_msat"),
        (json!({ "amount_msat": null }), "amount_msat"),
        (json!({ "amount_msat": "1000" }), "amount_msat"),
        (json!({ "amount_msat": 1000.5 }), "amount_msat"),
        (json!({ "amount_msat": 0 }), "amount_msat"),
        (json!({ "amount_msat": -1_000 }), "amount_msat"),
        (json!({ "amount_msat": 1 }), "amount_msat"),
        (json!({ "amount_msat": 1_500 }), "amount_msat"),
        (json!({ "amount_msat": 1_000_000_001_000_u64 }), "amount_msat"),
        (json!({ "amount_msat": u64::MAX }), "amount_msat"),
        (json!({ "amount_msat": 1_000, "memo": 7 }), "memo"),
        (json!({ "amount_msat": 1_000, "memo": "m".repeat(640) }), "memo"),
        (json!({ "amount_msat": 1_000, "memo": "a\u{0}b" }), "memo"),
        (json!({ "amount_msat": 1_000, "memo": "a\nb" }), "memo"),
        (json!({ "amount_msat": 1_000, "expiry_seconds": 0 }), "expiry_seconds"),
        (json!({ "amount_msat": 1_000, "expiry_seconds": 59 }), "expiry_seconds"),
        (json!({ "amount_msat": 1_000, "expiry_seconds": 86_401 }), "expiry_seconds"),
        (json!({ "amount_msat": 1_000, "expiry_seconds": -60 }), "expiry_seconds"),
        (json!({ "amount_msat": 1_000, "expiry_seconds": "60" }), "expiry_seconds"),
    ];
    for (body, field) in refusals {
        let answer = send(&deps, &owner.call(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}");
    }
    nothing_was_asked(&world).await
}

#[tokio::test]
async fn what_is_not_a_request_is_malformed() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    for body in ["", "{", "amount"] {
        let answer = send(&deps, &owner.call(&json!({})).body(body)).await?;
        assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"), "{body}");
    }
    let large = owner.call(&json!({ "amount_msat": 1_000, "memo": "m".repeat(70_000) }));
    assert_eq!(send(&deps, &large).await?.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    let wrapped = owner.call(&json!({ "data": order() }));
    assert_eq!(send(&deps, &wrapped).await?.fields(), ["amount_msat"]);
    nothing_was_asked(&world).await
}

#[tokio::test]
async fn the_largest_amount_is_configuration() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("INVOICE_MAX_SATS", "100")], Deps::wire).await?;
    let over = send(&deps, &owner.call(&json!({ "amount_msat": 101_000 }))).await?;
    assert_eq!(over.refusal()?, (400, "VALIDATION_FAILED"));
    assert!(over.reply.body.contains("from 1000 to 100000"), "{over:?}");
    let most = send(&deps, &owner.call(&json!({ "amount_msat": 100_000 }))).await?;
    assert_eq!(paid_by(&most)?.amount_msat, Some(100_000));
    let most =
        send(&wire(&world).await?, &owner.call(&json!({ "amount_msat": 1_000_000_000_000_u64 }))).await?;
    assert_eq!(paid_by(&most)?.amount_msat, Some(1_000_000_000_000));
    Ok(())
}

#[tokio::test]
async fn without_a_session_there_is_no_invoice() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let none = Call::new(ROUTE).json(&order());
    assert_eq!(send(&deps, &none).await?.refusal()?, (401, "UNAUTHENTICATED"));
    world.db.admin().await?.batch_execute("UPDATE sessions SET revoked_at = now()").await?;
    assert_eq!(send(&deps, &owner.call(&order())).await?.refusal()?, (401, "UNAUTHENTICATED"));
    world.advance(Duration::hours(1));
    assert_eq!(send(&deps, &owner.call(&order())).await?.refusal()?, (401, "TOKEN_EXPIRED"));
    nothing_was_asked(&world).await
}

#[tokio::test]
async fn without_a_store_of_one_s_own_there_is_no_invoice() -> Result<()> {
    let world = start().await?;
    let _bob = Owner::new(&world, OTHER_DID, "bob").await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let deps = wire(&world).await?;
    let call = Call::new(ROUTE).json(&order()).bearer(&user.access_token);
    for call in [call.clone(), call.header("idempotency-key", "one")] {
        assert_eq!(send(&deps, &call).await?.refusal()?, (409, "NO_STORE"));
    }
    nothing_was_asked(&world).await
}

#[tokio::test]
async fn exactly_the_quota_of_an_account_passes_in_a_minute() -> Result<()> {
    let world = start().await?;
    let (alice, bob) = (Owner::new(&world, DID, "alice").await?, Owner::new(&world, OTHER_DID, "bob").await?);
    let changed = [("RATE_LIMIT_INVOICES_PER_USER", "3")];
    let deps = world.wire_with(NAME, &changed, Deps::wire).await?;
    // The first three of a minute, wherever in it this test began.
    world.advance(Duration::seconds(60 - world.now().unix_timestamp() % 60));
    let no_store_needed = alice.call(&order());
    for nth in 1..=5 {
        let answer = send(&deps, &no_store_needed).await?;
        let passed = if nth <= 3 { 201 } else { 429 };
        assert_eq!(answer.status.as_u16(), passed, "{nth}: {answer:?}");
        if nth > 3 {
            assert_eq!(answer.refusal()?, (429, "RATE_LIMITED"));
            assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=3;w=60"));
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert_eq!(alice.at_btcpay(&world), 3);
    assert_eq!(send(&deps, &bob.call(&order())).await?.status, 201, "another account's count");
    world.advance(Duration::minutes(1));
    assert_eq!(send(&deps, &no_store_needed).await?.status, 201, "the next minute");
    Ok(())
}

#[tokio::test]
async fn requests_that_fail_are_counted_as_well() -> Result<()> {
    let world = start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let changed = [("RATE_LIMIT_INVOICES_PER_USER", "2")];
    let deps = world.wire_with(NAME, &changed, Deps::wire).await?;
    world.advance(Duration::seconds(60 - world.now().unix_timestamp() % 60));
    let call = Call::new(ROUTE).json(&order()).bearer(&user.access_token);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(send(&deps, &call).await?.status.as_u16());
    }
    assert_eq!(seen, [409, 409, 429]);
    Ok(())
}
