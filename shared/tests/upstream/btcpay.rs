//! What is said to BTCPay, and what is made of its answers.

use serde_json::{Value, json};
use shared::btcpay::{AdditionalStatus, Btcpay, InvoiceStatus, LightningNode, NewInvoice, StoreId};
use shared::crypto::Secret;
use shared::upstream::{Failure, UpstreamError, code};
use testing::Result;
use time::macros::datetime;
use uuid::Uuid;

use crate::ground::{Ground, RETRY, admin, overlay, verdict};
use crate::server::{Reply, Server};

const STORE: &str = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776";
const ORDER: Uuid = Uuid::from_u128(0x019b_a2a0_b600_7000_8000_0000_0000_0001);

fn store() -> Result<StoreId> {
    Ok(STORE.parse()?)
}

fn new_invoice() -> NewInvoice<'static> {
    NewInvoice { order_id: ORDER, amount_msat: 50_000_000, description: "Coffee", expiry_minutes: 15 }
}

fn invoice(changed: &Value) -> Value {
    let invoice = json!({
        "id": "HWPxHrkuFvwXgUpcN8DeCN", "storeId": STORE, "amount": "0.00050000", "paidAmount": "0",
        "currency": "BTC", "type": "Standard", "checkoutLink": "https://pay.example/i/H", "createdTime": 1_767_960_000,
        "expirationTime": 1_767_960_900, "monitoringExpiration": 1_768_046_400, "status": "New",
        "additionalStatus": "None", "availableStatusesForManualMarking": ["Settled", "Invalid"], "archived": false,
        "metadata": {"orderId": ORDER, "itemDesc": "Coffee"}, "receipt": {}
    });
    overlay(invoice, changed)
}

/// Makes one call and returns what it came to, and the request.
async fn call<T>(
    answer: &Value,
    call: impl AsyncFnOnce(Btcpay) -> Result<T, UpstreamError>,
) -> Result<(Result<T, UpstreamError>, crate::server::Heard)> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, &answer.to_string())]).await?;
    let outcome = call(ground.btcpay(&server.url).await?).await;
    Ok((outcome, server.heard().remove(0)))
}

#[tokio::test]
async fn a_store_is_made_in_bitcoin_under_our_mark() -> Result<()> {
    let answer = json!({"id": STORE, "name": "alice", "website": "https://w/#m", "speedPolicy": "HighSpeed"});
    let (made, heard) =
        call(&answer, async |btcpay| btcpay.create_store("alice", "https://w/#m").await).await?;
    let made = made?;
    assert_eq!(
        (made.id.as_str(), made.name.as_str(), made.website.as_deref()),
        (STORE, "alice", Some("https://w/#m"))
    );
    assert_eq!(heard.line, "POST /api/v1/stores");
    assert_eq!(heard.header("content-type"), Some("application/json"));
    let asked = json!({
        "name": "alice",
        "website": "https://w/#m",
        "defaultCurrency": "BTC",
        "lightningDescriptionTemplate": "{ItemDescription}",
    });
    assert_eq!(heard.json()?, asked);
    Ok(())
}

#[tokio::test]
async fn an_id_that_could_not_be_one_is_no_answer() -> Result<()> {
    let long = "a".repeat(65);
    for id in [json!(""), json!("../users"), json!("a b"), json!("é"), json!(long), json!(5), Value::Null] {
        let answer = json!({"id": id, "name": "alice", "website": null});
        let (made, _) = call(&answer, async |btcpay| btcpay.create_store("alice", "w").await).await?;
        assert_eq!(verdict(made), (code::BTCPAY_UNEXPECTED_ANSWER, Failure::Ambiguous));
        let (stores, _) = call(&json!([answer]), async |btcpay| btcpay.list_stores().await).await?;
        assert_eq!(verdict(stores), (code::BTCPAY_UNEXPECTED_ANSWER, RETRY));
    }
    Ok(())
}

