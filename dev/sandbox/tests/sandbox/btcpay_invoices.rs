use data_encoding::HEXLOWER;
use lightning_invoice::Bolt11Invoice;
use sandbox::lnd::NodeOptions;
use serde_json::{Value, json};

use crate::{
    btcpay::{made, world},
    client::lnd,
};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn order(id: &str) -> Value {
    json!({
        "amount": "0.00050000",
        "currency": "BTC",
        "metadata": {"orderId": id, "itemDesc": "tea"},
        "checkout": {"paymentMethods": ["BTC-LN"], "expirationMinutes": 15},
    })
}

#[tokio::test]
async fn an_invoice_has_one_real_payment_request_of_the_store_s_node() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let store = api.connected_store(&node).await?;
    let named = json!({"name": "alice", "lightningDescriptionTemplate": "{StoreName}: {ItemDescription}"});
    api.ask("PUT", &format!("/stores/{store}"), named).await?;
    let (status, invoice) = api.ask("POST", &format!("/stores/{store}/invoices"), order("o-1")).await?;
    assert_eq!(status, 200, "{invoice}");
    assert_eq!((&invoice["amount"], &invoice["status"]), (&json!("0.00050000"), &json!("New")));
    assert_eq!((&invoice["storeId"], &invoice["type"]), (&json!(store), &json!("Standard")));
    assert_eq!(invoice["metadata"], json!({"orderId": "o-1", "itemDesc": "tea"}));
    let lifetime = invoice["expirationTime"].as_i64().zip(invoice["createdTime"].as_i64());
    assert_eq!(lifetime.map(|(end, start)| end - start), Some(900));
    let id = text(&invoice["id"]);
    assert_eq!(btcpay.invoices(&store)[0].bolt11, None, "made when somebody looks");
    let path = format!("/stores/{store}/invoices/{id}/payment-methods");
    let (_, methods) = api.get(&path).await?;
    let bolt11 = text(&methods[0]["destination"]);
    let parsed: Bolt11Invoice = bolt11.parse().map_err(|e| anyhow::anyhow!("{e:?}"))?;
    assert_eq!(parsed.amount_milli_satoshis(), Some(50_000_000));
    assert_eq!(parsed.recover_payee_pub_key().to_string(), node.pubkey);
    assert_eq!(parsed.description().to_string(), "alice: tea");
    assert!(parsed.expiry_time().as_secs().abs_diff(900) <= 2);
    assert_eq!(methods[0]["paymentLink"], json!(format!("lightning:{bolt11}")));
    assert_eq!((&methods[0]["due"], &methods[0]["rate"]), (&json!("0.00050000"), &json!("1")));
    assert_eq!(api.get(&path).await?.1, methods, "made once");
    assert_eq!(api.get(&format!("/invoices/{id}/payment-methods")).await?.1, methods, "the short path, too");
    let hash = HEXLOWER.encode(parsed.payment_hash().as_ref());
    let (status, held) =
        lnd(&node, "GET", &format!("/v1/invoice/{hash}"), &node.invoice_macaroon, "").await?;
    assert_eq!((status, &held["payment_request"]), (200, &json!(bolt11)), "the node knows it");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn invoices_are_found_by_order_id_which_need_not_be_one_s_own() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let (store, other) = (api.connected_store(&node).await?, api.connected_store(&node).await?);
    let mut ids = Vec::new();
    for (store, id) in [(&store, "a"), (&store, "b"), (&store, "a"), (&other, "a")] {
        let (_, made) = api.ask("POST", &format!("/stores/{store}/invoices"), order(id)).await?;
        ids.push(text(&made["id"]));
    }
    let found = async |query: &str| -> anyhow::Result<Vec<String>> {
        let (status, list) = api.get(&format!("/stores/{store}/invoices{query}")).await?;
        assert_eq!(status, 200);
        Ok(list.as_array().into_iter().flatten().map(|invoice| text(&invoice["id"])).collect())
    };
    let pick = |at: &[usize]| -> Vec<String> { at.iter().map(|at| ids[*at].clone()).collect() };
    assert_eq!(found("").await?, pick(&[2, 1, 0]), "the newest first");
    assert_eq!(found("?orderId=a").await?, pick(&[2, 0]));
    assert_eq!(found("?orderId=a&orderId=b&take=2").await?, pick(&[2, 1]));
    assert_eq!(found("?orderId=c").await?, pick(&[]));
    assert_eq!(found("?status=Settled").await?, pick(&[]));
    assert_eq!(api.get(&format!("/stores/{store}/invoices/{}", ids[3])).await?.0, 404, "another store's");
    assert_eq!(made(&sandbox, "invoice"), (4, 0));
    api.ask("DELETE", &format!("/stores/{store}"), Value::Null).await?;
    assert_eq!(made(&sandbox, "invoice"), (4, 3));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_priced_or_paid_is_no_invoice() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let store = api.connected_store(&node).await?;
    let path = format!("/stores/{store}/invoices");
    for (body, status, place) in [
        (json!({"amount": "-1", "currency": "BTC"}), 422, "amount"),
        (json!({"amount": "much", "currency": "BTC"}), 422, "amount"),
        (json!({"amount": "1", "currency": "XYZ"}), 400, ""),
        (json!({"amount": "1"}), 400, ""),
        (
            json!({"amount": "1", "currency": "BTC", "checkout": {"paymentMethods": ["BTC-CHAIN"]}}),
            422,
            "checkout.paymentMethods[0]",
        ),
        (
            json!({"amount": "1", "currency": "BTC", "checkout": {"expirationMinutes": 0}}),
            422,
            "checkout.expirationMinutes",
        ),
    ] {
        let (got, answer) = api.ask("POST", &path, body.clone()).await?;
        assert_eq!(got, status, "{body}: {answer}");
        if status == 422 {
            assert_eq!(answer[0]["path"], place, "{body}");
        }
    }
    let switch = format!("/stores/{store}/payment-methods/BTC-LN");
    api.ask("PUT", &switch, json!({"enabled": false})).await?;
    assert_eq!(api.ask("POST", &path, order("x")).await?.0, 400, "switched off");
    assert_eq!(btcpay.invoices(&store), []);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_payment_at_the_node_settles_the_invoice_and_the_other_way_round() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let store = api.connected_store(&node).await?;
    let mut hashes = Vec::new();
    for id in ["a", "b"] {
        let (_, made) = api.ask("POST", &format!("/stores/{store}/invoices"), order(id)).await?;
        let path = format!("/invoices/{}/payment-methods", text(&made["id"]));
        hashes.push(text(&api.get(&path).await?.1[0]["additionalData"]["paymentHash"]));
    }
    node.settle_invoice(&hashes[0])?;
    let second = btcpay.invoices(&store)[1].id.clone();
    btcpay.pay_invoice(&store, &second)?;
    for invoice in btcpay.invoices(&store) {
        assert_eq!((invoice.status, invoice.paid_msat), ("Settled", 50_000_000), "{invoice:?}");
        let (_, answer) = api.get(&format!("/invoices/{}", invoice.id)).await?;
        assert_eq!((&answer["paidAmount"], &answer["status"]), (&json!("0.00050000"), &json!("Settled")));
        assert_eq!(answer["additionalStatus"], json!("None"));
    }
    for hash in hashes {
        let (_, held) = lnd(&node, "GET", &format!("/v1/invoice/{hash}"), &node.invoice_macaroon, "").await?;
        assert_eq!((&held["state"], &held["amt_paid_msat"]), (&json!("SETTLED"), &json!("50000000")));
    }
    assert!(btcpay.pay_invoice(&store, "none").is_err());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_invoice_ends_in_the_way_it_was_ended() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let store = api.connected_store(&node).await?;
    for _ in 0..5 {
        api.ask("POST", &format!("/stores/{store}/invoices"), order("x")).await?;
    }
    let ids: Vec<String> = btcpay.invoices(&store).into_iter().map(|invoice| invoice.id).collect();
    btcpay.expire_invoice(&store, &ids[0])?;
    btcpay.pay_invoice(&store, &ids[0])?;
    btcpay.invalidate_invoice(&store, &ids[1])?;
    btcpay.pay_invoice_msat(&store, &ids[2], 1)?;
    btcpay.pay_invoice_msat(&store, &ids[3], 60_000_000)?;
    btcpay.settle_by_hand(&store, &ids[4])?;
    let ends: Vec<_> = btcpay.invoices(&store).iter().map(|i| (i.status, i.additional_status)).collect();
    let expected = [
        ("Expired", "PaidLate"),
        ("Invalid", "Marked"),
        ("New", "PaidPartial"),
        ("Settled", "PaidOver"),
        ("Settled", "Marked"),
    ];
    assert_eq!(ends, expected);
    assert!(btcpay.expire_invoice(&store, &ids[3]).is_err());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_lightning_invoice_comes_straight_from_the_node() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let bare = api.new_store("bare").await?;
    let store = api.connected_store(&node).await?;
    let wanted = json!({"amount": "1500", "description": "tea", "expiry": 600});
    let path = |store: &str| format!("/stores/{store}/lightning/BTC/invoices");
    let (status, refusal) = api.ask("POST", &path(&bare), wanted.clone()).await?;
    assert_eq!((status, &refusal["code"]), (404, &json!("lightning-not-configured")));
    let (status, made) = api.ask("POST", &path(&store), wanted).await?;
    assert_eq!((status, &made["status"], &made["preimage"]), (200, &json!("Unpaid"), &Value::Null));
    let parsed: Bolt11Invoice = text(&made["BOLT11"]).parse().map_err(|e| anyhow::anyhow!("{e:?}"))?;
    assert_eq!(
        (parsed.amount_milli_satoshis(), parsed.description().to_string()),
        (Some(1500), "tea".into())
    );
    let id = text(&made["id"]);
    node.settle_invoice(&id)?;
    let (_, paid) = api.get(&format!("{}/{id}", path(&store))).await?;
    assert_eq!((&paid["status"], &paid["amountReceived"]), (&json!("Paid"), &json!("1500")));
    assert_eq!(text(&paid["preimage"]).len(), 64);
    assert_eq!(api.get(&format!("{}/{}", path(&store), "00".repeat(32))).await?.0, 404);
    assert_eq!(api.ask("POST", &path(&store), json!({"amount": "1500"})).await?.0, 422);
    let (_, info) = api.get(&format!("/stores/{store}/lightning/BTC/info")).await?;
    assert_eq!(info["alias"], "node12");
    sandbox.faults().away(sandbox::Service::Lnd);
    let (status, refusal) = api.get(&format!("{}/{id}", path(&store))).await?;
    assert_eq!((status, &refusal["code"]), (503, &json!("lightning-node-unavailable")));
    sandbox.stop().await;
    Ok(())
}
