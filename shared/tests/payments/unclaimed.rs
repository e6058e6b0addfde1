//! What is told before our own row is there, or of what is nobody's.

use serde_json::{Value, json};
use testing::Result;

use crate::scene::{Books, Scene};
use crate::story::{self, AMOUNT};

const NAME: &str = "000000000001";

fn objects_without_payment(books: &Books) -> usize {
    books["objects"].iter().filter(|row| row.split(' ').nth(3) == Some("f")).count()
}

/// A checkout, its charge and its refund.
fn events() -> Vec<Value> {
    let mut events = story::checkout(NAME).to_vec();
    events.extend(story::refunded(NAME));
    events
}

#[tokio::test]
async fn told_before_our_own_row_it_is_kept_and_settled_by_the_job_once_that_is_there() -> Result<()> {
    let scene = Scene::start(1).await?;
    for event in events() {
        scene.tell(&event).await?;
    }
    let before = scene.books(NAME).await?;
    assert_eq!((objects_without_payment(&before), before["objects"].len()), (4, 4), "{before:#?}");
    assert_eq!(scene.claim().await?, 0);

    scene.payment(story::payment_id(NAME), AMOUNT).await?;
    assert!(scene.claim().await? > 0);

    let late = scene.books(NAME).await?;
    assert_eq!(late["payments"], ["paid 1000 0 f f t"]);
    assert_eq!(late["entitled"].len(), 1);
    assert_eq!(late["ledger"], before["ledger"], "what moved was written when it was told");
    assert_eq!(objects_without_payment(&late), 0, "{late:#?}");
    assert_eq!(scene.claim().await?, 0, "once is enough");
    Ok(())
}

#[tokio::test]
async fn the_next_event_finds_our_own_row_without_the_job() -> Result<()> {
    let scene = Scene::start(1).await?;
    let events = events();
    let (last, rest) = events.split_last().ok_or_else(|| anyhow::anyhow!("no events"))?;
    for event in rest {
        scene.tell(event).await?;
    }
    scene.payment(story::payment_id(NAME), AMOUNT).await?;
    scene.tell(last).await?;
    let books = scene.books(NAME).await?;
    assert_eq!(
        (books["payments"].as_slice(), objects_without_payment(&books)),
        (&["paid 1000 0 f f t".to_owned()][..], 0)
    );
    Ok(())
}

#[tokio::test]
async fn a_row_of_another_provider_account_or_currency_claims_nothing() -> Result<()> {
    for (place, (source, asked)) in [
        (("btcpay", "store"), ("usd", AMOUNT)),
        (("stripe", "acct_1"), ("usd", AMOUNT)),
        (("stripe", ""), ("eur", AMOUNT)),
    ]
    .into_iter()
    .enumerate()
    {
        for row_first in [true, false] {
            let scene = Scene::start(1).await?;
            if row_first {
                scene.payment_of(story::payment_id(NAME), source, asked).await?;
            }
            for event in events() {
                scene.tell(&event).await?;
            }
            if !row_first {
                scene.payment_of(story::payment_id(NAME), source, asked).await?;
            }
            assert_eq!(scene.claim().await?, 0, "row {place}");
            let books = scene.books(NAME).await?;
            assert_eq!(books["payments"], ["created 0 0 f f f"], "row {place}");
            assert_eq!(objects_without_payment(&books), books["objects"].len(), "row {place}: {books:#?}");
            assert!(books["entitled"].is_empty());
        }
    }
    Ok(())
}