#[tokio::test]
async fn a_store_that_cannot_be_read_does_not_hide_the_others() -> Result<()> {
    let list = async |stores: Value| call(&stores, async |btcpay| btcpay.list_stores().await).await;
    let good = json!({"id": STORE, "name": "alice", "website": "https://w/#m"});
    let plain = json!({"id": "b2", "name": null, "website": 7});
    for odd in [json!({"id": "a b", "website": "https://theirs"}), json!({"name": "no id"}), json!("odd")] {
        let (stores, _) = list(json!([plain, odd, good])).await?;
        let stores = stores?;
        let seen: Vec<_> = stores.iter().map(|store| (store.id.as_str(), store.website.as_deref())).collect();
        assert_eq!(seen, [("b2", None), (STORE, Some("https://w/#m"))], "{odd}");
    }
    // One that may carry our mark is not overlooked: it would be made again.
    let (stores, _) = list(json!([good, {"id": "a b", "website": "https://w/#m"}])).await?;
    assert_eq!(verdict(stores), (code::BTCPAY_UNEXPECTED_ANSWER, RETRY));
    Ok(())
}

#[tokio::test]
async fn a_store_that_is_not_there_is_deleted() -> Result<()> {
    let store = store()?;
    let ground = Ground::new().await?;
    let gone = Reply::json(404, r#"{"code":"store-not-found","message":"The store was not found"}"#);
    // What BTCPay really says of a store that was deleted.
    let denied =
        Reply::json(403, r#"{"code":"missing-permission","message":"Insufficient API Permissions"}"#);
    for replies in [
        vec![Reply::json(200, "")],
        vec![gone],
        vec![denied.clone(), Reply::json(200, r#"[{"id":"another","name":"","website":null}]"#)],
    ] {
        let server = Server::start(replies).await?;
        ground.btcpay(&server.url).await?.delete_store(&store).await?;
        assert_eq!(server.lines()[0], format!("DELETE /api/v1/stores/{STORE}"));
    }

    // and one that is, under a key that may not, is not
    let there = Reply::json(200, &format!(r#"[{{"id":"{STORE}","name":"","website":null}}]"#));
    let server = Server::start([denied, there]).await?;
    let outcome = ground.btcpay(&server.url).await?.delete_store(&store).await;
    assert_eq!(verdict(outcome), (code::BTCPAY_KEY_REFUSED, Failure::Final));
    Ok(())
}

#[tokio::test]
async fn a_node_is_connected_by_its_narrow_macaroon_and_its_thumbprint() -> Result<()> {
    let store = store()?;
    let hex = admin().to_hex();
    for (url, certificate_sha256, expected) in [
        (
            "https://n.example:8080",
            None,
            format!("type=lnd-rest;server=https://n.example:8080/;macaroon={}", *hex),
        ),
        (
            "https://n.example/n1/",
            Some([0xab; 32]),
            format!(
                "type=lnd-rest;server=https://n.example/n1/;macaroon={};certthumbprint={}",
                *hex,
                "AB".repeat(32)
            ),
        ),
        (
            "http://127.0.0.1:4000/n1",
            None,
            format!("type=lnd-rest;server=http://127.0.0.1:4000/n1/;macaroon={};allowinsecure=true", *hex),
        ),
    ] {
        let answer = json!({"enabled": true, "paymentMethodId": "BTC-LN", "config": null});
        let (done, heard) = call(&answer, async |btcpay| {
            let node = LightningNode { url, macaroon: &admin(), certificate_sha256 };
            btcpay.connect_lightning(&store, &node).await
        })
        .await?;
        done?;
        assert_eq!(heard.line, format!("PUT /api/v1/stores/{STORE}/payment-methods/BTC-LN"));
        assert_eq!(heard.json()?, json!({"enabled": true, "config": {"connectionString": expected}}));
    }
    Ok(())
}

#[tokio::test]
async fn a_url_that_would_say_more_than_where_the_node_is_is_refused() -> Result<()> {
    let store = store()?;
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, "{}")]).await?;
    let btcpay = ground.btcpay(&server.url).await?;
    for url in
        ["https://n.example/;macaroon=00", "https://u:p@n.example", "n.example", "unix:///lnd.sock", ""]
    {
        let node = LightningNode { url, macaroon: &admin(), certificate_sha256: None };
        let outcome = btcpay.connect_lightning(&store, &node).await;
        assert_eq!(verdict(outcome), (code::BTCPAY_REJECTED, Failure::Final), "{url}");
    }
    assert_eq!(server.heard().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_payment_method_that_stays_off_is_not_connected() -> Result<()> {
    let store = store()?;
    let answer = json!({"enabled": false, "paymentMethodId": "BTC-LN"});
    let (outcome, _) = call(&answer, async |btcpay| {
        let node = LightningNode { url: "https://n.example", macaroon: &admin(), certificate_sha256: None };
        btcpay.connect_lightning(&store, &node).await
    })
    .await?;
    assert_eq!(verdict(outcome), (code::BTCPAY_UNEXPECTED_ANSWER, RETRY));
    Ok(())
}

#[tokio::test]
async fn a_webhook_is_registered_with_a_secret_of_ours() -> Result<()> {
    let store = store()?;
    let answer = json!({"id": "hook1", "url": "https://us/h", "enabled": true, "secret": "theirs"});
    let secret = Secret::new("ours".to_owned());
    let (made, heard) =
        call(&answer, async |btcpay| btcpay.create_webhook(&store, "https://us/h", &secret).await).await?;
    assert_eq!(made?.id.as_str(), "hook1");
    assert_eq!(heard.line, format!("POST /api/v1/stores/{STORE}/webhooks"));
    let body = heard.json()?;
    assert_eq!((&body["secret"], &body["automaticRedelivery"]), (&json!("ours"), &json!(true)));
    assert_eq!(body["authorizedEvents"]["everything"], json!(false));
    assert!(
        body["authorizedEvents"]["specificEvents"].as_array().unwrap().contains(&json!("InvoiceSettled"))
    );

    let (listed, heard) = call(&json!([answer]), async |btcpay| btcpay.list_webhooks(&store).await).await?;
    assert_eq!(listed?[0].url, "https://us/h");
    assert_eq!(heard.line, format!("GET /api/v1/stores/{STORE}/webhooks"));

    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(404, r#"{"code":"webhook-not-found","message":""}"#)]).await?;
    ground.btcpay(&server.url).await?.delete_webhook(&store, &"hook1".parse()?).await?;
    assert_eq!(server.lines(), [format!("DELETE /api/v1/stores/{STORE}/webhooks/hook1")]);
    Ok(())
}

#[tokio::test]
async fn an_invoice_is_asked_for_in_bitcoin_by_lightning_at_once() -> Result<()> {
    let store = store()?;
    let (made, heard) =
        call(&invoice(&json!({})), async |btcpay| btcpay.create_invoice(&store, &new_invoice()).await)
            .await?;
    assert_eq!(made?.amount_msat, Some(50_000_000));
    assert_eq!(heard.line, format!("POST /api/v1/stores/{STORE}/invoices"));
    let expected = json!({
        "amount": "0.00050000", "currency": "BTC", "metadata": {"orderId": ORDER, "itemDesc": "Coffee"},
        "checkout": {"paymentMethods": ["BTC-LN"], "lazyPaymentMethods": false, "expirationMinutes": 15}
    });
    assert_eq!(heard.json()?, expected);
    Ok(())
}

#[tokio::test]
async fn an_invoice_is_found_again_by_its_order() -> Result<()> {
    let store = store()?;
    let other = invoice(&json!({"id": "other", "metadata": {"orderId": "another"}}));
    let without = invoice(&json!({"id": "without", "metadata": null}));
    let number = invoice(&json!({"id": "number", "metadata": {"orderId": 5}}));
    let answer = json!([other, invoice(&json!({})), without, number]);
    let (found, heard) = call(&answer, async |btcpay| btcpay.find_invoices(&store, ORDER).await).await?;
    let ids: Vec<_> = found?.into_iter().map(|invoice| invoice.id.to_string()).collect();
    assert_eq!(ids, ["HWPxHrkuFvwXgUpcN8DeCN"]);
    assert_eq!(heard.line, format!("GET /api/v1/stores/{STORE}/invoices?orderId={ORDER}&take=50"));
    Ok(())
}

#[tokio::test]
async fn an_invoice_is_read_as_it_stands() -> Result<()> {
    let store = store()?;
    let id = "HWPxHrkuFvwXgUpcN8DeCN".parse()?;
    let settled = invoice(&json!({"status": "Settled", "additionalStatus": "Marked", "amount": 0.0005}));
    let (read, heard) = call(&settled, async |btcpay| btcpay.invoice(&store, &id).await).await?;
    let read = read?;
    assert_eq!(heard.line, format!("GET /api/v1/stores/{STORE}/invoices/HWPxHrkuFvwXgUpcN8DeCN"));
    assert_eq!((read.status, read.additional_status), (InvoiceStatus::Settled, AdditionalStatus::Marked));
    assert_eq!((read.amount_msat, read.order_id), (Some(50_000_000), Some(ORDER.to_string())));
    assert_eq!(read.created_at, datetime!(2026-01-09 12:00 UTC));
    assert_eq!(read.expires_at, datetime!(2026-01-09 12:15 UTC));

    let strange = invoice(&json!({"status": "Dreaming", "additionalStatus": "Deeply", "currency": "EUR"}));
    let (read, _) = call(&strange, async |btcpay| btcpay.invoice(&store, &id).await).await?;
    let read = read?;
    assert_eq!(read.status, InvoiceStatus::Other("Dreaming".into()));
    assert_eq!(read.amount_msat, None);
    Ok(())
}

#[tokio::test]
async fn another_stores_invoice_or_another_invoice_is_no_answer() -> Result<()> {
    let store = store()?;
    let id = "HWPxHrkuFvwXgUpcN8DeCN".parse()?;
    for changed in [json!({"storeId": "another"}), json!({"id": "another"}), json!({"createdTime": i64::MAX})]
    {
        let (read, _) = call(&invoice(&changed), async |btcpay| btcpay.invoice(&store, &id).await).await?;
        assert_eq!(verdict(read), (code::BTCPAY_UNEXPECTED_ANSWER, RETRY));
    }
    let elsewhere = invoice(&json!({"storeId": "another"}));
    let (made, _) =
        call(&elsewhere, async |btcpay| btcpay.create_invoice(&store, &new_invoice()).await).await?;
    assert_eq!(verdict(made), (code::BTCPAY_UNEXPECTED_ANSWER, Failure::Ambiguous));
    Ok(())
}

#[tokio::test]
async fn what_is_to_be_paid_is_the_lightning_methods_destination() -> Result<()> {
    let store = store()?;
    let id = "HWPxHrkuFvwXgUpcN8DeCN".parse()?;
    let lnurl = json!({"paymentMethodId": "BTC-LNURL", "destination": "lnurl1"});
    let lightning =
        json!({"paymentMethodId": "BTC-LN", "destination": "lnbcrt10n1x", "rate": "1", "payments": []});
    let (read, heard) =
        call(&json!([lnurl, lightning]), async |btcpay| btcpay.bolt11(&store, &id).await).await?;
    assert_eq!(read?, "lnbcrt10n1x");
    assert!(heard.line.ends_with("/invoices/HWPxHrkuFvwXgUpcN8DeCN/payment-methods"));
    for answer in [
        json!([]),
        json!([lnurl]),
        json!([{"paymentMethodId": "BTC-LN", "destination": null}]),
        json!([{"paymentMethodId": "BTC-LN", "destination": ""}]),
    ] {
        let (read, _) = call(&answer, async |btcpay| btcpay.bolt11(&store, &id).await).await?;
        assert_eq!(verdict(read), (code::BTCPAY_UNEXPECTED_ANSWER, RETRY));
    }
    Ok(())
}
