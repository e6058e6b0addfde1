//! Five events of one object each, as Stripe would tell them. `name` makes every id of one telling its own: it ends in
//! twelve digits, and so does our payment's.

use serde_json::{Value, json};
use uuid::Uuid;

pub const AMOUNT: i64 = 1_000;
pub const BEGIN: i64 = 1_767_960_000;

/// Our payment in this telling.
pub fn payment_id(name: &str) -> Uuid {
    format!("019b9f5e-5c00-7000-8000-{name}").parse().unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "what is told is made for the telling")]
pub fn event(name: &str, nth: i64, kind: &str, object: Value) -> Value {
    json!({
        "id": format!("evt_{kind}{nth}_{name}").replace('.', ""),
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": BEGIN + nth,
        "livemode": false,
        "pending_webhooks": 1,
        "request": null,
        "type": kind,
        "data": { "object": object },
    })
}

pub fn session(name: &str, status: &str, payment_status: &str, intent: bool) -> Value {
    json!({
        "id": format!("cs_{name}"), "object": "checkout.session", "mode": "payment", "status": status,
        "payment_status": payment_status, "amount_total": AMOUNT, "currency": "usd",
        "client_reference_id": payment_id(name), "metadata": {}, "subscription": null,
        "payment_intent": if intent { json!(format!("pi_{name}")) } else { Value::Null },
    })
}

pub fn intent(name: &str, status: &str) -> Value {
    json!({
        "id": format!("pi_{name}"), "object": "payment_intent", "status": status, "amount": AMOUNT,
        "amount_received": if status == "succeeded" { AMOUNT } else { 0 }, "currency": "usd", "created": BEGIN,
        "latest_charge": format!("ch_{name}"), "metadata": { "payment_id": payment_id(name) },
        "last_payment_error": null,
    })
}

pub fn charge(name: &str, refunded: i64) -> Value {
    json!({
        "id": format!("ch_{name}"), "object": "charge", "status": "succeeded", "paid": true, "captured": true,
        "amount": AMOUNT, "amount_captured": AMOUNT, "amount_refunded": refunded, "currency": "usd",
        "created": BEGIN, "payment_intent": format!("pi_{name}"), "metadata": {},
    })
}

pub fn refund(name: &str, status: &str) -> Value {
    json!({
        "id": format!("re_{name}"), "object": "refund", "status": status, "amount": 400, "currency": "usd",
        "created": BEGIN + 1, "payment_intent": format!("pi_{name}"), "charge": format!("ch_{name}"), "metadata": {},
    })
}

pub fn dispute(name: &str, status: &str, moved: &[(&str, i64)]) -> Value {
    let moved = moved.iter().map(|(which, amount)| {
        json!({
            "id": format!("txn_{which}_{name}"), "object": "balance_transaction", "amount": amount, "currency": "usd",
            "fee": if *amount < 0 { 1_500 } else { 0 }, "created": BEGIN + 2,
        })
    });
    json!({
        "id": format!("dp_{name}"), "object": "dispute", "status": status, "amount": AMOUNT, "currency": "usd",
        "charge": format!("ch_{name}"), "payment_intent": format!("pi_{name}"),
        "balance_transactions": moved.collect::<Vec<_>>(), "created": BEGIN + 2, "reason": "fraudulent",
    })
}

pub fn subscription(name: &str, status: &str) -> Value {
    json!({
        "id": format!("sub_{name}"), "object": "subscription", "status": status, "customer": "cus_1",
        "cancel_at_period_end": false, "created": BEGIN, "metadata": { "payment_id": payment_id(name) },
        "items": { "object": "list", "data": [{ "id": "si_1", "current_period_end": BEGIN + 2_592_000 }] },
    })
}

pub fn payout(name: &str, status: &str) -> Value {
    json!({
        "id": format!("po_{name}"), "object": "payout", "status": status, "amount": 900, "currency": "usd",
        "arrival_date": BEGIN + 86_400, "created": BEGIN,
        "failure_code": if status == "failed" { json!("account_closed") } else { Value::Null },
    })
}

/// A checkout that is paid by a method that takes its time; two of its events are of the same second.
pub fn checkout(name: &str) -> [Value; 5] {
    [
        event(name, 1, "payment_intent.requires_action", intent(name, "requires_action")),
        event(name, 2, "payment_intent.processing", intent(name, "processing")),
        event(name, 2, "checkout.session.completed", session(name, "complete", "unpaid", true)),
        event(name, 3, "payment_intent.succeeded", intent(name, "succeeded")),
        event(name, 3, "checkout.session.async_payment_succeeded", session(name, "complete", "paid", true)),
    ]
}

/// A refund that was believed to have succeeded and failed after all.
pub fn refunded(name: &str) -> [Value; 5] {
    [
        event(name, 0, "payment_intent.succeeded", intent(name, "succeeded")),
        event(name, 1, "refund.created", refund(name, "pending")),
        event(name, 1, "charge.refunded", charge(name, 400)),
        event(name, 2, "refund.updated", refund(name, "succeeded")),
        event(name, 3, "refund.failed", refund(name, "failed")),
    ]
}

/// A dispute that is won: the money goes and comes back.
pub fn disputed(name: &str) -> [Value; 5] {
    let gone = [("out", -AMOUNT)];
    let back = [("out", -AMOUNT), ("in", AMOUNT)];
    [
        event(name, 0, "payment_intent.succeeded", intent(name, "succeeded")),
        event(name, 1, "charge.dispute.created", dispute(name, "needs_response", &[])),
        event(name, 1, "charge.dispute.funds_withdrawn", dispute(name, "needs_response", &gone)),
        event(name, 2, "charge.dispute.updated", dispute(name, "under_review", &gone)),
        event(name, 3, "charge.dispute.closed", dispute(name, "won", &back)),
    ]
}

/// A subscription from its first second to its end.
pub fn subscribed(name: &str) -> [Value; 5] {
    [
        event(name, 0, "customer.subscription.created", subscription(name, "incomplete")),
        event(name, 0, "customer.subscription.updated", subscription(name, "active")),
        event(name, 5, "customer.subscription.updated", subscription(name, "past_due")),
        event(name, 6, "customer.subscription.updated", subscription(name, "active")),
        event(name, 9, "customer.subscription.deleted", subscription(name, "canceled")),
    ]
}

/// A payout that was paid and came back.
pub fn paid_out(name: &str) -> [Value; 5] {
    [
        event(name, 0, "payout.created", payout(name, "pending")),
        event(name, 1, "payout.updated", payout(name, "in_transit")),
        event(name, 2, "payout.paid", payout(name, "paid")),
        event(name, 2, "payout.reconciliation_completed", payout(name, "paid")),
        event(name, 3, "payout.failed", payout(name, "failed")),
    ]
}
