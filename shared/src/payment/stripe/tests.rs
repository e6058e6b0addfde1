use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::stripe::Object;

/// What is said of a charge of 1,000 of which so much was captured; with it come the refunds within.
fn said(captured: Option<i64>, refunded: i64, refunds: &[i64]) -> Vec<Snapshot> {
    let within: Vec<Value> = refunds
        .iter()
        .enumerate()
        .map(|(nth, amount)| {
            json!({ "id": format!("re_{nth}"), "object": "refund", "amount": amount, "currency": "usd", "charge": "ch_1",
                    "status": "succeeded", "created": 1_767_960_000 })
        })
        .collect();
    let object = json!({
        "id": "ch_1", "object": "charge", "status": "succeeded", "paid": true, "captured": captured.is_some(),
        "amount": 1_000, "amount_captured": captured.unwrap_or(0), "amount_refunded": refunded, "currency": "usd",
        "created": 1_767_960_000, "refunds": { "object": "list", "data": within },
    });
    let Ok(Object::Charge(read)) = Object::read(&object) else { panic!("no charge: {object}") };
    charge(&read, datetime!(2026-01-09 12:00 UTC))
}

/// What went back by the charge's own sum, and the refunds within that are told on.
fn refunds(captured: Option<i64>, refunded: i64, within: &[i64]) -> (i64, Vec<i64>) {
    let said = said(captured, refunded, within);
    let of = |kind| said.iter().filter(move |word| word.kind == kind);
    let sum = of(Kind::Charge).map(|charge| charge.refunded_minor).sum();
    (sum, of(Kind::Refund).map(|refund| refund.amount_minor).collect())
}

#[test]
fn what_was_authorised_and_not_captured_is_no_refund() {
    // Four hundred of a thousand captured: Stripe lists the rest as refunded.
    assert_eq!(refunds(Some(400), 600, &[600]), (0, vec![]));
    assert_eq!(refunds(Some(400), 601, &[600, 1]), (1, vec![1]));
    assert_eq!(refunds(Some(400), 1_000, &[600, 400]), (400, vec![400]));
    // Let go altogether.
    assert_eq!(refunds(None, 1_000, &[1_000]), (0, vec![]));
    // And captured altogether, whatever went back.
    assert_eq!(refunds(Some(1_000), 0, &[]), (0, vec![]));
    assert_eq!(refunds(Some(1_000), 600, &[600]), (600, vec![600]));
    assert_eq!(refunds(Some(1_000), 600, &[300, 300]), (600, vec![300, 300]));
}

#[test]
fn a_reference_only_we_can_write_asks_for_no_amount() {
    let told = |members: Value| {
        let mut object = json!({
            "id": "cs_1", "object": "checkout.session", "mode": "payment", "status": "complete",
            "payment_status": "paid", "amount_total": 100, "currency": "usd",
        });
        for (name, value) in members.as_object().into_iter().flatten() {
            object[name] = value.clone();
        }
        let Ok(Object::CheckoutSession(read)) = Object::read(&object) else { panic!("no session: {object}") };
        session(&read, "checkout.session.completed", datetime!(2026-01-09 12:00 UTC))
    };
    let id = "019b9f5e-5c00-7000-8000-000000000001";
    let ours = told(json!({ "metadata": { "payment_id": id } }));
    assert_eq!((ours.reference.is_some(), ours.asked_minor), (true, None));
    // On a payment link this is the payer's to choose.
    let theirs = told(json!({ "client_reference_id": id, "metadata": {} }));
    assert_eq!((theirs.reference.is_some(), theirs.asked_minor), (true, Some(100)));
}
