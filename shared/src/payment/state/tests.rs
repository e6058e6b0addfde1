//! What a payment is, by what its objects are: each row of the tables by itself, and in any order.

use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::*;

const SECOND: OffsetDateTime = datetime!(2026-01-09 12:00 UTC);

fn object(kind: Kind, id: &str, status: &str, amount_minor: i64) -> ObjectState {
    ObjectState {
        kind,
        object_id: id.to_owned(),
        root_id: String::from("pi_1"),
        status: status.to_owned(),
        amount_minor,
        refunded_minor: 0,
        currency: Some(String::from("usd")),
        was_expired: status == "expired",
        seen_at: SECOND,
    }
}

fn session(status: &str) -> ObjectState {
    object(Kind::CheckoutSession, "cs_1", status, 1_000)
}

fn intent(status: &str) -> ObjectState {
    object(Kind::PaymentIntent, "pi_1", status, 1_000)
}

fn charge(status: &str, refunded_minor: i64) -> ObjectState {
    ObjectState { refunded_minor, ..object(Kind::Charge, "ch_1", status, 1_000) }
}

fn refund(id: &str, status: &str, amount: i64) -> ObjectState {
    object(Kind::Refund, id, status, amount)
}

fn dispute(status: &str) -> ObjectState {
    object(Kind::Dispute, "dp_1", status, 1_000)
}

/// Each is an attempt of its own.
fn invoice_of(id: &str, status: &str) -> ObjectState {
    ObjectState { root_id: id.to_owned(), ..object(Kind::BtcpayInvoice, id, status, 1_000) }
}

fn invoice(status: &str) -> ObjectState {
    invoice_of("i1", status)
}

/// Of another attempt.
fn another(nth: u32, mut object: ObjectState) -> ObjectState {
    object.root_id = format!("pi_{nth}");
    object.object_id = object.object_id.replace("_1", &format!("_{nth}"));
    object
}

fn after(seconds: i64, mut object: ObjectState) -> ObjectState {
    object.seen_at += Duration::seconds(seconds);
    object
}

fn expired_before(mut object: ObjectState) -> ObjectState {
    object.was_expired = true;
    object
}

/// Every order of up to four objects; of more, each rotated and turned around.
fn orders(objects: &[ObjectState]) -> Vec<Vec<ObjectState>> {
    let mut orders = vec![objects.to_vec()];
    if objects.len() > 4 {
        for by in 0..objects.len() {
            let mut order = objects.to_vec();
            order.rotate_left(by);
            orders.push(order.iter().rev().cloned().collect());
            orders.push(order);
        }
        return orders;
    }
    for place in 1..objects.len() {
        let shorter = std::mem::take(&mut orders);
        for order in shorter {
            orders.extend((0..=place).map(|other| {
                let mut order = order.clone();
                order.swap(place, other);
                order
            }));
        }
    }
    orders
}

fn derived(objects: &[ObjectState]) -> Derived {
    let derived = derive(objects, "usd");
    for order in orders(objects) {
        assert_eq!(derive(&order, "usd"), derived, "{order:#?}");
    }
    derived
}

#[track_caller]
fn is(objects: &[ObjectState], state: PaymentState, (received, refunded): (i64, i64)) {
    let found = derived(objects);
    assert_eq!(
        (found.state, found.received_minor, found.refunded_minor),
        (state, received, refunded),
        "{objects:#?}"
    );
}

#[test]
fn of_nothing_and_of_what_tells_nothing_it_is_created() {
    is(&[], PaymentState::Created, (0, 0));
    is(&[intent("a_status_of_tomorrow")], PaymentState::Created, (0, 0));
    is(&[charge("failed", 0)], PaymentState::Created, (0, 0));
    is(&[object(Kind::Invoice, "in_1", "paid", 1_000)], PaymentState::Created, (0, 0));
}

#[test]
fn what_waits_for_its_payer_is_open() {
    for objects in [
        vec![session("open")],
        vec![intent("open")],
        vec![invoice("open")],
        vec![session("open"), intent("open")],
    ] {
        is(&objects, PaymentState::Open, (0, 0));
    }
}

