//! `Idempotency-Key`

use serde_json::json;
use testing::{Call, Result};

use super::{DID, OTHER_DID, Owner, order, paid_by, rows, send, start, wire};

fn keyed(call: Call, key: &str) -> Call {
    call.header("idempotency-key", key)
}

#[tokio::test]
async fn a_repeat_gets_the_same_invoice() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let first = send(&deps, &keyed(owner.call(&order()), "one")).await?;
    paid_by(&first)?;
    assert_eq!(first.header("idempotent-replayed"), None);
    for key in ["one", "\"one\""] {
        let again = send(&deps, &keyed(owner.call(&order()), key)).await?;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{key}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!((owner.at_btcpay(&world), rows(&world, "invoices").await?), (1, 1));
    assert_eq!(rows(&world, "audit_logs").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_repeat_gets_the_same_invoice_while_btcpay_is_away_or_the_store_is_gone() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let first = send(&deps, &keyed(owner.call(&order()), "one")).await?;
    world.sandbox.faults().away(sandbox::Service::Btcpay);
    let again = send(&deps, &keyed(owner.call(&order()), "one")).await?;
    assert_eq!(again.body, first.body);
    Ok(())
}

#[tokio::test]
async fn a_key_used_for_another_body_is_refused() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    paid_by(&send(&deps, &keyed(owner.call(&order()), "one")).await?)?;
    for other in [json!({ "amount_msat": 251_000 }), json!({ "amount_msat": 250_000 })] {
        let answer = send(&deps, &keyed(owner.call(&other), "one")).await?;
        assert_eq!(answer.refusal()?, (422, "IDEMPOTENCY_KEY_REUSED"), "{other}");
    }
    assert_eq!(owner.at_btcpay(&world), 1);
    Ok(())
}

#[tokio::test]
async fn a_key_is_its_user_s_own() -> Result<()> {
    let world = start().await?;
    let (alice, bob) = (Owner::new(&world, DID, "alice").await?, Owner::new(&world, OTHER_DID, "bob").await?);
    let deps = wire(&world).await?;
    let of_alice = send(&deps, &keyed(alice.call(&order()), "one")).await?;
    let of_bob = send(&deps, &keyed(bob.call(&order()), "one")).await?;
    assert_eq!(of_bob.header("idempotent-replayed"), None);
    assert_ne!(paid_by(&of_alice)?.payee, paid_by(&of_bob)?.payee);
    Ok(())
}

#[tokio::test]
async fn a_key_names_its_invoice_for_a_day() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let call = keyed(owner.call(&order()), "one");
    let first = send(&deps, &call).await?;
    let moved = |by: &str| format!("UPDATE invoices SET created_at = created_at - interval '{by}'");
    let admin = world.db.admin().await?;
    admin.batch_execute(&moved("23 hours 59 minutes")).await?;
    assert_eq!(send(&deps, &call).await?.body, first.body);
    admin.batch_execute(&moved("1 minute")).await?;
    let after = send(&deps, &call).await?;
    assert_eq!(after.header("idempotent-replayed"), None);
    assert_ne!(paid_by(&after)?.payment_hash, paid_by(&first)?.payment_hash);
    assert_eq!(rows(&world, "invoices WHERE state = 'open'").await?, 2, "the old one stays on record");
    Ok(())
}

#[tokio::test]
async fn a_twin_of_a_request_at_work_is_told_to_come_back() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    world.sandbox.faults().add(
        sandbox::Route::service(sandbox::Service::Btcpay).method("POST"),
        sandbox::When::Times(1),
        sandbox::Misbehaviour::StallAfter { millis: 1_000 },
    )?;
    let call = keyed(owner.call(&order()), "one");
    let later = async {
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let other = keyed(owner.call(&json!({ "amount_msat": 1_000 })), "one");
        (send(&deps, &call).await, send(&deps, &other).await)
    };
    let (first, (twin, other)) = tokio::join!(send(&deps, &call), later);
    paid_by(&first?)?;
    let twin = twin?;
    assert_eq!(twin.refusal()?, (409, "IDEMPOTENCY_IN_PROGRESS"));
    assert_eq!(twin.header("retry-after"), Some("1"));
    assert_eq!(other?.refusal()?, (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(owner.at_btcpay(&world), 1);
    Ok(())
}

#[tokio::test]
async fn a_key_is_1_to_255_printable_characters() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let (longest, longer) = ("k".repeat(255), "k".repeat(256));
    paid_by(&send(&deps, &keyed(owner.call(&order()), &longest)).await?)?;
    for bad in ["", " ", "two words", "\"\"", longer.as_str()] {
        let answer = send(&deps, &keyed(owner.call(&order()), bad)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{bad:?}");
        assert_eq!(answer.fields(), ["Idempotency-Key"]);
    }
    Ok(())
}
