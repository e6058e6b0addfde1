//! What BTCPay answers, believed only when it is what was asked for.

use create_invoice::Deps;
use sandbox::lnd::Network;
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::{Value, json};
use testing::{Outcome, Result, World};
use time::Duration;

use super::{DID, NAME, Owner, nothing_is_shown, order, paid_by, rows, send, start, wire};

/// The next time it is asked how the invoice is to be paid, BTCPay answers this, as often as it is asked.
fn pay_with(world: &World, owner: &Owner, bolt11: &str) -> Result<()> {
    let methods = json!([{ "paymentMethodId": "BTC-LN", "destination": bolt11 }]);
    let answer = Misbehaviour::FailAfter { status: 200, body: methods.to_string() };
    world.sandbox.faults().add(methods_of(owner), When::Always, answer)
}

fn methods_of(owner: &Owner) -> Route {
    Route::service(Service::Btcpay)
        .method("GET")
        .path(&format!("/btcpay/api/v1/stores/{}/invoices/", owner.store.id))
}

/// An honest invoice of the owner's, which goes from the record as if it had never been made.
async fn another(world: &World, deps: &Deps, owner: &Owner, body: &Value) -> Result<String> {
    let answer = send(deps, &owner.call(body)).await?;
    paid_by(&answer)?;
    let admin = world.db.admin().await?;
    admin.batch_execute("DELETE FROM invoices").await?;
    // The log is append-only to everybody else.
    admin.batch_execute("DELETE FROM audit_logs; DELETE FROM audit_chains").await?;
    Ok(answer.text("/bolt11")?.to_owned())
}

async fn is_refused(world: &World, answer: &Outcome, why: &str) -> Result<()> {
    assert_eq!(answer.refusal()?, (502, "UPSTREAM_FAILED"), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(answer.causes.as_ref().is_some_and(|causes| causes.contains(why)), "{answer:?}");
    assert_eq!(rows(world, "invoices WHERE state = 'refused'").await?, 1);
    nothing_is_shown(world, answer).await
}

#[tokio::test]
async fn an_invoice_of_another_network_is_refused() -> Result<()> {
    for network in [Network::Mainnet, Network::Testnet, Network::Signet] {
        let world = start().await?;
        let owner = Owner::new(&world, DID, "alice").await?;
        owner.node.set_network(network);
        let answer = send(&wire(&world).await?, &owner.call(&order())).await?;
        is_refused(&world, &answer, "of another network").await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_network_is_configuration() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("LIGHTNING_NETWORK", "mainnet")], Deps::wire).await?;
    let answer = send(&deps, &owner.call(&order())).await?;
    is_refused(&world, &answer, "of another network").await?;
    owner.node.set_network(Network::Mainnet);
    assert!(send(&deps, &owner.call(&order())).await?.text("/bolt11")?.starts_with("lnbc2500n1"));
    Ok(())
}

