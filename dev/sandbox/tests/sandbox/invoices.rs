//! Invoices are real BOLT11, and a macaroon that does not name them opens none.

use std::{str::FromStr, time::Duration};

use data_encoding::{BASE64, HEXLOWER};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, Currency};
use sandbox::{
    Sandbox,
    lnd::{Network, Node, NodeOptions},
};
use serde_json::{Value, json};

use crate::client::{call, lnd, lnd_error, sandbox};

async fn node12() -> anyhow::Result<(Sandbox, Node)> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    Ok((sandbox, node))
}

async fn add(node: &Node, body: &Value) -> anyhow::Result<(u16, Value)> {
    lnd(node, "POST", "/v1/invoices", &node.invoice_macaroon, &body.to_string()).await
}

fn hash_of(added: &Value) -> anyhow::Result<String> {
    Ok(HEXLOWER.encode(&BASE64.decode(added["r_hash"].as_str().unwrap_or_default().as_bytes())?))
}

async fn look_up(node: &Node, hash: &str) -> anyhow::Result<(u16, Value)> {
    lnd(node, "GET", &format!("/v1/invoice/{hash}"), &node.invoice_macaroon, "").await
}

#[tokio::test]
async fn a_payment_request_says_what_was_asked_and_is_signed_by_the_node() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let body = json!({"memo": "two coffees", "value_msat": "123456", "expiry": "900"});
    let (status, added) = add(&node, &body).await?;
    assert_eq!((status, &added["add_index"]), (200, &json!("1")));
    let request = added["payment_request"].as_str().unwrap_or_default();
    assert!(request.starts_with("lnbcrt1234560p1"), "{request}");
    let parsed = Bolt11Invoice::from_str(request).map_err(anyhow::Error::msg)?;
    assert_eq!(parsed.currency(), Currency::Regtest);
    assert_eq!(parsed.amount_milli_satoshis(), Some(123_456));
    assert_eq!(parsed.expiry_time(), Duration::from_mins(15));
    assert_eq!(parsed.recover_payee_pub_key().to_string(), node.pubkey);
    assert_eq!(parsed.payment_hash().to_string(), hash_of(&added)?);
    assert_eq!(BASE64.encode(&parsed.payment_secret().0), added["payment_addr"].as_str().unwrap_or_default());
    match parsed.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => assert_eq!(text.to_string(), "two coffees"),
        Bolt11InvoiceDescriptionRef::Hash(_) => panic!("a memo, not a hash"),
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn each_network_has_its_prefix_and_a_hash_may_stand_for_the_memo() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    for (network, prefix) in [
        (Network::Mainnet, "lnbc1"),
        (Network::Testnet, "lntb1"),
        (Network::Signet, "lntbs1"),
        (Network::Regtest, "lnbcrt1"),
    ] {
        node.set_network(network);
        let body = json!({"description_hash": BASE64.encode(&[7; 32])});
        let (_, added) = add(&node, &body).await?;
        let request = added["payment_request"].as_str().unwrap_or_default();
        assert!(request.starts_with(prefix), "{request}");
        let parsed = Bolt11Invoice::from_str(request).map_err(anyhow::Error::msg)?;
        assert_eq!(parsed.amount_milli_satoshis(), None, "the payer chooses");
        assert!(matches!(parsed.description(), Bolt11InvoiceDescriptionRef::Hash(h)
            if h.0.to_string() == "07".repeat(32)));
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_invoice_is_open_until_somebody_pays_it() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let (_, added) = add(&node, &json!({"memo": "tea", "value": 21})).await?;
    let hash = hash_of(&added)?;
    let (status, open) = look_up(&node, &hash).await?;
    let fields = [&open["state"], &open["value"], &open["value_msat"], &open["amt_paid_msat"]];
    assert_eq!((status, fields), (200, [&json!("OPEN"), &json!("21"), &json!("21000"), &json!("0")]));
    assert_eq!(open.as_object().map(serde_json::Map::len), Some(29), "zero fields are present");

    let settle = format!("{}/sandbox/nodes/node12/invoices/{hash}/settle", sandbox.base_url());
    let (status, paid) = call("POST", &settle, &[], "").await?;
    assert_eq!(status, 200);
    let (_, settled) = look_up(&node, &hash.to_uppercase()).await?;
    let fields =
        [&settled["state"], &settled["settled"], &settled["amt_paid_msat"], &settled["settle_index"]];
    assert_eq!(fields, [&json!("SETTLED"), &json!(true), &json!("21000"), &json!("1")]);
    let preimage = BASE64.decode(settled["r_preimage"].as_str().unwrap_or_default().as_bytes())?;
    assert_eq!(paid["preimage"], HEXLOWER.encode(&preimage));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &preimage);
    assert_eq!(HEXLOWER.encode(digest.as_ref()), hash, "the preimage proves the payment");
    assert_eq!(
        node.settle_invoice(&hash)?,
        HEXLOWER.encode(&preimage),
        "paid once, however often it is said"
    );
    assert!(node.settle_invoice(&"00".repeat(32)).is_err());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_canceled_or_expired_invoice_can_no_more_be_paid() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let (_, added) = add(&node, &json!({"value": 1})).await?;
    let body = json!({"payment_hash": added["r_hash"]}).to_string();
    for _ in 0..2 {
        let canceled = lnd(&node, "POST", "/v2/invoices/cancel", &node.invoice_macaroon, &body).await?;
        assert_eq!(canceled, (200, json!({})), "twice is no error");
    }
    assert_eq!(look_up(&node, &hash_of(&added)?).await?.1["state"], "CANCELED");
    assert!(node.settle_invoice(&hash_of(&added)?).is_err());

    let (_, short) = add(&node, &json!({"value": 1, "expiry": "1"})).await?;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(look_up(&node, &hash_of(&short)?).await?.1["state"], "CANCELED");
    assert!(node.settle_invoice(&hash_of(&short)?).is_err());

    let (_, paid) = add(&node, &json!({"value": 1})).await?;
    node.settle_invoice(&hash_of(&paid)?)?;
    let body = json!({"payment_hash": paid["r_hash"]}).to_string();
    let answer = lnd(&node, "POST", "/v2/invoices/cancel", &node.invoice_macaroon, &body).await?;
    assert_eq!(answer, (500, lnd_error(2, "invoice already settled")));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_list_goes_by_index_in_pages_and_backwards() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    for value in 1..=5 {
        let (_, added) = add(&node, &json!({ "value": value })).await?;
        if value == 3 {
            node.settle_invoice(&hash_of(&added)?)?;
        }
    }
    for (query, expected, first, last) in [
        ("", vec!["1", "2", "3", "4", "5"], "1", "5"),
        ("?num_max_invoices=2&index_offset=1", vec!["2", "3"], "2", "3"),
        ("?reversed=true&num_max_invoices=2", vec!["4", "5"], "4", "5"),
        ("?reversed=true&num_max_invoices=2&index_offset=4", vec!["2", "3"], "2", "3"),
        ("?pending_only=true", vec!["1", "2", "4", "5"], "1", "5"),
        ("?index_offset=5", vec![], "0", "0"),
    ] {
        let path = format!("/v1/invoices{query}");
        let (status, page) = lnd(&node, "GET", &path, &node.invoice_macaroon, "").await?;
        assert_eq!(status, 200, "{page}");
        let listed = page["invoices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let indices: Vec<&str> = listed.iter().filter_map(|i| i["add_index"].as_str()).collect();
        assert_eq!(indices, expected, "{query}");
        let offsets = (&page["first_index_offset"], &page["last_index_offset"]);
        assert_eq!(offsets, (&json!(first), &json!(last)), "{query}");
    }
    let (status, _) = lnd(&node, "GET", "/v1/invoices?reversed=1", &node.invoice_macaroon, "").await?;
    assert_eq!(status, 400);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_no_invoice_is_refused_in_lnd_s_words() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let preimage = BASE64.encode(&[3; 32]);
    assert_eq!(add(&node, &json!({"value": 1, "r_preimage": preimage})).await?.0, 200);
    for (body, message) in [
        (json!({"value": 1, "r_preimage": preimage}), "invoice with payment hash already exists".to_owned()),
        (json!({"value": 1, "value_msat": 1}), "sat and msat arguments are mutually exclusive".into()),
        (json!({"memo": "x".repeat(640)}), "memo too large: 640 bytes (maxsize=639)".into()),
        (
            json!({"expiry": "31536001"}),
            "expiry of 31536001 seconds greater than max expiry of 31536000 seconds".into(),
        ),
    ] {
        assert_eq!(add(&node, &body).await?, (500, lnd_error(2, &message)));
    }
    let nobodys = look_up(&node, &"ab".repeat(32)).await?;
    assert_eq!(nobodys, (404, lnd_error(5, "unable to locate invoice")));
    for hash in ["xy", "abc", "abcd"] {
        assert_eq!(look_up(&node, hash).await?.0, 500, "{hash}");
    }
    let made = sandbox.objects().into_iter().find(|o| o.kind == "invoice").map(|o| o.created);
    assert_eq!(made, Some(1), "what was refused was not made");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_macaroon_opens_the_invoice_methods_it_names() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let (_, added) = add(&node, &json!({"value": 1})).await?;
    let lookup = format!("/v1/invoice/{}", hash_of(&added)?);
    let cancel = json!({"payment_hash": added["r_hash"]}).to_string();
    let calls = [
        ("POST", "/v1/invoices", r#"{"value":1}"#),
        ("GET", lookup.as_str(), ""),
        ("GET", "/v1/invoices", ""),
        ("POST", "/v2/invoices/cancel", cancel.as_str()),
    ];
    for (op, opens) in [
        (("invoices", "write"), [true, false, false, true]),
        (("invoices", "read"), [false, true, true, false]),
        (("uri", "/lnrpc.Lightning/AddInvoice"), [true, false, false, false]),
        (("uri", "/lnrpc.Lightning/LookupInvoice"), [false, true, false, false]),
        (("uri", "/lnrpc.Lightning/ListInvoices"), [false, false, true, false]),
        (("uri", "/invoicesrpc.Invoices/CancelInvoice"), [false, false, false, true]),
        (("info", "read"), [false; 4]),
    ] {
        let macaroon = node.bake(&[op])?;
        for ((method, path, body), open) in calls.iter().zip(opens) {
            let (status, answer) = lnd(&node, method, path, &macaroon, body).await?;
            if open {
                assert_eq!(status, 200, "{op:?} {path}: {answer}");
            } else {
                assert_eq!((status, answer), (500, lnd_error(2, "permission denied")), "{op:?} {path}");
            }
        }
    }
    sandbox.stop().await;
    Ok(())
}
