//! Answers of BTCPay that never came, and the repeats that find what was made.

use create_invoice::Deps;
use sandbox::{Misbehaviour, Route, Service, When};
use testing::{Call, Outcome, Result, World};
use time::Duration;

use super::{DID, NAME, Owner, nothing_is_shown, order, paid_by, rows, send, start};

/// Less patience than BTCPay takes when it stalls.
async fn impatient(world: &World) -> Result<Deps> {
    world.wire_with(NAME, &[("UPSTREAM_TIMEOUT_MILLISECONDS", "500")], Deps::wire).await
}

fn creating() -> Route {
    Route::service(Service::Btcpay).method("POST")
}

fn reading() -> Route {
    Route::service(Service::Btcpay).method("GET")
}

fn is_trouble(answer: &Outcome) -> Result<()> {
    let told = answer.refusal()?;
    assert!(matches!(told, (502, "UPSTREAM_FAILED") | (503, "UNAVAILABLE")), "{answer:?}");
    let seconds = answer.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1), "{answer:?}");
    for said in ["btcpay", "BTCPAY", "lightning", "500"] {
        assert!(!answer.reply.body.contains(said), "the provider's words: {answer:?}");
    }
    Ok(())
}

fn keyed(owner: &Owner) -> Call {
    owner.call(&order()).header("idempotency-key", "one")
}

#[tokio::test]
async fn an_invoice_whose_answer_was_lost_is_found_again_by_the_repeat() -> Result<()> {
    for lost in [
        Misbehaviour::FailAfter { status: 500, body: "out of order".into() },
        Misbehaviour::FailAfter { status: 504, body: String::new() },
        Misbehaviour::StallAfter { millis: 1_500 },
        Misbehaviour::CutBody { bytes: 20 },
        Misbehaviour::Garbage,
        Misbehaviour::CloseAfter,
    ] {
        let world = start().await?;
        let owner = Owner::new(&world, DID, "alice").await?;
        let deps = impatient(&world).await?;
        world.sandbox.faults().add(creating(), When::Times(1), lost.clone())?;
        let answer = send(&deps, &keyed(&owner)).await?;
        is_trouble(&answer)?;
        nothing_is_shown(&world, &answer).await?;
        assert_eq!(rows(&world, "invoices WHERE state = 'creating'").await?, 1);

        let again = send(&deps, &keyed(&owner)).await?;
        paid_by(&again)?;
        assert_eq!(again.header("idempotent-replayed"), None);
        assert_eq!(owner.at_btcpay(&world), 1, "{lost:?}");
        assert_eq!(rows(&world, "invoices").await?, 1);
        let third = send(&deps, &keyed(&owner)).await?;
        assert_eq!((third.header("idempotent-replayed"), &third.body), (Some("true"), &again.body));
    }
    Ok(())
}

#[tokio::test]
async fn an_invoice_that_was_not_made_is_made_by_the_repeat() -> Result<()> {
    for before in [
        Misbehaviour::FailBefore { status: 500, body: String::new() },
        Misbehaviour::FailBefore { status: 422, body: r#"[{"path":"amount","message":"no"}]"#.into() },
        Misbehaviour::FailBefore { status: 401, body: r#"{"code":"unauthenticated","message":"no"}"#.into() },
        Misbehaviour::Stall { millis: 60_000 },
        Misbehaviour::RateLimited { retry_after: 7 },
    ] {
        let world = start().await?;
        let owner = Owner::new(&world, DID, "alice").await?;
        let deps = impatient(&world).await?;
        world.sandbox.faults().add(creating(), When::Always, before.clone())?;
        let answer = send(&deps, &keyed(&owner)).await?;
        is_trouble(&answer)?;
        if matches!(before, Misbehaviour::RateLimited { .. }) {
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("7")));
        }
        assert_eq!(owner.at_btcpay(&world), 0);
        world.sandbox.faults().clear();
        paid_by(&send(&deps, &keyed(&owner)).await?)?;
        assert_eq!(owner.at_btcpay(&world), 1, "{before:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_key_a_lost_invoice_stays_lost_and_is_never_shown() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = impatient(&world).await?;
    world.sandbox.faults().add(creating(), When::Times(1), Misbehaviour::CloseAfter)?;
    is_trouble(&send(&deps, &owner.call(&order())).await?)?;
    let again = send(&deps, &owner.call(&order())).await?;
    paid_by(&again)?;
    let made = world.sandbox.btcpay().invoices(&owner.store.id);
    assert_eq!(made.len(), 2);
    assert_eq!(made[1].order_id, again.text("/invoice_id")?);
    Ok(())
}

#[tokio::test]
async fn an_invoice_whose_payment_request_was_lost_is_not_made_again() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = impatient(&world).await?;
    world.sandbox.faults().add(
        reading(),
        When::Always,
        Misbehaviour::FailBefore { status: 503, body: String::new() },
    )?;
    for _ in 0..2 {
        is_trouble(&send(&deps, &keyed(&owner)).await?)?;
    }
    world.sandbox.faults().clear();
    paid_by(&send(&deps, &keyed(&owner)).await?)?;
    assert_eq!(owner.at_btcpay(&world), 1);
    Ok(())
}

#[tokio::test]
async fn of_two_that_were_made_late_the_oldest_is_shown() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = impatient(&world).await?;
    world.sandbox.faults().add(creating(), When::Times(1), Misbehaviour::Duplicate)?;
    world.sandbox.faults().add(
        reading(),
        When::Times(3),
        Misbehaviour::FailBefore { status: 503, body: String::new() },
    )?;
    is_trouble(&send(&deps, &keyed(&owner)).await?)?;
    assert_eq!(owner.at_btcpay(&world), 2);
    // BTCPay's times are whole seconds, so that the ids may have to decide.
    let answer = send(&deps, &keyed(&owner)).await?;
    paid_by(&answer)?;
    let made = world.sandbox.btcpay().invoices(&owner.store.id);
    assert!(made.iter().any(|invoice| invoice.bolt11.as_deref() == answer.text("/bolt11").ok()));
    assert_eq!(made.iter().filter(|invoice| invoice.bolt11.is_some()).count(), 1, "{made:?}");
    assert_eq!(send(&deps, &keyed(&owner)).await?.body, answer.body);
    assert_eq!(owner.at_btcpay(&world), 2);
    Ok(())
}

