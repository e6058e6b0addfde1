//! Deliveries: signed, concurrent, tried again, and in every kind of disorder.

use std::{collections::BTreeSet, time::Duration};

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use sandbox::{
    STRIPE_CONNECT_SECRET, STRIPE_PLATFORM_SECRET, Sandbox,
    stripe::{Stripe, sign},
};
use serde_json::json;

use crate::{
    receiver::{Received, Receiver},
    stripe::{Api, world},
};

struct Shop {
    sandbox: Sandbox,
    stripe: Stripe,
    api: Api,
    receiver: Receiver,
    endpoint: String,
}

async fn shop() -> anyhow::Result<Shop> {
    let (sandbox, stripe, api) = world().await?;
    let receiver = Receiver::start().await?;
    let endpoint = stripe.add_platform_endpoint(&receiver.url)?;
    stripe.set_retry_factor(0.0001)?;
    Ok(Shop { sandbox, stripe, api, receiver, endpoint })
}

impl Shop {
    /// So many events, numbered.
    fn tell(&self, count: usize) {
        for number in 0..count {
            self.stripe.emit(None, &format!("test.{number}"), json!({"id": format!("obj_{number}")}));
        }
    }
}

/// The time it says it was signed at, and how many of its `v1` are made with this secret.
fn signed(received: &Received, secret: &str) -> (i64, usize) {
    let header = received.headers["stripe-signature"].to_str().unwrap_or_default();
    let all: Vec<(&str, &str)> = header.split(',').filter_map(|part| part.split_once('=')).collect();
    let part = |name: &str| -> Vec<&str> {
        all.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value).collect()
    };
    let at: i64 = part("t").first().and_then(|at| at.parse().ok()).unwrap_or_default();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let right = hmac::sign(&key, &[format!("{at}.").as_bytes(), &received.body].concat());
    let right = HEXLOWER.encode(right.as_ref());
    assert_eq!(part("v0").len(), 1, "{header}");
    (at, part("v1").iter().filter(|one| **one == right).count())
}

