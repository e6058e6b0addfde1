//! The payment of an invoice: on record before BTCPay can tell anything of it.

use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::json;
use testing::{Result, World};

use super::{DID, Owner, order, paid_by, rows, send, start, wire};

/// The owner's payments that are begun, over an amount, with an invoice of the same id on the same store.
fn begun(owner: &Owner, amount_msat: u64) -> String {
    format!(
        "payments p JOIN invoices i ON i.id = p.id AND i.user_id = p.user_id AND i.btcpay_store_id = p.account
         WHERE p.user_id = '{}' AND p.provider = 'btcpay' AND p.account = '{}' AND p.currency = 'btc'
           AND p.amount_minor = {amount_msat} AND i.amount_msat = p.amount_minor AND p.state = 'created'
           AND p.received_minor = 0 AND p.refunded_minor = 0 AND p.version = 0
           AND NOT (p.late OR p.manually_marked OR p.entitled)",
        owner.user.user_id, owner.store.id
    )
}

async fn only(world: &World, owner: &Owner, amount_msat: u64) -> Result<()> {
    let found = (rows(world, &begun(owner, amount_msat)).await?, rows(world, "payments").await?);
    assert_eq!(found, (1, 1), "{:?}", rows(world, "invoices").await?);
    Ok(())
}

#[tokio::test]
async fn an_invoice_is_a_payment_that_is_begun() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let answer = send(&wire(&world).await?, &owner.call(&order())).await?;
    paid_by(&answer)?;
    only(&world, &owner, 250_000).await?;
    let named = format!("payments WHERE id = '{}'", answer.text("/invoice_id")?);
    assert_eq!(rows(&world, &named).await?, 1);
    Ok(())
}

#[tokio::test]
async fn btcpay_is_asked_of_it_after_five_minutes_and_it_outlives_the_invoice() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let answer = send(&wire(&world).await?, &owner.call(&order())).await?;
    let expires_at = answer.text("/expires_at")?;
    let found = format!(
        "payments WHERE poll_at = created_at + interval '5 minutes' AND created_at = '{}' AND expires_at >= '{expires_at}'
         AND expires_at < '{expires_at}'::timestamptz + interval '2 minutes'",
        world.now()
    );
    assert_eq!(rows(&world, &found).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_repeat_makes_no_second_payment() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let call = owner.call(&order()).header("idempotency-key", "one");
    for _ in 0..3 {
        paid_by(&send(&deps, &call).await?)?;
        only(&world, &owner, 250_000).await?;
    }
    let other = owner.call(&json!({ "amount_msat": 1_000 })).header("idempotency-key", "two");
    paid_by(&send(&deps, &other).await?)?;
    let found = (rows(&world, &begun(&owner, 1_000)).await?, rows(&world, "payments").await?);
    assert_eq!(found, (1, 2));
    Ok(())
}

#[tokio::test]
async fn one_that_is_taken_up_again_keeps_its_payment() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let lost = Misbehaviour::FailAfter { status: 500, body: "out of order".into() };
    let route = Route::service(Service::Btcpay).method("POST");
    world.sandbox.faults().add(route, When::Times(1), lost)?;
    let call = owner.call(&order()).header("idempotency-key", "one");
    assert_ne!(send(&deps, &call).await?.status, 201);
    only(&world, &owner, 250_000).await?;

    let again = send(&deps, &call).await?;
    paid_by(&again)?;
    only(&world, &owner, 250_000).await?;
    assert_eq!(rows(&world, &format!("payments WHERE id = '{}'", again.text("/invoice_id")?)).await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_refused_before_anything_is_asked_for_is_no_payment() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let call = owner.call(&json!({ "amount_msat": 1_001 }));
    assert_eq!(send(&deps, &call).await?.refusal()?, (400, "VALIDATION_FAILED"));
    world.db.admin().await?.batch_execute("DELETE FROM lightning_addresses").await?;
    assert_eq!(send(&deps, &owner.call(&order())).await?.refusal()?, (409, "NO_STORE"));
    assert_eq!(rows(&world, "payments").await?, 0);
    Ok(())
}
