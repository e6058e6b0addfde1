//! Events that are in order about objects that are not.

use serde_json::{Value, json};
use testing::{Result, World};

use super::{
    AMOUNT, event, fate, intent, kept_body, paid, payment_id, payments, rows, told, wire, with, without,
};

/// The largest amount that is one: larger ones are not whole in every reader of JSON.
const MOST: i64 = 1 << 53;

/// Tells of the object with this changed, and returns how the row ended.
async fn after(world: &World, name: &str, pointer: &str, value: Value) -> Result<String> {
    let event = event(name, "payment_intent.succeeded", &with(intent(name), pointer, value));
    told(world, &wire(world).await?, &event).await?;
    assert_eq!(kept_body(world, &format!("evt_{name}")).await?, event.to_string().as_bytes(), "{name}");
    Ok(match fate(world, &format!("evt_{name}")).await? {
        (state, None) => state,
        (state, Some(code)) => format!("{state} {code}"),
    })
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_what_can_is_done() -> Result<()> {
    let world = World::start().await?;
    let (done, dead) = ("done", "dead UNREADABLE");
    let cases = [
        ("amount_text", "/amount", json!("2500"), done),
        ("amount_zero", "/amount", json!(0), done),
        ("amount_most", "/amount", json!(MOST), done),
        ("amount_more", "/amount", json!(MOST + 1), dead),
        ("amount_negative", "/amount", json!(-1), done),
        ("amount_least", "/amount", json!(-MOST), done),
        ("amount_less", "/amount", json!(-MOST - 1), dead),
        ("amount_last", "/amount", json!(i64::MAX), dead),
        ("amount_first", "/amount", json!(i64::MIN), dead),
        ("amount_beyond", "/amount", json!(u64::MAX), dead),
        ("amount_far_beyond", "/amount", json!(1e30), dead),
        ("amount_text_beyond", "/amount", json!("99999999999999999999"), dead),
        ("amount_fraction", "/amount", json!(10.5), dead),
        ("amount_words", "/amount", json!("ten"), dead),
        ("amount_blank", "/amount", json!(" 10"), dead),
        ("amount_list", "/amount", json!([2500]), dead),
        ("amount_flag", "/amount", json!(true), dead),
        ("received_most", "/amount_received", json!(MOST), done),
        ("received_least", "/amount_received", json!(-MOST), done),
        ("received_beyond", "/amount_received", json!(u64::MAX), dead),
        ("status_new", "/status", json!("half_succeeded"), done),
        ("status_odd", "/status", json!("SUCCEEDED!"), done),
        ("status_zero", "/status", json!("succ\0eeded"), dead),
        ("status_number", "/status", json!(7), dead),
        ("status_none", "/status", json!(null), dead),
        ("currency_capitals", "/currency", json!("USD"), done),
        ("currency_new", "/currency", json!("usdc"), done),
        ("currency_long", "/currency", json!("dollars_of_ours"), dead),
        ("currency_zero", "/currency", json!("us\0"), dead),
        ("currency_none", "/currency", json!(null), dead),
        ("charge_expanded", "/latest_charge", json!({ "id": "ch_x", "object": "charge" }), done),
        ("charge_odd", "/latest_charge", json!(7), dead),
        ("charge_zero", "/latest_charge", json!("ch_\0"), dead),
        ("metadata_none", "/metadata", json!(null), done),
        ("metadata_list", "/metadata", json!(["a"]), done),
        ("metadata_text", "/metadata", json!("payment_id"), done),
        ("reference_words", "/metadata/payment_id", json!("'; DROP TABLE payments; --"), done),
        ("reference_zero", "/metadata/payment_id", json!("\0"), done),
        ("reference_list", "/metadata/payment_id", json!([payment_id("1")]), done),
        ("reference_nil", "/metadata/payment_id", json!("00000000-0000-0000-0000-000000000000"), done),
        ("text_zero", "/description", json!("a\0b"), done),
        ("text_odd", "/description", json!("\u{202e}\u{1f600}\u{feff}\u{7f}"), done),
        ("time_far", "/created", json!(13_569_465_599_i64), done),
        ("time_too_far", "/created", json!(253_402_300_799_i64), dead),
        ("time_too_early", "/created", json!(-1), dead),
        ("time_before_databases", "/created", json!(-377_705_116_800_i64), dead),
        ("time_beyond", "/created", json!(i64::MIN), dead),
        ("kind_new", "/object", json!("payment_intention"), dead),
        ("kind_of_another", "/object", json!("charge"), dead),
        ("kind_none", "/object", json!(null), dead),
    ];
    let mut told = 0;
    for (name, pointer, value, expected) in cases {
        assert_eq!(after(&world, name, pointer, value).await?, expected, "{name}");
        told += 1;
    }
    assert_eq!(rows(&world, "webhook_events").await?, told);
    assert_eq!(rows(&world, "webhook_events WHERE state NOT IN ('done', 'dead')").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_object_of_another_kind_than_its_type_says_is_no_money_of_ours() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let deps = wire(&world).await?;
    let customer =
        json!({ "id": "cus_1", "object": "customer", "metadata": { "payment_id": payment_id("1") } });
    told(&world, &deps, &event("1", "payment_intent.succeeded", &customer)).await?;
    told(&world, &deps, &event("2", "charge.succeeded", &json!({}))).await?;
    assert_eq!(
        rows(&world, "webhook_events WHERE state = 'dead' AND last_error_code = 'UNREADABLE'").await?,
        2
    );
    assert_eq!(
        (rows(&world, "ledger").await?, rows(&world, "payments WHERE state = 'created'").await?),
        (0, 1)
    );
    Ok(())
}

#[tokio::test]
async fn a_payment_of_another_currency_or_account_stays_as_it_is() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let deps = wire(&world).await?;
    told(&world, &deps, &with(paid("1"), "/data/object/currency", json!("jpy"))).await?;
    let elsewhere = with(with(paid("1"), "/account", json!("acct_1Somebody")), "/id", json!("evt_2"));
    told(&world, &deps, &elsewhere).await?;
    assert_eq!(rows(&world, "webhook_events WHERE state = 'done'").await?, 2);
    assert_eq!(rows(&world, "payments WHERE state = 'created' AND NOT entitled").await?, 1);
    assert_eq!(rows(&world, "payment_objects WHERE payment_id IS NULL").await?, 2);
    Ok(())
}

#[tokio::test]
async fn sums_of_the_largest_amounts_end_no_process_and_lose_no_event() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let deps = wire(&world).await?;
    told(&world, &deps, &paid("1")).await?;
    let refund = |nth: &str, amount: i64| {
        json!({
            "id": format!("re_{nth}"), "object": "refund", "status": "succeeded", "amount": amount, "currency": "usd",
            "created": 1_767_960_001, "payment_intent": "pi_1", "charge": "ch_1", "metadata": {},
        })
    };
    let charge = |nth: &str, refunded: i64| {
        json!({
            "id": format!("ch_{nth}"), "object": "charge", "status": "succeeded", "paid": true, "captured": true,
            "amount": MOST, "amount_captured": MOST, "amount_refunded": refunded, "currency": "usd",
            "created": 1_767_960_000, "payment_intent": null, "metadata": { "payment_id": payment_id("1") },
        })
    };
    let events = [
        event("a", "refund.created", &refund("1", MOST)),
        event("b", "refund.created", &refund("2", MOST)),
        event("c", "refund.created", &refund("3", -MOST)),
        event("d", "charge.refunded", &charge("2", MOST)),
        event("e", "charge.refunded", &charge("3", MOST)),
        event("f", "charge.refunded", &charge("4", -MOST)),
        event("g", "refund.failed", &with(refund("1", MOST), "/status", json!("failed"))),
        event(
            "h",
            "charge.dispute.closed",
            &json!({
                "id": "dp_1", "object": "dispute", "status": "lost", "amount": -MOST, "currency": "usd", "charge": "ch_1",
                "payment_intent": "pi_1", "created": 1_767_960_002, "balance_transactions": [
                    { "id": "txn_1", "object": "balance_transaction", "amount": -MOST, "currency": "usd", "fee": -MOST,
                      "created": 1_767_960_002 },
                    { "id": "txn_2", "object": "balance_transaction", "amount": MOST, "currency": "usd", "fee": MOST,
                      "created": 1_767_960_002 }],
            }),
        ),
        event(
            "i",
            "payout.failed",
            &json!({
                "id": "po_1", "object": "payout", "status": "failed", "amount": -MOST, "currency": "usd",
                "arrival_date": 1_767_960_002, "created": 1_767_960_002, "failure_code": "account_closed",
            }),
        ),
        event(
            "j",
            "application_fee.refunded",
            &json!({
                "id": "fee_1", "object": "application_fee", "charge": "ch_1", "amount": MOST, "currency": "usd",
                "created": 1_767_960_002, "refunds": { "object": "list", "data": [
                    { "id": "fr_1", "amount": -MOST, "currency": "usd", "created": 1_767_960_003 }] },
            }),
        ),
        event(
            "k",
            "transfer.reversed",
            &json!({
                "id": "tr_1", "object": "transfer", "amount": -MOST, "currency": "usd", "created": 1_767_960_002,
                "destination": "acct_1", "reversals": { "object": "list", "data": [
                    { "id": "trr_1", "amount": -MOST, "currency": "usd", "created": 1_767_960_003 }] },
            }),
        ),
    ];
    for event in &events {
        told(&world, &deps, event).await?;
    }
    assert_eq!(rows(&world, "webhook_events").await?, 12);
    assert_eq!(rows(&world, "webhook_events WHERE state = 'done'").await?, 12);
    Ok(())
}

#[tokio::test]
async fn the_members_that_matter_may_be_missing_one_by_one() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let members: Vec<String> =
        intent("x").as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    for (nth, member) in members.iter().enumerate() {
        told(&world, &deps, &without(paid(&nth.to_string()), &format!("/data/object/{member}"))).await?;
    }
    let settled =
        rows(&world, "webhook_events WHERE state = 'done' OR last_error_code = 'UNREADABLE'").await?;
    assert_eq!(settled, i64::try_from(members.len())?);
    let whole = format!("ledger WHERE amount_minor <> {AMOUNT}");
    assert_eq!(rows(&world, &whole).await?, 0);
    Ok(())
}
