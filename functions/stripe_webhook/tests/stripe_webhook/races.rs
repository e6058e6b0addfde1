//! Many copies at once, on a real Postgres.

use futures_util::future::join_all;
use serde_json::{Value, json};
use stripe_webhook::Deps;
use testing::{Call, Outcome, Result, World};

use super::{
    AMOUNT, NAME, PLATFORM, each_is_paid_once, event, intent, paid, payment_id, payments, rows, send, signed,
    with,
};

/// Ids, and copies of each.
fn how_many() -> (usize, usize) {
    #[expect(clippy::disallowed_methods, reason = "tests are told by the environment how long to take")]
    if std::env::var("SATCHEL_FULL").is_ok_and(|full| full == "1") { (50, 200) } else { (10, 60) }
}

/// By two processes' worth of connections, and answered by each in its own order.
async fn all_at_once(world: &World, calls: &[Call]) -> Result<Vec<Outcome>> {
    let pool = [("DATABASE_POOL_SIZE", "10")];
    let deps =
        [world.wire_with(NAME, &pool, Deps::wire).await?, world.wire_with(NAME, &pool, Deps::wire).await?];
    let sent = calls.iter().enumerate().map(|(nth, call)| send(&deps[nth % 2], call));
    join_all(sent).await.into_iter().collect()
}

#[tokio::test]
async fn of_many_copies_of_many_events_at_once_each_counts_once() -> Result<()> {
    let world = World::start().await?;
    let (ids, copies) = how_many();
    let names: Vec<String> = (0..ids).map(|nth| format!("{nth}")).collect();
    payments(&world, "", &names).await?;
    let calls: Vec<Call> =
        (0..ids * copies).map(|nth| signed(&world, PLATFORM, paid(&names[nth % ids]).to_string())).collect();
    let answers = all_at_once(&world, &calls).await?;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, ids * copies, "{:?}", answers.iter().find(|answer| answer.status != 200));
    each_is_paid_once(&world, i64::try_from(ids)?).await
}

#[tokio::test]
async fn of_many_copies_of_one_event_at_once_one_counts() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let calls: Vec<Call> = (0..200).map(|_| signed(&world, PLATFORM, paid("1").to_string())).collect();
    let answers = all_at_once(&world, &calls).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    each_is_paid_once(&world, 1).await
}

#[tokio::test]
async fn many_events_of_one_payment_at_once_are_all_kept_and_count_once() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let tell = |nth: usize| {
        let event = with(paid("1"), "/id", json!(format!("evt_{nth}")));
        signed(&world, PLATFORM, event.to_string())
    };
    let calls: Vec<Call> = (0..60).map(tell).collect();
    let answers = all_at_once(&world, &calls).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    for (table, expected) in [
        ("webhook_events WHERE state = 'done'", 60),
        ("payments WHERE state = 'paid' AND version = 1", 1),
        ("ledger", 1),
        ("outbox", 1),
    ] {
        assert_eq!(rows(&world, table).await?, expected, "{table}");
    }
    Ok(())
}

/// What Stripe tells of one sale, each part with an object of its own, and all of them of one payment.
fn sale(name: &str) -> [Value; 5] {
    let common = json!({
        "currency": "usd", "created": 1_767_960_000, "metadata": { "payment_id": payment_id(name) },
        "payment_intent": format!("pi_{name}"), "charge": format!("ch_{name}"),
    });
    let object = |kind: &str, id: &str, members: Value| {
        let mut object = common.clone();
        object["object"] = json!(kind);
        object["id"] = json!(format!("{id}_{name}"));
        for (member, value) in members.as_object().into_iter().flatten() {
            object[member] = value.clone();
        }
        object
    };
    let session =
        json!({ "mode": "payment", "status": "complete", "payment_status": "paid", "amount_total": AMOUNT });
    let charge = json!({
        "status": "succeeded", "paid": true, "captured": true, "amount": AMOUNT, "amount_captured": AMOUNT,
        "amount_refunded": 0,
    });
    let refund = json!({ "status": "succeeded", "amount": 400 });
    let dispute = json!({ "status": "needs_response", "amount": AMOUNT, "balance_transactions": [] });
    [
        event(&format!("a{name}"), "checkout.session.completed", &object("checkout.session", "cs", session)),
        event(&format!("b{name}"), "payment_intent.succeeded", &intent(name)),
        event(&format!("c{name}"), "charge.succeeded", &object("charge", "ch", charge)),
        event(&format!("d{name}"), "refund.created", &object("refund", "re", refund)),
        event(&format!("e{name}"), "charge.dispute.created", &object("dispute", "dp", dispute)),
    ]
}

#[tokio::test]
async fn all_that_is_told_of_a_sale_at_once_waits_for_nothing_and_counts_once() -> Result<()> {
    let world = World::start().await?;
    let names: Vec<String> = (0..8).map(|nth| nth.to_string()).collect();
    payments(&world, "", &names).await?;
    let events: Vec<Value> = names.iter().flat_map(|name| sale(name)).collect();
    // Every event seven times, neighbours far apart: 280 and 37 have no divisor in common.
    let calls: Vec<Call> = (0..events.len() * 7)
        .map(|nth| signed(&world, PLATFORM, events[nth * 37 % 280 % events.len()].to_string()))
        .collect();
    let answers = all_at_once(&world, &calls).await?;
    let bad = answers.iter().find(|answer| answer.status != 200);
    assert!(bad.is_none(), "{bad:?}");
    for (table, expected) in [
        ("webhook_events WHERE state = 'done' AND last_error_code IS NULL", 40),
        ("webhook_events", 40),
        ("payment_objects WHERE payment_id IS NOT NULL", 40),
        ("payment_objects", 40),
        ("payments WHERE state = 'disputed' AND received_minor = 2500 AND refunded_minor = 400", 8),
        ("ledger WHERE kind = 'payment'", 8),
        ("ledger WHERE kind = 'refund'", 8),
        ("ledger", 16),
    ] {
        assert_eq!(rows(&world, table).await?, expected, "{table}");
    }
    Ok(())
}