#[tokio::test]
async fn a_payment_is_told_signed_and_with_its_account() -> anyhow::Result<()> {
    let shop = shop().await?;
    let connect = Receiver::start().await?;
    shop.stripe.add_connect_endpoint(&connect.url)?;
    let seller = shop.stripe.add_account();
    let (own, direct) =
        (shop.api.session().await?, shop.api.with("stripe-account", &seller).session().await?);
    shop.stripe.pay(&own)?;
    shop.stripe.pay(&direct)?;
    let mut kinds: Vec<Vec<String>> = Vec::new();
    for (receiver, secret, account) in [
        (&shop.receiver, STRIPE_PLATFORM_SECRET, None),
        (&connect, STRIPE_CONNECT_SECRET, Some(json!(seller))),
    ] {
        for one in receiver.wait_for(4).await? {
            let (at, right) = signed(&one, secret);
            assert_eq!(right, 1);
            assert_eq!(one.headers["stripe-signature"].to_str()?, sign(&one.body, secret, at));
            assert!(signed(&one, "whsec_of_somebody_else").1 == 0);
            let event = one.json();
            assert_eq!((&event["object"], event.get("account")), (&json!("event"), account.as_ref()));
            assert_eq!((&event["livemode"], &event["pending_webhooks"]), (&json!(false), &json!(1)));
        }
        let mut all = receiver.kinds();
        all.sort();
        kinds.push(all);
    }
    assert_eq!(kinds[0], kinds[1]);
    assert!(kinds[0].contains(&"checkout.session.completed".to_owned()), "{kinds:?}");
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn whatever_is_not_taken_is_sent_again_with_the_same_body() -> anyhow::Result<()> {
    let shop = shop().await?;
    shop.stripe.set_answer_within(Duration::from_millis(300));
    shop.stripe.set_retry_factor(0.000_01)?;
    shop.receiver.answer(&[500, 400, 301, 0, 200]);
    shop.tell(1);
    let received = shop.receiver.wait_for(5).await?;
    shop.stripe.quiet(Duration::from_secs(5)).await?;
    assert_eq!(received.iter().map(|one| &one.body).collect::<BTreeSet<_>>().len(), 1);
    let statuses: Vec<_> = shop.stripe.deliveries().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(500), Some(400), Some(301), None, Some(200)]);
    shop.receiver.answer(&[500; 12]);
    shop.tell(1);
    let tries = 5 + 12;
    shop.receiver.wait_for(tries).await?;
    shop.stripe.quiet(Duration::from_secs(5)).await?;
    assert_eq!(shop.stripe.deliveries().len(), tries, "and given up after three days");
    let lost = shop.api.get("/v1/events?delivery_success=false").await?;
    assert_eq!(lost["data"].as_array().map(Vec::len), Some(1));
    shop.stripe.set_endpoint_enabled(&shop.endpoint, false)?;
    shop.tell(3);
    shop.receiver.wait_for(tries).await?;
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn deliveries_go_out_at_once_and_none_waits_for_another() -> anyhow::Result<()> {
    let shop = shop().await?;
    shop.stripe.set_answer_within(Duration::from_secs(30));
    shop.receiver.answer(&[0]);
    shop.tell(5);
    shop.receiver.wait_for(5).await?;
    assert_eq!(shop.stripe.deliveries().len(), 4, "one still waits for its answer");
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn hundreds_of_deliveries_all_arrive() -> anyhow::Result<()> {
    let shop = shop().await?;
    shop.tell(500);
    shop.stripe.quiet(Duration::from_secs(20)).await?;
    let came: BTreeSet<String> = shop.receiver.kinds().into_iter().collect();
    assert_eq!((came.len(), shop.stripe.deliveries().len()), (500, 500), "each once, and at the first try");
    assert_ne!(shop.receiver.kinds(), (0..500).map(|n| format!("test.{n}")).collect::<Vec<_>>());
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn deliveries_are_doubled_dropped_and_delayed_on_demand() -> anyhow::Result<()> {
    let shop = shop().await?;
    shop.stripe.deliver_twice(1);
    shop.tell(2);
    let received = shop.receiver.wait_for(3).await?;
    let twice = received.iter().filter(|one| one.kind() == "test.0").collect::<Vec<_>>();
    assert_eq!((twice.len(), &twice[0].body), (2, &twice[1].body));
    shop.stripe.drop_deliveries(2);
    shop.tell(3);
    assert_eq!(shop.receiver.wait_for(4).await?[3].kind(), "test.2");
    assert_eq!(shop.stripe.events().len(), 5, "they can still be asked for");
    shop.stripe.delay_deliveries(Duration::from_millis(300));
    let asked = std::time::Instant::now();
    shop.tell(2);
    let received = shop.receiver.wait_for(6).await?;
    assert!(received[4].at - asked >= Duration::from_millis(300));
    shop.stripe.delay_deliveries(Duration::ZERO);
    shop.stripe.deliver_twice(u64::MAX);
    shop.tell(2);
    shop.tell(1);
    shop.receiver.wait_for(12).await?;
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_held_comes_shuffled_and_always_in_the_same_disorder() -> anyhow::Result<()> {
    let mut orders = Vec::new();
    for _ in 0..2 {
        let shop = shop().await?;
        shop.stripe.hold_deliveries(8);
        shop.tell(7);
        shop.receiver.wait_for(0).await?;
        shop.tell(1);
        shop.receiver.wait_for(8).await?;
        orders.push(shop.receiver.kinds());
        shop.stripe.hold_deliveries(5);
        shop.tell(2);
        assert_eq!(shop.stripe.release_deliveries(), 2, "few as they are");
        shop.receiver.wait_for(10).await?;
        shop.tell(1);
        shop.receiver.wait_for(11).await?;
        shop.sandbox.stop().await;
    }
    assert_eq!(orders[0], orders[1]);
    let mut told: Vec<String> = (0..7).map(|number| format!("test.{number}")).collect();
    told.push("test.0".to_owned());
    assert_ne!(orders[0], told);
    told.sort();
    let mut all = orders[0].clone();
    all.sort();
    assert_eq!(all, told, "all of them came");
    Ok(())
}

#[tokio::test]
async fn a_rotated_secret_signs_along_for_a_while_and_no_longer() -> anyhow::Result<()> {
    let shop = shop().await?;
    let new = "whsec_sandbox_platform_0002";
    shop.stripe.rotate_secret(&shop.endpoint, new, Duration::from_millis(400))?;
    shop.tell(1);
    let both = shop.receiver.wait_for(1).await?;
    assert_eq!((signed(&both[0], STRIPE_PLATFORM_SECRET).1, signed(&both[0], new).1), (1, 1));
    tokio::time::sleep(Duration::from_millis(400)).await;
    shop.tell(1);
    let later = shop.receiver.wait_for(2).await?;
    assert_eq!((signed(&later[1], STRIPE_PLATFORM_SECRET).1, signed(&later[1], new).1), (0, 1));
    shop.stripe.sign_stale(1, 600);
    shop.tell(2);
    let received = shop.receiver.wait_for(4).await?;
    let now = signed(&later[1], new).0;
    let stale: Vec<bool> = received[2..].iter().map(|one| signed(one, new).0 < now - 500).collect();
    assert_eq!(stale.iter().filter(|stale| **stale).count(), 1);
    assert!(received[2..].iter().all(|one| signed(one, new).1 == 1), "stale, and rightly signed");
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_event_comes_twice_by_two_endpoints_and_one_fact_by_two_events() -> anyhow::Result<()> {
    let shop = shop().await?;
    let connect = Receiver::start().await?;
    let other = shop.stripe.add_connect_endpoint(&connect.url)?;
    let event = shop.stripe.emit(None, "payout.paid", json!({"id": "po_1", "object": "payout"}));
    shop.stripe.resend(&event, &other)?;
    let strange = connect.wait_for(1).await?;
    assert_eq!(
        (strange[0].json()["id"].clone(), strange[0].json().get("account").cloned()),
        (json!(event), None)
    );
    assert_eq!(signed(&strange[0], STRIPE_CONNECT_SECRET).1, 1);
    let again = shop.stripe.tell_again(&event)?;
    let received = shop.receiver.wait_for(2).await?;
    assert_eq!(received[1].json()["id"], json!(again));
    assert_eq!(received[0].json()["data"], received[1].json()["data"]);
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_endpoint_made_by_the_api_is_told_its_secret_once() -> anyhow::Result<()> {
    let shop = shop().await?;
    let second = Receiver::start().await?;
    let url: String = url::form_urlencoded::byte_serialize(second.url.as_bytes()).collect();
    let new = format!("url={url}&enabled_events[]=test.1&api_version=2024-06-20");
    let made = shop.api.post("/v1/webhook_endpoints", &new).await?;
    let (id, secret) = (crate::stripe::text(&made["id"]), crate::stripe::text(&made["secret"]));
    assert!(secret.starts_with("whsec_") && secret.len() >= 22);
    shop.tell(3);
    let received = second.wait_for(1).await?;
    assert_eq!((signed(&received[0], &secret).1, received[0].kind()), (1, "test.1".to_owned()));
    assert!(shop.api.get(&format!("/v1/webhook_endpoints/{id}")).await?.get("secret").is_none());
    assert_eq!(shop.api.ask("DELETE", &format!("/v1/webhook_endpoints/{id}"), "").await?.0, 200);
    assert_eq!(shop.api.ask("GET", &format!("/v1/webhook_endpoints/{id}"), "").await?.0, 404);
    assert_eq!(shop.api.ask("POST", "/v1/webhook_endpoints", &format!("url={url}")).await?.0, 400);
    shop.receiver.wait_for(3).await?;
    shop.sandbox.stop().await;
    Ok(())
}