#[test]
fn what_the_payer_has_done_their_part_of_is_processing() {
    for one in [session("processing"), intent("processing"), charge("processing", 0)] {
        is(&[session("open"), one], PaymentState::Processing, (0, 0));
    }
    is(&[invoice("processing")], PaymentState::Processing, (0, 0));
    is(&[session("expired"), intent("processing")], PaymentState::Processing, (0, 0));
}

#[test]
fn what_did_not_work_is_failed_however_open_it_still_is() {
    for one in [intent("failed"), intent("canceled"), session("failed")] {
        is(&[session("open"), charge("failed", 0), one.clone()], PaymentState::Failed, (0, 0));
        is(&[session("processing"), one], PaymentState::Failed, (0, 0));
    }
    is(&[invoice("invalid")], PaymentState::Failed, (0, 0));
    is(&[invoice("invalid_marked")], PaymentState::Failed, (0, 0));
}

#[test]
fn what_nobody_paid_in_time_is_expired() {
    is(&[session("expired")], PaymentState::Expired, (0, 0));
    is(&[invoice("expired")], PaymentState::Expired, (0, 0));
    is(&[session("expired"), intent("open")], PaymentState::Expired, (0, 0));
    is(&[session("expired"), intent("failed"), charge("failed", 0)], PaymentState::Expired, (0, 0));
    is(&[session("expired"), intent("canceled")], PaymentState::Expired, (0, 0));
    assert!(!derived(&[session("expired")]).late, "late is only what was paid");
}

#[test]
fn of_several_attempts_the_one_that_was_paid_counts_then_one_under_way_then_the_last() {
    let second = |one| another(2, one);
    for other in ["open", "failed", "processing", "canceled"] {
        is(&[intent(other), second(intent("succeeded"))], PaymentState::Paid, (1_000, 0));
    }
    for other in ["open", "failed", "canceled"] {
        is(&[intent(other), second(intent("processing"))], PaymentState::Processing, (0, 0));
    }
    is(&[session("expired"), intent("failed"), second(intent("open"))], PaymentState::Open, (0, 0));
    is(&[session("expired"), after(5, second(intent("failed")))], PaymentState::Failed, (0, 0));
    is(&[after(5, session("expired")), second(intent("failed"))], PaymentState::Expired, (0, 0));
    // Of one second one of them, and always the same.
    is(&[session("expired"), second(intent("failed"))], PaymentState::Expired, (0, 0));
    is(&[invoice("expired"), invoice_of("i2", "open")], PaymentState::Open, (0, 0));
    is(&[invoice("expired"), invoice_of("i2", "settled")], PaymentState::Paid, (1_000, 0));
}

#[test]
fn an_amount_in_another_currency_is_no_money_of_this_payment() {
    let foreign = |one| ObjectState { currency: Some(String::from("eur")), ..one };
    is(&[intent("succeeded"), foreign(refund("re_1", "succeeded", 400))], PaymentState::Paid, (1_000, 0));
    is(&[intent("succeeded"), foreign(another(2, intent("succeeded")))], PaymentState::Paid, (1_000, 0));
    // What does not say its currency is taken to be of the payment's.
    let silent = ObjectState { currency: None, ..refund("re_1", "succeeded", 400) };
    is(&[intent("succeeded"), silent], PaymentState::PartiallyRefunded, (1_000, 400));
}

#[test]
fn what_any_object_says_was_paid_is_paid() {
    is(&[intent("succeeded")], PaymentState::Paid, (1_000, 0));
    is(&[charge("succeeded", 0)], PaymentState::Paid, (1_000, 0));
    is(&[invoice("settled")], PaymentState::Paid, (1_000, 0));
    is(
        &[session("open"), intent("failed"), charge("failed", 0), intent("succeeded")],
        PaymentState::Paid,
        (1_000, 0),
    );
    // The session says that it was, and not how much: its intent will.
    is(&[session("paid")], PaymentState::Paid, (0, 0));
    is(&[session("paid"), intent("succeeded"), charge("succeeded", 0)], PaymentState::Paid, (1_000, 0));
}