#[tokio::test]
async fn an_invoice_nobody_saw_before_its_time_was_up_is_made_anew() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = impatient(&world).await?;
    world.sandbox.faults().add(creating(), When::Times(1), Misbehaviour::CloseAfter)?;
    is_trouble(&send(&deps, &keyed(&owner)).await?)?;
    super::ten_minutes_pass(&world).await?;
    let answer = send(&deps, &keyed(&owner)).await?;
    paid_by(&answer)?;
    assert_eq!((owner.at_btcpay(&world), rows(&world, "invoices").await?), (2, 2));
    assert_eq!(rows(&world, "invoices WHERE idempotency_key = 'one' AND state = 'open'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_request_that_died_holds_its_key_no_longer_than_its_lease() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = impatient(&world).await?;
    world.sandbox.faults().add(creating(), When::Times(1), Misbehaviour::StallAfter { millis: 400 })?;
    let call = keyed(&owner);
    let dying = send(&deps, &call);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), dying).await.is_err());
    assert_eq!(send(&deps, &call).await?.refusal()?, (409, "IDEMPOTENCY_IN_PROGRESS"));
    world.advance(Duration::seconds(31));
    paid_by(&send(&deps, &call).await?)?;
    assert_eq!(owner.at_btcpay(&world), 1);
    assert_eq!(rows(&world, "invoices WHERE lease_token = 2").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_request_whose_lease_was_taken_over_shows_nothing() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("UPSTREAM_TIMEOUT_MILLISECONDS", "5000")], Deps::wire).await?;
    world.sandbox.faults().add(creating(), When::Times(1), Misbehaviour::StallAfter { millis: 1_000 })?;
    let call = keyed(&owner);
    let taking_over = async {
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        world.advance(Duration::seconds(31));
        send(&deps, &call).await
    };
    let (slow, quick) = tokio::join!(send(&deps, &call), taking_over);
    paid_by(&quick?)?;
    assert_eq!(slow?.refusal()?, (409, "IDEMPOTENCY_IN_PROGRESS"));
    assert_eq!((owner.at_btcpay(&world), rows(&world, "audit_logs").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn while_btcpay_is_away_callers_are_told_to_come_back_and_soon_at_once() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = impatient(&world).await?;
    world.sandbox.faults().away(Service::Btcpay);
    let mut asked = Vec::new();
    for _ in 0..25 {
        let answer = send(&deps, &owner.call(&order())).await?;
        is_trouble(&answer)?;
        asked.push(world.sandbox.calls_to(Service::Btcpay, "/btcpay/api/v1/stores/"));
        if let [.., before, now] = asked.as_slice()
            && before == now
        {
            assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
        }
    }
    assert_eq!(asked[22..].iter().collect::<std::collections::BTreeSet<_>>().len(), 1, "{asked:?}");
    world.sandbox.faults().back(Service::Btcpay);
    world.advance(Duration::seconds(20));
    paid_by(&send(&deps, &owner.call(&order())).await?)?;
    Ok(())
}
