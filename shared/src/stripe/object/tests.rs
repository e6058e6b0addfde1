use serde_json::json;
use time::macros::datetime;
use uuid::Uuid;

use super::super::tests::object;
use super::*;

const OURS: Uuid = Uuid::from_u128(0x019b_a2a0_b600_7000_8000_0000_0000_0001);

fn ours(n: u128) -> Uuid {
    Uuid::from_u128(OURS.as_u128() - 1 + n)
}

#[expect(clippy::unnecessary_wraps, reason = "what stands in most of the fields compared here")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The object, with members replaced or, by a null, taken away.
fn changed(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { unreachable!() };
    object.as_object_mut().unwrap().extend(members);
    object
}

macro_rules! read {
    ($kind:ident, $value:expr) => {
        match Object::read(&$value).unwrap() {
            Object::$kind(object) => object,
            other => panic!("{other:?}"),
        }
    };
}

macro_rules! recorded {
    ($kind:ident, $name:expr) => {
        match object($name) {
            Object::$kind(object) => object,
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn a_checkout_session_is_read() {
    let expected = CheckoutSession {
        id: "cs_test_a1SatchelSession0001".into(),
        reference: Some(OURS),
        named_by_payer: false,
        mode: "payment".into(),
        status: some("complete"),
        payment_status: "paid".into(),
        payment_intent: some("pi_3SatchelPayment0001"),
        subscription: None,
        amount: Some(2500),
        currency: some("usd"),
    };
    assert_eq!(recorded!(CheckoutSession, "checkout.session.completed"), expected);
    let old = recorded!(CheckoutSession, "checkout.session.completed.old");
    assert_eq!(old, CheckoutSession { status: None, ..expected }, "expanded, and a number as text");
    let unpaid = recorded!(CheckoutSession, "checkout.session.expired");
    assert_eq!((unpaid.payment_intent, unpaid.payment_status.as_str()), (None, "unpaid"));
}

#[test]
fn the_reference_is_the_metadatas_or_else_the_clients() {
    let reference = |members| {
        let session =
            json!({"id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid"});
        read!(CheckoutSession, changed(session, members)).reference
    };
    let (ours, other) = (OURS.to_string(), ours(2).to_string());
    assert_eq!(
        reference(json!({"metadata": {"payment_id": ours}, "client_reference_id": other})),
        Some(OURS)
    );
    assert_eq!(reference(json!({"metadata": {}, "client_reference_id": ours})), Some(OURS));
    assert_eq!(reference(json!({"metadata": {"payment_id": "42"}, "client_reference_id": ours})), Some(OURS));
    assert_eq!(reference(json!({"metadata": {"payment_id": ours.to_uppercase()}})), Some(OURS));
    for strange in [
        json!({}),
        json!({"metadata": null, "client_reference_id": null}),
        json!({"metadata": "x", "client_reference_id": 5}),
        json!({"metadata": {"payment_id": {}}, "client_reference_id": ""}),
        json!({"client_reference_id": format!("{{{ours}}}")}),
        json!({"client_reference_id": ours.replace('-', "")}),
        json!({"client_reference_id": format!("{}z", &ours[1..])}),
    ] {
        assert_eq!(reference(strange.clone()), None, "{strange}");
    }
}

#[test]
fn a_payment_intent_is_read() {
    let expected = PaymentIntent {
        id: "pi_3SatchelPayment0001".into(),
        reference: Some(OURS),
        status: "succeeded".into(),
        failed: false,
        amount: 2500,
        amount_received: 2500,
        currency: "usd".into(),
        latest_charge: some("ch_3SatchelPayment0001"),
        created_at: datetime!(2026-01-09 12:00 UTC),
    };
    assert_eq!(recorded!(PaymentIntent, "payment_intent.succeeded"), expected);
    let failed = recorded!(PaymentIntent, "payment_intent.payment_failed");
    assert_eq!((failed.failed, failed.status.as_str()), (true, "requires_payment_method"));
}

#[test]
fn a_payment_intent_of_before_2022_names_its_charges() {
    let old = recorded!(PaymentIntent, "payment_intent.succeeded.old");
    assert_eq!(old.latest_charge, some("py_1SatchelOldCharge0007"));
    let old = recorded!(PaymentIntent, "payment_intent.payment_failed.old");
    assert_eq!((old.latest_charge, old.status.as_str(), old.failed), (None, "requires_payment_method", true));
}

#[test]
fn a_charge_is_read() {
    let expected = Charge {
        id: "ch_3SatchelPayment0001".into(),
        reference: Some(OURS),
        payment_intent: some("pi_3SatchelPayment0001"),
        status: "succeeded".into(),
        paid: true,
        captured: true,
        amount: 2500,
        amount_captured: 2500,
        amount_refunded: 500,
        currency: "usd".into(),
        refunds: Vec::new(),
        created_at: datetime!(2026-01-09 12:00:59 UTC),
    };
    assert_eq!(recorded!(Charge, "charge.refunded"), expected);
}

#[test]
fn a_charge_of_before_2022_brings_its_refunds() {
    let charge = recorded!(Charge, "charge.refunded.old");
    assert_eq!((charge.amount, charge.amount_captured, charge.amount_refunded), (2500, 2500, 1000));
    let refund = Refund {
        id: "re_1SatchelOldRefund0007".into(),
        reference: None,
        payment_intent: None,
        charge: some("py_1SatchelOldCharge0007"),
        status: "succeeded".into(),
        amount: 1000,
        currency: "usd".into(),
        created_at: datetime!(2026-01-09 12:16:40 UTC),
    };
    assert_eq!(charge.refunds, std::slice::from_ref(&refund));
    assert_eq!(recorded!(Refund, "refund.updated.old"), refund);
}

#[test]
fn what_very_old_charges_do_not_say_follows_from_what_they_do() {
    let charge =
        json!({"id": "ch_1", "object": "charge", "amount": 5, "currency": "USD", "created": 1, "paid": true});
    let read = |members| read!(Charge, changed(charge.clone(), members));
    let whole = read(json!({}));
    assert_eq!(whole.status, "succeeded");
    assert_eq!((whole.captured, whole.amount_captured, whole.currency.as_str()), (true, 5, "usd"));
    assert_eq!(read(json!({"status": "paid"})).status, "succeeded");
    assert_eq!(read(json!({"captured": false})).amount_captured, 0);
    let failed = read(json!({"paid": false}));
    assert_eq!((failed.status.as_str(), failed.amount_captured), ("failed", 0));
    let refunds = json!({"refunds": [{"id": "re_1", "amount": 5, "currency": "usd", "created": 2}]});
    assert_eq!(read(refunds).refunds.len(), 1, "a plain list");
}

#[test]
fn a_refund_is_read() {
    let refund = recorded!(Refund, "refund.failed");
    assert_eq!(refund.status, "failed");
    assert_eq!(refund.payment_intent, some("pi_3SatchelPayment0001"));
    let expanded = json!({"id": "re_1", "object": "refund", "charge": {"id": "ch_1", "object": "charge"}, "amount": "5",
        "payment_intent": {"id": "pi_1"}, "currency": "usd", "created": 1, "metadata": {"payment_id": OURS}});
    let refund = read!(Refund, expanded);
    assert_eq!((refund.charge, refund.payment_intent), (some("ch_1"), some("pi_1")));
    assert_eq!((refund.reference, refund.amount), (Some(OURS), 5));
}

#[test]
fn a_dispute_tells_what_it_did_to_the_balance() {
    let dispute = recorded!(Dispute, "charge.dispute.funds_reinstated");
    assert_eq!((dispute.status.as_str(), dispute.amount), ("won", 2500));
    let withdrawn = Movement {
        id: "txn_1SatchelWithdrawal0001".into(),
        amount: -2500,
        fee: 1500,
        currency: "usd".into(),
        created_at: datetime!(2026-01-09 13:23:21 UTC),
    };
    let reinstated = Movement {
        id: "txn_1SatchelReinstated0001".into(),
        amount: 2500,
        fee: 0,
        currency: "usd".into(),
        created_at: datetime!(2026-01-09 14:30:01 UTC),
    };
    assert_eq!(dispute.movements, [withdrawn, reinstated]);
    let old = recorded!(Dispute, "charge.dispute.created.old");
    assert_eq!((old.charge.as_str(), old.payment_intent), ("py_1SatchelOldCharge0007", None));
    let ids = json!({"id": "dp_1", "object": "dispute", "charge": "ch_1", "status": "lost", "amount": 1,
        "currency": "usd", "balance_transactions": ["txn_1"]});
    assert_eq!(read!(Dispute, ids).movements, []);
}

#[test]
fn a_fraud_warning_is_read() {
    let warning = recorded!(FraudWarning, "radar.early_fraud_warning.created");
    assert_eq!(
        (warning.charge.as_str(), warning.payment_intent),
        ("ch_3SatchelPayment0001", some("pi_3SatchelPayment0001"))
    );
}

#[test]
fn a_subscription_is_paid_for_until_its_last_item_is() {
    let expected = Subscription {
        id: "sub_1SatchelSubscription0001".into(),
        reference: Some(ours(6)),
        customer: some("cus_SatchelCustomer0001"),
        status: "active".into(),
        cancel_at_period_end: false,
        current_period_end_at: Some(datetime!(2026-02-08 12:00 UTC)),
        canceled_at: None,
    };
    assert_eq!(recorded!(Subscription, "customer.subscription.updated"), expected);
    let old = recorded!(Subscription, "customer.subscription.updated.old");
    let expected = Subscription { status: "past_due".into(), cancel_at_period_end: true, ..expected };
    assert_eq!(old, expected, "at the top, and the customer expanded");
    let gone = recorded!(Subscription, "customer.subscription.deleted");
    assert_eq!(gone.canceled_at, Some(datetime!(2026-01-29 12:00 UTC)));
    let ends = |items| {
        let subscription =
            json!({"id": "sub_1", "object": "subscription", "status": "active", "items": items});
        read!(Subscription, subscription).current_period_end_at.map(time::OffsetDateTime::unix_timestamp)
    };
    assert_eq!(
        ends(
            json!({"data": [{"current_period_end": 5}, {}, {"current_period_end": "7"}, {"current_period_end": 6}]})
        ),
        Some(7)
    );
    assert_eq!(ends(json!({"data": []})), None);
    assert_eq!(ends(json!(null)), None);
}

#[test]
fn an_invoice_knows_its_subscription_wherever_the_version_puts_it() {
    let expected = Invoice {
        id: "in_1SatchelInvoice0001".into(),
        subscription: some("sub_1SatchelSubscription0001"),
        payment_intent: None,
        status: "paid".into(),
        amount_paid: 2000,
        currency: "usd".into(),
    };
    assert_eq!(recorded!(Invoice, "invoice.paid"), expected);
    let old = recorded!(Invoice, "invoice.paid.old");
    assert_eq!(old, Invoice { payment_intent: some("pi_3SatchelPayment0006"), ..expected });
    let old = recorded!(Invoice, "invoice.payment_failed.old");
    assert_eq!((old.payment_intent, old.status.as_str()), (some("pi_3SatchelPayment0006"), "open"));
}

#[test]
fn an_invoice_names_the_payment_that_paid_it() {
    let intent = |payments| {
        let invoice = json!({"id": "in_1", "object": "invoice", "amount_paid": 1, "currency": "usd", "payments": payments});
        read!(Invoice, invoice).payment_intent
    };
    let payment =
        |status, id| json!({"status": status, "payment": {"type": "payment_intent", "payment_intent": id}});
    let two = json!({"data": [payment("open", "pi_1"), payment("paid", "pi_2"), payment("paid", "pi_3")]});
    assert_eq!(intent(two), some("pi_2"));
    assert_eq!(intent(json!({"data": [payment("open", "pi_1"), payment("canceled", "pi_2")]})), some("pi_1"));
    assert_eq!(intent(json!({"data": [{"payment": {"type": "charge", "charge": "ch_1"}}]})), None);
    assert_eq!(intent(json!({"data": []})), None);
}

#[test]
fn an_invoice_without_a_status_is_paid_or_open() {
    let status = |paid| {
        let invoice =
            json!({"id": "in_1", "object": "invoice", "amount_paid": 1, "currency": "usd", "paid": paid});
        read!(Invoice, invoice).status
    };
    assert_eq!(
        (status(Some(true)), status(Some(false)), status(None)),
        ("paid".into(), "open".into(), "open".into())
    );
}

#[test]
fn a_payout_is_read() {
    let expected = Payout {
        id: "po_1SatchelPayout0001".into(),
        status: "failed".into(),
        amount: 2250,
        currency: "usd".into(),
        arrival_at: Some(datetime!(2026-01-11 12:00 UTC)),
        failure_code: some("account_closed"),
        created_at: datetime!(2026-01-10 12:00 UTC),
    };
    assert_eq!(recorded!(Payout, "payout.failed"), expected);
    let old = recorded!(Payout, "payout.paid.old");
    assert_eq!(old, Payout { status: "paid".into(), failure_code: None, ..expected });
}

#[test]
fn a_fee_and_a_transfer_tell_what_was_given_back() {
    let fee = recorded!(ApplicationFee, "application_fee.refunded");
    assert_eq!((fee.charge.as_str(), fee.amount), ("ch_3SatchelPayment0001", 250));
    let reversal = |id: &str, amount| Reversal {
        id: id.into(),
        amount,
        currency: "usd".into(),
        created_at: datetime!(2026-01-09 12:16:41 UTC),
    };
    assert_eq!(fee.refunds, [reversal("fr_1SatchelFeeRefund0001", 50)]);
    let transfer = recorded!(Transfer, "transfer.reversed");
    assert_eq!((transfer.destination, transfer.amount), (some("acct_1SatchelSeller0001"), 2500));
    assert_eq!(transfer.reversals, [reversal("trr_1SatchelReversal0001", 500)]);
    assert_eq!(recorded!(Transfer, "transfer.created").reversals, []);
}

#[test]
fn what_is_there_and_cannot_be_read_is_an_error_and_no_absence() {
    let intent = json!({"id": "pi_1", "object": "payment_intent", "status": "processing", "amount": 5, "currency": "usd", "created": 1});
    assert!(Object::read(&intent).is_ok());
    for (members, name) in [
        (json!({"id": null}), "id"),
        (json!({"id": ""}), "id"),
        (json!({"id": "pi_\u{0}"}), "id"),
        (json!({"status": null}), "status"),
        (json!({"status": "two words"}), "status"),
        (json!({"amount": null}), "amount"),
        (json!({"amount": 1.5}), "amount"),
        (json!({"amount": "1.5"}), "amount"),
        (json!({"amount": "9223372036854775808"}), "amount"),
        (json!({"amount": true}), "amount"),
        (json!({"amount_received": "many"}), "amount_received"),
        (json!({"currency": "us dollar"}), "currency"),
        (json!({"currency": 840}), "currency"),
        (json!({"created": "x"}), "created"),
        (json!({"created": 253_402_300_800_i64}), "created"),
        (json!({"latest_charge": 5}), "latest_charge"),
        (json!({"latest_charge": {"object": "charge"}}), "latest_charge"),
        (json!({"latest_charge": ["ch_1"]}), "latest_charge"),
        (json!({"charges": "ch_1"}), "charges"),
        (json!({"charges": {"data": [{"object": "charge"}]}}), "id"),
    ] {
        let error = Object::read(&changed(intent.clone(), members.clone())).unwrap_err();
        assert_eq!(error, Unreadable::Member(name), "{members}");
    }
    for other in [
        json!({"object": "coupon", "id": "x"}),
        json!({"id": "x"}),
        json!(["pi_1"]),
        json!("pi_1"),
        json!(null),
    ] {
        assert_eq!(Object::read(&other), Err(Unreadable::Kind), "{other}");
    }
}