#[tokio::test]
async fn an_invoice_over_another_amount_is_refused() -> Result<()> {
    for amount_msat in [249_000, 251_000, 250_000_000] {
        let world = start().await?;
        let owner = Owner::new(&world, DID, "alice").await?;
        let deps = wire(&world).await?;
        let other = another(&world, &deps, &owner, &json!({ "amount_msat": amount_msat })).await?;
        pay_with(&world, &owner, &other)?;
        is_refused(&world, &send(&deps, &owner.call(&order())).await?, "for another amount").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_invoice_that_was_shown_before_is_refused() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let first = send(&deps, &owner.call(&order())).await?;
    paid_by(&first)?;
    pay_with(&world, &owner, first.text("/bolt11")?)?;
    let answer = send(&deps, &owner.call(&order())).await?;
    assert_eq!(answer.refusal()?, (502, "UPSTREAM_FAILED"), "{answer:?}");
    assert!(answer.causes.is_some_and(|causes| causes.contains("on record as another's")));
    let refused =
        "invoices WHERE state = 'refused' AND num_nonnulls(bolt11, payment_hash, btcpay_invoice_id) = 0";
    assert_eq!((rows(&world, refused).await?, rows(&world, "invoices WHERE state = 'open'").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_answer_about_another_order_s_invoice_is_not_taken_for_ours() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let first = send(&deps, &owner.call(&order())).await?;
    let route = Route::service(Service::Btcpay).method("POST").path("/btcpay/api/v1/stores/");
    world.sandbox.faults().add(route, When::Times(1), Misbehaviour::DuplicateId)?;
    let call = owner.call(&order()).header("idempotency-key", "one");
    assert_eq!(send(&deps, &call).await?.refusal()?, (502, "UPSTREAM_FAILED"));
    let again = send(&deps, &call).await?;
    assert_ne!(paid_by(&again)?.payment_hash, paid_by(&first)?.payment_hash);
    assert_eq!(owner.at_btcpay(&world), 2, "the one that was made is found by its order");
    Ok(())
}

#[tokio::test]
async fn an_invoice_that_has_expired_or_lives_too_long_is_refused() -> Result<()> {
    for (lives, asked, waited, why) in [
        (60, 600, Duration::seconds(150), "has expired"),
        (86_400, 60, Duration::ZERO, "expires later than was asked for"),
        (720, 600, Duration::ZERO, "expires later than was asked for"),
    ] {
        let world = start().await?;
        let owner = Owner::new(&world, DID, "alice").await?;
        let deps = wire(&world).await?;
        let body = json!({ "amount_msat": 250_000, "expiry_seconds": lives });
        let other = another(&world, &deps, &owner, &body).await?;
        // More than a minute, because the sandbox's clock went on while the world's stood still.
        world.advance(waited);
        pay_with(&world, &owner, &other)?;
        let body = json!({ "amount_msat": 250_000, "expiry_seconds": asked });
        is_refused(&world, &send(&deps, &owner.call(&body)).await?, why).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_invoice_is_refused() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let honest = another(&world, &deps, &owner, &order()).await?;
    let mistyped = honest.replacen("pp5", "pp6", 1);
    let cut = &honest[..honest.len() - 8];
    for text in ["lnbcrt", "bitcoin:bcrt1q", "<html>", "☕", &mistyped, cut, &honest.repeat(40)] {
        world.sandbox.faults().clear();
        world.db.admin().await?.batch_execute("DELETE FROM invoices").await?;
        pay_with(&world, &owner, text)?;
        is_refused(&world, &send(&deps, &owner.call(&order())).await?, "invoice").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_nobody_can_read_is_a_failure_of_the_provider() -> Result<()> {
    for broken in [
        Misbehaviour::Garbage,
        Misbehaviour::CutBody { bytes: 9 },
        Misbehaviour::FailAfter { status: 200, body: "[]".into() },
        Misbehaviour::FailAfter {
            status: 200,
            body: r#"[{"paymentMethodId":"BTC-LN","destination":null}]"#.into(),
        },
    ] {
        let world = start().await?;
        let owner = Owner::new(&world, DID, "alice").await?;
        let deps = wire(&world).await?;
        world.sandbox.faults().add(methods_of(&owner), When::Always, broken)?;
        let call = owner.call(&order()).header("idempotency-key", "one");
        let answer = send(&deps, &call).await?;
        assert!(matches!(answer.error(), (502, "UPSTREAM_FAILED") | (503, "UNAVAILABLE")), "{answer:?}");
        assert!(answer.header("retry-after").is_some());
        nothing_is_shown(&world, &answer).await?;
        world.sandbox.faults().clear();
        paid_by(&send(&deps, &call).await?)?;
        assert_eq!(owner.at_btcpay(&world), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_invoice_stays_refused_under_its_key_until_it_could_have_been_paid() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    owner.node.set_network(Network::Mainnet);
    let call = owner.call(&order()).header("idempotency-key", "one");
    for _ in 0..3 {
        is_refused(&world, &send(&deps, &call).await?, "of another network").await?;
    }
    assert_eq!(owner.at_btcpay(&world), 1, "no repeat makes another");
    owner.node.set_network(Network::Regtest);
    super::ten_minutes_pass(&world).await?;
    let answer = send(&deps, &call).await?;
    paid_by(&answer)?;
    assert_eq!((owner.at_btcpay(&world), answer.header("idempotent-replayed")), (2, None));
    Ok(())
}