#[test]
fn a_charge_counts_by_its_intent_where_that_is_known() {
    is(&[intent("open"), charge("succeeded", 0)], PaymentState::Paid, (0, 0));
    let alone =
        ObjectState { root_id: String::from("ch_2"), ..object(Kind::Charge, "ch_2", "succeeded", 500) };
    is(&[intent("succeeded"), charge("succeeded", 0), alone], PaymentState::Paid, (1_500, 0));
}

#[test]
fn two_invoices_of_one_order_are_both_money() {
    is(&[invoice("settled"), invoice_of("i2", "settled")], PaymentState::Paid, (2_000, 0));
}

#[test]
fn what_went_back_in_part_is_partially_refunded() {
    for status in ["pending", "requires_action", "succeeded", "a_status_of_tomorrow"] {
        is(
            &[intent("succeeded"), refund("re_1", status, 400)],
            PaymentState::PartiallyRefunded,
            (1_000, 400),
        );
    }
    let two = [refund("re_1", "succeeded", 400), refund("re_2", "pending", 599)];
    is(&[vec![intent("succeeded")], two.to_vec()].concat(), PaymentState::PartiallyRefunded, (1_000, 999));
}

#[test]
fn what_went_back_as_a_whole_is_refunded() {
    is(&[intent("succeeded"), refund("re_1", "succeeded", 1_000)], PaymentState::Refunded, (1_000, 1_000));
    let two = [refund("re_1", "succeeded", 400), refund("re_2", "succeeded", 600)];
    is(&[vec![intent("succeeded")], two.to_vec()].concat(), PaymentState::Refunded, (1_000, 1_000));
    // A refund whose payment has not been told yet.
    is(&[session("paid"), refund("re_1", "succeeded", 1_000)], PaymentState::Refunded, (0, 1_000));
}

#[test]
fn a_refund_that_failed_did_not_go_back() {
    for status in ["failed", "canceled"] {
        is(&[intent("succeeded"), refund("re_1", status, 400)], PaymentState::Paid, (1_000, 0));
        let other = refund("re_2", "succeeded", 300);
        is(
            &[intent("succeeded"), refund("re_1", status, 400), other],
            PaymentState::PartiallyRefunded,
            (1_000, 300),
        );
    }
}

#[test]
fn a_charge_is_believed_where_it_knows_of_refunds_that_were_not_told() {
    is(&[intent("succeeded"), charge("succeeded", 400)], PaymentState::PartiallyRefunded, (1_000, 400));
    is(
        &[intent("succeeded"), charge("succeeded", 1_000), refund("re_1", "succeeded", 400)],
        PaymentState::Refunded,
        (1_000, 1_000),
    );
    // And a refund where the charge was described before it.
    is(
        &[intent("succeeded"), charge("succeeded", 0), refund("re_1", "succeeded", 400)],
        PaymentState::PartiallyRefunded,
        (1_000, 400),
    );
}

#[test]
fn what_failed_after_the_charge_was_described_is_taken_from_its_sum() {
    let failed = |seconds| after(seconds, refund("re_1", "failed", 400));
    is(&[intent("succeeded"), charge("succeeded", 400), failed(1)], PaymentState::Paid, (1_000, 0));
    is(&[intent("succeeded"), charge("succeeded", 400), failed(0)], PaymentState::Paid, (1_000, 0));
    // The charge was described after that: what it sums up is something else.
    is(
        &[intent("succeeded"), charge("succeeded", 400), failed(-1)],
        PaymentState::PartiallyRefunded,
        (1_000, 400),
    );
    // Another charge's refund says nothing of this one.
    let others = ObjectState { root_id: String::from("pi_2"), ..failed(1) };
    is(
        &[intent("succeeded"), charge("succeeded", 400), others],
        PaymentState::PartiallyRefunded,
        (1_000, 400),
    );
    // An authorisation that was let go is no refund.
    is(&[intent("canceled"), charge("processing", 1_000)], PaymentState::Failed, (0, 0));
    // Never less than nothing.
    is(&[intent("succeeded"), charge("succeeded", 300), failed(1)], PaymentState::Paid, (1_000, 0));
}

