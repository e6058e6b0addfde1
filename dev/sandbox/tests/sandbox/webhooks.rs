use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use sandbox::{
    Sandbox,
    btcpay::{Btcpay, Delivery},
    lnd::NodeOptions,
};
use serde_json::{Value, json};

use crate::{
    btcpay::{Api, made, world},
    receiver::Receiver,
};

struct Shop {
    sandbox: Sandbox,
    btcpay: Btcpay,
    api: Api,
    receiver: Receiver,
    store: String,
    webhook: String,
}

/// A store with a node, and a webhook for these events (all, when there are none) whose secret is `s3cret`.
async fn shop(events: &[&str]) -> anyhow::Result<Shop> {
    let (sandbox, btcpay, api) = world().await?;
    let receiver = Receiver::start().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let store = api.connected_store(&node).await?;
    let events = json!({"everything": events.is_empty(), "specificEvents": events});
    let wanted = json!({"url": receiver.url, "authorizedEvents": events, "secret": "s3cret"});
    let (status, made) = api.ask("POST", &format!("/stores/{store}/webhooks"), wanted).await?;
    assert_eq!((status, &made["secret"], &made["enabled"]), (200, &json!("s3cret"), &json!(true)));
    let webhook = made["id"].as_str().unwrap_or_default().to_owned();
    Ok(Shop { sandbox, btcpay, api, receiver, store, webhook })
}