/// A payment link of the same account takes our id from whoever pays, and any price its seller likes.
#[tokio::test]
async fn a_dear_payment_is_not_claimed_by_a_cheap_session_that_names_it() -> Result<()> {
    for (asked, row_first) in [(AMOUNT + 1, true), (AMOUNT + 1, false), (AMOUNT, true), (AMOUNT, false)] {
        let scene = Scene::start(1).await?;
        let session = story::session(NAME, "complete", "paid", true);
        let event = story::event(NAME, 1, "checkout.session.completed", session);
        if row_first {
            scene.payment(story::payment_id(NAME), asked).await?;
        }
        scene.tell(&event).await?;
        if !row_first {
            scene.payment(story::payment_id(NAME), asked).await?;
        }
        scene.claim().await?;
        let expected = if asked > AMOUNT { "created 0 0 f f f" } else { "paid 0 0 f f t" };
        assert_eq!(scene.books(NAME).await?["payments"], [expected], "{asked} asked, {row_first}");
    }
    Ok(())
}

/// Written with the account's own key, it is believed whatever there was to pay: a trial, a voucher.
#[tokio::test]
async fn a_session_of_nothing_to_pay_is_claimed_by_its_metadata() -> Result<()> {
    let scene = Scene::start(1).await?;
    scene.payment(story::payment_id(NAME), AMOUNT).await?;
    let mut session = story::session(NAME, "complete", "no_payment_required", false);
    session["amount_total"] = serde_json::json!(0);
    session["client_reference_id"] = Value::Null;
    session["metadata"] = serde_json::json!({ "payment_id": story::payment_id(NAME) });
    scene.tell(&story::event(NAME, 1, "checkout.session.completed", session)).await?;
    assert_eq!(scene.books(NAME).await?["payments"], ["paid 0 0 f f t"]);
    Ok(())
}

