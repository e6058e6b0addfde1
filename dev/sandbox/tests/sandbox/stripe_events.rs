//! `GET /v1/events`, and the histories a test may put into any order.

use sandbox::stripe::Event;
use serde_json::{Value, json};

use crate::stripe::{text, world};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().into_iter().flatten().map(|event| text(&event["id"])).collect()
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn events_are_paged_newest_first() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    stripe.stop_clock(1_800_000_000);
    for _ in 0..7 {
        stripe.emit(None, "balance.available", json!({"object": "balance"}));
    }
    stripe.step_clock(5);
    let last = stripe.emit(None, "balance.available", json!({"object": "balance"}));
    let all = ids(&api.get("/v1/events?limit=100").await?);
    let mut made: Vec<String> = stripe.events().into_iter().map(|event| event.id).collect();
    made.reverse();
    assert_eq!((all.clone(), all.first()), (made, Some(&last)));
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/events?limit=3{after}")).await?;
        seen.extend(ids(&page));
        after = format!("&starting_after={}", seen.last().map(String::as_str).unwrap_or_default());
        if page["has_more"] == false {
            break;
        }
        assert_eq!(ids(&page).len(), 3);
    }
    assert_eq!(seen, all);
    let before = api.get(&format!("/v1/events?limit=2&ending_before={}", all[5])).await?;
    assert_eq!(ids(&before), all[3..5], "those next to it");
    assert_eq!(api.ask("GET", "/v1/events?starting_after=evt_none", "").await?.0, 400);
    assert_eq!(api.ask("GET", "/v1/events?limit=101", "").await?.0, 400);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn events_are_narrowed_down_by_type_and_time() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let start = 1_800_000_000;
    stripe.stop_clock(start);
    for kind in ["charge.succeeded", "payout.paid", "payout.failed"] {
        stripe.emit(None, kind, json!({"id": kind}));
        stripe.step_clock(10);
    }
    for (query, expected) in [
        ("types[]=charge.succeeded&types[]=payout.failed".to_owned(), 2),
        ("type=payout.*".to_owned(), 2),
        ("type=payout.paid".to_owned(), 1),
        (format!("created[gte]={}", start + 10), 2),
        (format!("created[gt]={}", start + 10), 1),
        (format!("created[lt]={}", start + 10), 1),
        (format!("created[lte]={}", start + 10), 2),
        (format!("created={}", start + 10), 1),
        (format!("created[gte]={start}&created[lt]={}&types[]=payout.paid", start + 20), 1),
        ("delivery_success=false".to_owned(), 0),
    ] {
        assert_eq!(ids(&api.get(&format!("/v1/events?{query}")).await?).len(), expected, "{query}");
    }
    stripe.step_clock(30 * 86_400 - 15);
    assert_eq!(ids(&api.get("/v1/events").await?).len(), 1, "after thirty days they are gone");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_payment_refunded_and_disputed_has_one_history() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let (session, other) = (api.session().await?, api.session().await?);
    stripe.decline(&session)?;
    stripe.pay_later(&session)?;
    stripe.succeed(&session)?;
    stripe.pay(&other)?;
    let refund = stripe.refund(&session, Some(500))?;
    stripe.fail_refund(&refund)?;
    let dispute = stripe.dispute(&session)?;
    stripe.move_dispute(&dispute, "under_review")?;
    stripe.move_dispute(&dispute, "won")?;
    let events = stripe.events_of(&session);
    let expected = [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "charge.pending",
        "payment_intent.processing",
        "checkout.session.completed",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.async_payment_succeeded",
        "refund.created",
        "charge.refunded",
        "refund.failed",
        "refund.updated",
        "charge.refund.updated",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ];
    assert_eq!(kinds(&events), expected);
    let object = |at: usize| -> Value {
        serde_json::from_slice::<Value>(&events[at].body).unwrap_or_default()["data"]["object"].clone()
    };
    assert_eq!(object(5)["payment_status"], json!("unpaid"), "a snapshot stays what it was");
    assert_eq!(object(8)["payment_status"], json!("paid"));
    assert_eq!((&object(9)["status"], &object(11)["status"]), (&json!("succeeded"), &json!("failed")));
    assert_eq!((&object(9)["charge"], &object(14)["charge"]), (&object(6)["id"], &object(6)["id"]));
    assert_eq!(stripe.object(&text(&object(6)["id"])).unwrap_or_default()["amount_refunded"], json!(0));
    let moved = |at: usize| -> Vec<i64> {
        let all = object(at)["balance_transactions"].as_array().cloned().unwrap_or_default();
        assert!(all.iter().all(|one| text(&one["id"]).starts_with("txn_") && one["fee"].is_i64()));
        all.iter().filter_map(|one| one["amount"].as_i64()).collect()
    };
    assert_eq!((moved(14), moved(18)), (vec![-2000], vec![-2000, 2000]));
    let inquiry = stripe.inquire(&other)?;
    assert_eq!(stripe.object(&inquiry).unwrap_or_default()["balance_transactions"], json!([]));
    stripe.move_dispute(&inquiry, "needs_response")?;
    stripe.move_dispute(&inquiry, "lost")?;
    assert!(stripe.move_dispute(&inquiry, "under_review").is_err(), "it is over");
    let last: Vec<_> = stripe.events_of(&inquiry).iter().map(|event| event.kind.clone()).collect();
    let expected = ["created", "updated", "funds_withdrawn", "closed"];
    assert_eq!(last, expected.map(|what| format!("charge.dispute.{what}")));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn payouts_and_subscriptions_have_their_histories() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let seller = stripe.add_account();
    let payout = stripe.add_payout(Some(&seller), 900, "usd");
    for status in ["in_transit", "paid", "failed"] {
        stripe.move_payout(&payout, status)?;
    }
    assert!(stripe.move_payout(&payout, "paid").is_err(), "what has failed has failed");
    let events = stripe.events_of(&payout);
    let expected = ["created", "updated", "updated", "paid", "updated", "failed"];
    assert_eq!(kinds(&events), expected.map(|what| format!("payout.{what}")));
    assert!(events.iter().all(|event| event.account.as_deref() == Some(&seller)));
    let new = "mode=subscription&success_url=https%3A%2F%2Fa.test&line_items[0][price_data][currency]=usd\
        &line_items[0][price_data][unit_amount]=1000&line_items[0][price_data][product_data][name]=Tea\
        &line_items[0][price_data][recurring][interval]=month&line_items[0][quantity]=1";
    let session = api.make("/v1/checkout/sessions", new).await?;
    stripe.pay(&session)?;
    let subscription = text(&stripe.object(&session).unwrap_or_default()["subscription"]);
    stripe.renew(&subscription, false)?;
    let status = |id: &str| text(&stripe.object(id).unwrap_or_default()["status"]);
    assert_eq!(status(&subscription), "past_due");
    let invoice = text(&stripe.object(&subscription).unwrap_or_default()["latest_invoice"]);
    stripe.pay(&invoice)?;
    assert_eq!((status(&subscription), status(&invoice)), ("active".to_owned(), "paid".to_owned()));
    stripe.set_subscription(&subscription, "paused")?;
    stripe.set_subscription(&subscription, "active")?;
    api.ask("DELETE", &format!("/v1/subscriptions/{subscription}"), "").await?;
    let all = stripe.events_of(&subscription);
    let all = kinds(&all);
    let of = |begin: &str| -> Vec<&str> { all.iter().filter_map(|kind| kind.strip_prefix(begin)).collect() };
    let expected = ["created", "updated", "updated", "updated", "updated", "paused", "resumed", "deleted"];
    assert_eq!(of("customer.subscription."), expected);
    let (first, then) = (["created", "finalized", "payment_succeeded", "paid"], ["created", "finalized"]);
    let last = ["payment_failed", "payment_succeeded", "paid"];
    assert_eq!(of("invoice."), [&first[..], &then[..], &last[..]].concat());
    assert!(stripe.events_of(&session).iter().any(|event| event.kind == "invoice.paid"));
    sandbox.stop().await;
    Ok(())
}