impl Shop {
    async fn invoice(&self) -> anyhow::Result<String> {
        let new = json!({"amount": "1000", "currency": "SATS", "metadata": {"orderId": "o-1"}});
        let (status, made) = self.api.ask("POST", &format!("/stores/{}/invoices", self.store), new).await?;
        assert_eq!(status, 200, "{made}");
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    async fn paid_invoice(&self) -> anyhow::Result<String> {
        let invoice = self.invoice().await?;
        self.btcpay.pay_invoice(&self.store, &invoice)?;
        Ok(invoice)
    }

    async fn deliveries(&self, count: usize) -> Vec<Delivery> {
        for _ in 0..400 {
            if self.btcpay.deliveries().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.btcpay.deliveries()
    }
}

#[tokio::test]
async fn a_webhook_is_made_found_changed_and_removed() -> anyhow::Result<()> {
    let shop = shop(&["InvoiceSettled"]).await?;
    let (store, id) = (&shop.store, &shop.webhook);
    let (_, list) = shop.api.get(&format!("/stores/{store}/webhooks")).await?;
    let expected = json!({
        "id": id,
        "enabled": true,
        "automaticRedelivery": true,
        "url": shop.receiver.url,
        "authorizedEvents": {"everything": false, "specificEvents": ["InvoiceSettled"]},
    });
    assert_eq!(list, json!([expected]), "the secret is told once");
    let path = format!("/stores/{store}/webhooks/{id}");
    assert_eq!(shop.api.get(&path).await?, (200, expected.clone()));
    assert_eq!(shop.api.get(&format!("/webhooks/{id}")).await?, (200, expected));
    let changed = json!({"url": "http://127.0.0.1:9/", "enabled": false});
    let (status, changed) = shop.api.ask("PUT", &path, changed).await?;
    assert_eq!((status, &changed["enabled"]), (200, &json!(false)));
    let held = shop.btcpay.store(store).map(|store| store.webhooks).unwrap_or_default();
    assert_eq!((held[0].secret.as_str(), &held[0].events), ("s3cret", &None), "the secret stays");
    for body in [json!({}), json!({"url": "hook"})] {
        let (status, problems) = shop.api.ask("POST", &format!("/stores/{store}/webhooks"), body).await?;
        assert_eq!((status, &problems[0]["path"]), (422, &json!("url")));
    }
    let other = shop.api.new_store("other").await?;
    assert_eq!(shop.api.get(&format!("/stores/{other}/webhooks/{id}")).await?.0, 404, "of another store");
    assert_eq!(shop.api.ask("DELETE", &path, Value::Null).await?.0, 200);
    assert_eq!(shop.api.ask("DELETE", &path, Value::Null).await?.0, 404);
    assert_eq!(made(&shop.sandbox, "webhook"), (1, 1));
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_payment_is_told_in_order_signed_and_indented() -> anyhow::Result<()> {
    let shop = shop(&[]).await?;
    let invoice = shop.paid_invoice().await?;
    let received = shop.receiver.wait_for(5).await?;
    let order = ["Created", "ReceivedPayment", "PaymentSettled", "Processing", "Settled"];
    assert_eq!(shop.receiver.kinds(), order.map(|kind| format!("Invoice{kind}")));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
    for one in &received {
        let signature = format!("sha256={}", HEXLOWER.encode(hmac::sign(&key, &one.body).as_ref()));
        assert_eq!(one.headers["btcpay-sig"], signature.as_str());
        assert_eq!(one.headers["content-type"], "application/json");
        assert!(one.body.starts_with(b"{\n  \""), "{:?}", one.body);
        let body = one.json();
        assert_eq!(body["deliveryId"], body["originalDeliveryId"]);
        assert_eq!((&body["isRedelivery"], &body["webhookId"]), (&json!(false), &json!(shop.webhook)));
        assert_eq!((&body["storeId"], &body["invoiceId"]), (&json!(shop.store), &json!(invoice)));
        assert_eq!(body["metadata"], json!({"orderId": "o-1"}));
    }
    let (payment, settled) = (received[1].json(), received[4].json());
    assert_eq!(payment["payment"]["value"], json!("0.00001000"));
    assert_eq!((&payment["paymentMethodId"], &payment["afterExpiration"]), (&json!("BTC-LN"), &json!(false)));
    assert_eq!((&settled["manuallyMarked"], &settled["overPaid"]), (&json!(false), &json!(false)));
    let first_members = received.iter().map(|one| one.body.split(|b| *b == b'"').nth(1).map(<[u8]>::to_vec));
    let orders: std::collections::BTreeSet<_> = first_members.collect();
    assert!(orders.len() > 1, "the members of a body stand in no fixed order");
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_webhook_hears_only_what_it_asked_for_and_only_while_it_is_on() -> anyhow::Result<()> {
    let shop = shop(&["InvoiceSettled", "InvoiceExpired", "InvoiceInvalid"]).await?;
    shop.paid_invoice().await?;
    shop.receiver.wait_for(1).await?;
    for marked in [true, false] {
        let invoice = shop.invoice().await?;
        if marked {
            shop.btcpay.settle_by_hand(&shop.store, &invoice)?;
            shop.btcpay.invalidate_invoice(&shop.store, &invoice)?;
        } else {
            shop.btcpay.expire_invoice(&shop.store, &invoice)?;
        }
    }
    let received = shop.receiver.wait_for(4).await?;
    let kinds = ["InvoiceSettled", "InvoiceSettled", "InvoiceInvalid", "InvoiceExpired"];
    assert_eq!(shop.receiver.kinds(), kinds);
    assert_eq!(received[1].json()["manuallyMarked"], json!(true), "an operator, not a payment");
    assert_eq!(received[3].json()["partiallyPaid"], json!(false));
    let off = json!({"url": shop.receiver.url, "enabled": false});
    shop.api.ask("PUT", &format!("/webhooks/{}", shop.webhook), off).await?;
    shop.paid_invoice().await?;
    shop.receiver.wait_for(4).await?;
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_fails_is_sent_again_after_the_waits_and_what_is_refused_is_not() -> anyhow::Result<()> {
    let shop = shop(&["InvoiceSettled"]).await?;
    shop.btcpay.set_retry_waits(&[Duration::from_millis(40), Duration::from_millis(90)]);
    shop.btcpay.set_answer_within(Duration::from_millis(500));
    shop.receiver.answer(&[500, 429]);
    shop.paid_invoice().await?;
    let received = shop.receiver.wait_for(3).await?;
    assert!(received[1].at - received[0].at >= Duration::from_millis(40));
    assert!(received[2].at - received[1].at >= Duration::from_millis(90));
    let bodies: Vec<Value> = received.iter().map(super::receiver::Received::json).collect();
    for body in &bodies[1..] {
        assert_eq!(body["originalDeliveryId"], bodies[0]["deliveryId"]);
        assert_ne!(body["deliveryId"], bodies[0]["deliveryId"]);
        assert_eq!(body["isRedelivery"], json!(true));
        assert_eq!(body["timestamp"], bodies[0]["timestamp"], "the event is no newer for it");
    }
    for (statuses, sent) in [(&[404][..], 4), (&[301], 5), (&[408, 200], 7), (&[0, 503, 503], 10)] {
        shop.receiver.answer(statuses);
        shop.paid_invoice().await?;
        shop.receiver.wait_for(sent).await?;
    }
    let statuses: Vec<_> = shop.deliveries(10).await.iter().map(|delivery| delivery.status).collect();
    let expected =
        [500, 429, 200, 404, 301, 408, 200, 0, 503, 503].map(|status| Some(status).filter(|s| *s > 0));
    assert_eq!(statuses, expected);
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_slow_receiver_holds_up_its_own_queue_and_no_other() -> anyhow::Result<()> {
    let shop = shop(&["InvoiceSettled"]).await?;
    shop.btcpay.set_retry_factor(0.07)?;
    let quick = Receiver::start().await?;
    shop.api.ask("POST", &format!("/stores/{}/webhooks", shop.store), json!({"url": quick.url})).await?;
    shop.receiver.answer(&[503]);
    let started = Instant::now();
    let (first, second) = (shop.paid_invoice().await?, shop.paid_invoice().await?);
    let invoices: Vec<Value> =
        shop.receiver.wait_for(3).await?.iter().map(|one| one.json()["invoiceId"].clone()).collect();
    assert_eq!(invoices, [json!(first), json!(first), json!(second)], "strictly in order");
    assert!(started.elapsed() >= Duration::from_millis(700), "seven hundredths of ten seconds");
    let last = quick.wait_for(10).await?[9].at;
    assert!(last < shop.receiver.all()[1].at, "the other webhook did not wait");
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn deliveries_are_listed_shown_and_sent_again() -> anyhow::Result<()> {
    let shop = shop(&["InvoiceProcessing", "InvoiceSettled"]).await?;
    shop.paid_invoice().await?;
    shop.receiver.wait_for(2).await?;
    let first = shop.deliveries(2).await[0].clone();
    assert_eq!(
        (first.event, first.status, first.id == first.original),
        ("InvoiceProcessing", Some(200), true)
    );
    let base = format!("/stores/{}/webhooks/{}/deliveries", shop.store, shop.webhook);
    let (_, list) = shop.api.get(&base).await?;
    assert_eq!((list.as_array().map(Vec::len), &list[1]["id"]), (Some(2), &json!(first.id)), "newest first");
    assert_eq!((&list[1]["status"], &list[1]["httpCode"]), (&json!("HttpSuccess"), &json!(200)));
    assert_eq!(shop.api.get(&format!("{base}?count=1")).await?.1, json!([list[0]]));
    assert_eq!(shop.api.get(&format!("{base}/{}", first.id)).await?.1, list[1]);
    let (_, sent) = shop.api.get(&format!("{base}/{}/request", first.id)).await?;
    assert_eq!(sent, serde_json::from_slice::<Value>(&first.body)?);
    let (status, again) =
        shop.api.ask("POST", &format!("{base}/{}/redeliver", first.id), Value::Null).await?;
    assert_eq!(status, 200);
    let once_more = shop.btcpay.redeliver(&first.id)?;
    let received = shop.receiver.wait_for(4).await?;
    assert_eq!((&received[2].json()["deliveryId"], received[2].kind()), (&again, first.event.to_owned()));
    assert_eq!(received[3].json()["deliveryId"], json!(once_more));
    assert_eq!(received[3].json()["originalDeliveryId"], json!(first.id), "older than what came before it");
    assert_eq!(shop.api.ask("POST", &format!("{base}/none/redeliver"), Value::Null).await?.0, 404);
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn deliveries_are_lost_doubled_and_forgotten_on_demand() -> anyhow::Result<()> {
    let shop = shop(&["InvoiceSettled"]).await?;
    shop.btcpay.drop_deliveries(1);
    shop.paid_invoice().await?;
    shop.receiver.wait_for(0).await?;
    assert_eq!(shop.btcpay.deliveries(), [], "without a trace");
    shop.btcpay.deliver_twice(1);
    shop.paid_invoice().await?;
    let received = shop.receiver.wait_for(2).await?;
    assert_eq!(received[0].body, received[1].body, "byte for byte");
    shop.paid_invoice().await?;
    shop.receiver.wait_for(3).await?;
    shop.btcpay.set_retry_waits(&[Duration::from_mins(10)]);
    shop.receiver.answer(&[500]);
    shop.paid_invoice().await?;
    shop.paid_invoice().await?;
    shop.deliveries(3).await;
    shop.btcpay.restart();
    let after = shop.paid_invoice().await?;
    let received = shop.receiver.wait_for(5).await?;
    assert_eq!(received[4].json()["invoiceId"], json!(after), "what waited is gone, what comes is not");
    shop.sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn deliveries_are_shuffled_delayed_and_signed_with_another_secret_on_demand() -> anyhow::Result<()> {
    let shop = shop(&[]).await?;
    shop.btcpay.hold_deliveries(5);
    shop.paid_invoice().await?;
    shop.receiver.wait_for(5).await?;
    let order = ["Created", "ReceivedPayment", "PaymentSettled", "Processing", "Settled"];
    let (mut told, mut all) = (shop.receiver.kinds(), order.map(|kind| format!("Invoice{kind}")).to_vec());
    assert_ne!(told, all, "in another order");
    told.sort();
    all.sort();
    assert_eq!(told, all, "and all of them");
    shop.btcpay.hold_deliveries(9);
    shop.invoice().await?;
    shop.btcpay.restart();
    assert_eq!(shop.btcpay.release_deliveries(), 0, "what is held is in memory, too");
    shop.btcpay.delay_deliveries(Duration::from_millis(200));
    assert!(shop.btcpay.set_webhook_secret(&shop.webhook, "another"));
    assert!(!shop.btcpay.set_webhook_secret("none", "another"));
    let asked = Instant::now();
    shop.invoice().await?;
    let last = &shop.receiver.wait_for(6).await?[5];
    assert!(last.at - asked >= Duration::from_millis(200));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"another");
    let signature = format!("sha256={}", HEXLOWER.encode(hmac::sign(&key, &last.body).as_ref()));
    assert_eq!(last.headers["btcpay-sig"], signature.as_str());
    shop.sandbox.stop().await;
    Ok(())
}