/// What a session makes is told before the session is complete.
#[tokio::test]
async fn a_subscription_that_carries_no_id_of_ours_is_found_through_its_checkout_session() -> Result<()> {
    for session_first in [true, false] {
        for row_first in [true, false] {
            let scene = Scene::start(1).await?;
            let mut subscription = story::subscription(NAME, "active");
            subscription["metadata"] = json!({});
            let mut session = story::session(NAME, "complete", "paid", false);
            (session["mode"], session["subscription"]) =
                (json!("subscription"), json!(format!("sub_{NAME}")));
            let mut events = [
                story::event(NAME, 1, "customer.subscription.created", subscription),
                story::event(NAME, 2, "checkout.session.completed", session),
            ];
            if session_first {
                events.reverse();
            }
            if row_first {
                scene.payment(story::payment_id(NAME), AMOUNT).await?;
            }
            for event in &events {
                scene.tell(event).await?;
            }
            if !row_first {
                scene.payment(story::payment_id(NAME), AMOUNT).await?;
                assert!(scene.claim().await? > 0);
            }
            let books = scene.books(NAME).await?;
            let [row] = books["subscriptions"].as_slice() else { anyhow::bail!("{books:#?}") };
            assert!(
                row.starts_with("sub_ t active f t "),
                "session first: {session_first}, row first: {row_first}: {row}"
            );
            assert!(books["entitled"].contains(&String::from("sub_")), "{books:#?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_subscription_that_names_our_payment_is_found_once_that_is_there() -> Result<()> {
    let scene = Scene::start(1).await?;
    scene
        .tell(&story::event(NAME, 1, "customer.subscription.created", story::subscription(NAME, "active")))
        .await?;
    assert_eq!(scene.claim().await?, 0);
    scene.payment(story::payment_id(NAME), AMOUNT).await?;
    assert_eq!(scene.claim().await?, 1);
    let books = scene.books(NAME).await?;
    assert!(books["subscriptions"][0].starts_with("sub_ t active f t "), "{books:#?}");
    assert_eq!(books["entitled"], ["sub_"]);
    assert_eq!(scene.claim().await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_carries_no_id_of_ours_is_kept_as_nobody_s_and_its_money_is_in_the_ledger() -> Result<()> {
    let scene = Scene::start(1).await?;
    scene.payment(story::payment_id(NAME), AMOUNT).await?;
    let mut intent = story::intent(NAME, "succeeded");
    intent["metadata"] = json!({ "order": "of somebody else" });
    scene.tell(&story::event(NAME, 1, "payment_intent.succeeded", intent)).await?;
    scene.tell(&story::event(NAME, 2, "refund.created", story::refund(NAME, "succeeded"))).await?;
    assert_eq!(scene.claim().await?, 0);
    let books = scene.books(NAME).await?;
    assert_eq!(books["payments"], ["created 0 0 f f f"]);
    assert_eq!((objects_without_payment(&books), books["ledger"].len()), (2, 2), "{books:#?}");
    Ok(())
}

/// Whoever may write metadata may write what they like.
#[tokio::test]
async fn an_id_of_ours_that_is_none_is_nobody_s() -> Result<()> {
    let scene = Scene::start(1).await?;
    for (nth, id) in (0..).zip([
        json!("7"),
        json!(7),
        json!(""),
        json!("019b9f5e"),
        json!(null),
        json!("not-a-uuid-at-all-but-36-characters-"),
    ]) {
        let name = format!("{:012}", nth + 10);
        let mut intent = story::intent(&name, "succeeded");
        intent["metadata"] = json!({ "payment_id": id });
        scene.tell(&story::event(&name, 1, "payment_intent.succeeded", intent)).await?;
        let books = scene.books(&name).await?;
        assert_eq!((objects_without_payment(&books), books["ledger"].len()), (1, 1), "{books:#?}");
    }
    Ok(())
}

/// A payer may name our payment on a link of the same account, over another price; only our key writes metadata.
#[tokio::test]
async fn what_a_payer_may_name_is_claimed_at_its_price_and_what_our_key_names_at_any() -> Result<()> {
    for (nth, (by_payer, asked, claimed)) in (1..).zip([
        (true, AMOUNT, true),
        (true, AMOUNT + 1, true),
        (true, AMOUNT - 1, false),
        (true, 0, false),
        (false, AMOUNT - 1, true),
        (false, 0, true),
    ]) {
        for row_first in [true, false] {
            let scene = Scene::start(1).await?;
            let name = format!("{nth:012}");
            let mut session = story::session(&name, "complete", "paid", false);
            session["amount_total"] = json!(asked);
            if !by_payer {
                session["client_reference_id"] = Value::Null;
                session["metadata"] = json!({ "payment_id": story::payment_id(&name) });
            }
            if row_first {
                scene.payment(story::payment_id(&name), AMOUNT).await?;
            }
            scene.tell(&story::event(&name, 1, "checkout.session.completed", session)).await?;
            if !row_first {
                scene.payment(story::payment_id(&name), AMOUNT).await?;
                assert_eq!(scene.claim().await?, u64::from(claimed), "case {nth}");
            }
            let found = objects_without_payment(&scene.books(&name).await?) == 0;
            assert_eq!(found, claimed, "case {nth}, row first: {row_first}");
        }
    }
    Ok(())
}

/// Nothing is paid at first, and the subscription says whose it is by its session alone.
#[tokio::test]
async fn a_trial_is_claimed_by_the_metadata_of_its_session() -> Result<()> {
    let scene = Scene::start(1).await?;
    scene.payment(story::payment_id(NAME), AMOUNT).await?;
    let mut session = story::session(NAME, "complete", "no_payment_required", false);
    (session["mode"], session["subscription"]) = (json!("subscription"), json!(format!("sub_{NAME}")));
    (session["amount_total"], session["client_reference_id"]) = (json!(0), Value::Null);
    session["metadata"] = json!({ "payment_id": story::payment_id(NAME) });
    let mut subscription = story::subscription(NAME, "trialing");
    subscription["metadata"] = json!({});
    scene.tell(&story::event(NAME, 1, "customer.subscription.created", subscription)).await?;
    scene.tell(&story::event(NAME, 2, "checkout.session.completed", session)).await?;
    let books = scene.books(NAME).await?;
    assert!(books["subscriptions"][0].starts_with("sub_ t trialing f t "), "{books:#?}");
    assert_eq!(books["entitled"], ["sub_"]);
    Ok(())
}