#[test]
fn what_the_bank_is_asked_about_is_disputed_whatever_was_refunded() {
    for status in ["needs_response", "under_review", "appeal_needs_response", "appeal_under_review"] {
        is(&[intent("succeeded"), dispute(status)], PaymentState::Disputed, (1_000, 0));
        is(
            &[intent("succeeded"), refund("re_1", "succeeded", 1_000), dispute(status)],
            PaymentState::Disputed,
            (1_000, 1_000),
        );
    }
}

#[test]
fn an_inquiry_and_a_dispute_that_ended_well_leave_it_as_it_was() {
    for status in
        ["warning_needs_response", "warning_under_review", "warning_closed", "prevented", "won", "new"]
    {
        is(&[intent("succeeded"), dispute(status)], PaymentState::Paid, (1_000, 0));
        is(
            &[intent("succeeded"), refund("re_1", "succeeded", 400), dispute(status)],
            PaymentState::PartiallyRefunded,
            (1_000, 400),
        );
    }
}

#[test]
fn one_lost_dispute_outweighs_every_other() {
    let other = |status| ObjectState { object_id: String::from("dp_2"), ..dispute(status) };
    for status in ["won", "under_review", "appeal_under_review"] {
        is(&[intent("succeeded"), dispute("lost"), other(status)], PaymentState::DisputeLost, (1_000, 0));
    }
    is(
        &[intent("succeeded"), dispute("lost"), refund("re_1", "succeeded", 400)],
        PaymentState::DisputeLost,
        (1_000, 400),
    );
}

#[test]
fn of_what_was_not_paid_neither_refund_nor_dispute_changes_the_state() {
    is(&[session("open"), refund("re_1", "succeeded", 400), dispute("lost")], PaymentState::Open, (0, 400));
}

#[test]
fn late_is_what_was_paid_after_it_had_expired() {
    assert!(derived(&[expired_before(invoice("settled"))]).late);
    assert!(derived(&[expired_before(invoice("settled_marked"))]).late);
    assert!(derived(&[expired_before(session("paid")), intent("succeeded")]).late);
    assert!(derived(&[expired_before(session("paid")), refund("re_1", "succeeded", 400)]).late);
    assert!(!derived(&[invoice("settled")]).late);
    assert!(!derived(&[session("paid"), intent("succeeded")]).late);
    // Another invoice was made for the same order, and left to expire.
    let left = invoice_of("i2", "expired");
    assert!(!derived(&[left.clone(), invoice("settled")]).late);
    assert!(derived(&[left, expired_before(invoice("settled"))]).late);
}

#[test]
fn what_somebody_settled_by_hand_is_paid_and_no_money() {
    let by_hand = derived(&[invoice("settled_marked")]);
    assert_eq!(
        (by_hand.state, by_hand.received_minor, by_hand.manually_marked),
        (PaymentState::Paid, 0, true)
    );
    let voided = derived(&[invoice("invalid_marked")]);
    assert_eq!((voided.state, voided.manually_marked), (PaymentState::Failed, true));
    for status in ["open", "processing", "expired", "invalid", "settled"] {
        assert!(!derived(&[invoice(status)]).manually_marked, "{status}");
    }
}

#[test]
fn a_subscription_that_was_bought_is_paid_and_entitles_by_itself() {
    let bought = derived(&[session("subscribed")]);
    assert_eq!((bought.state, bought.entitled), (PaymentState::Paid, false));
    assert!(derived(&[session("paid")]).entitled);
    assert!(!derived(&[session("open")]).entitled);
    assert!(!derived(&[intent("succeeded"), dispute("lost")]).entitled);
}

#[test]
fn every_state_has_its_name_its_due_and_its_end() {
    use PaymentState as S;
    // Whether it is the payer's to have, and whether nobody needs to be asked any more.
    let told = |state: S| (state.name(), state.entitles(), state.is_settled());
    let expected = [
        ("created", false, false),
        ("open", false, false),
        ("processing", false, false),
        ("failed", false, false),
        ("expired", false, false),
        ("paid", true, true),
        ("partially_refunded", true, true),
        ("refunded", false, true),
        ("disputed", true, true),
        ("dispute_lost", false, true),
    ];
    assert_eq!(S::ALL.map(told), expected);
    for state in S::ALL {
        assert_eq!(S::parse(state.name()), Some(state));
    }
    assert_eq!(S::parse("settled"), None);
}
