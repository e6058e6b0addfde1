use data_encoding::{BASE64, BASE64URL_NOPAD};
use sandbox::lnd::NodeOptions;
use serde_json::json;

use crate::client::{call, lnd, lnd_error, sandbox};

const ONE: [u8; 32] = {
    let mut key = [0; 32];
    key[31] = 1;
    key
};

const LDK_SIGNATURE: &str = "d9tibmnic9t5y41hg7hkakdcra94akas9ku3rmmj4ag9mritc8ok4p5qzefs78c9pqfhpuftqqzhydbdwfg7u6w6wdxcqpqn4sj4e73e";

#[tokio::test]
async fn secret_key_one_signs_test_message_as_published() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node =
        sandbox.nodes().create("one", NodeOptions { secret_key: Some(ONE), ..NodeOptions::default() })?;
    assert_eq!(node.pubkey, "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    assert_eq!(node.sign("test message"), LDK_SIGNATURE);
    for msg in [BASE64.encode(b"test message"), BASE64URL_NOPAD.encode(b"test message")] {
        let body = json!({"msg": msg, "single_hash": false}).to_string();
        let (status, answer) = lnd(&node, "POST", "/v1/signmessage", &node.admin_macaroon, &body).await?;
        assert_eq!((status, answer), (200, json!({"signature": LDK_SIGNATURE})));
    }
    let single = json!({"msg": BASE64.encode(b"test message"), "singleHash": true}).to_string();
    let (_, answer) = lnd(&node, "POST", "/v1/signmessage", &node.admin_macaroon, &single).await?;
    assert_ne!(answer["signature"], LDK_SIGNATURE, "one hash is another signature");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn valid_means_in_the_graph_and_not_the_key_you_expect() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let alice = sandbox.nodes().create("alice", NodeOptions::default())?;
    let bob = sandbox.nodes().create("bob", NodeOptions::default())?;
    let by_bob = json!({"msg": BASE64.encode(b"hi"), "signature": bob.sign("hi")}).to_string();

    let (_, own) = lnd(&bob, "POST", "/v1/verifymessage", &bob.admin_macaroon, &by_bob).await?;
    assert_eq!(own, json!({"valid": true, "pubkey": bob.pubkey}));
    let (_, stranger) = lnd(&alice, "POST", "/v1/verifymessage", &alice.admin_macaroon, &by_bob).await?;
    assert_eq!(stranger, json!({"valid": false, "pubkey": bob.pubkey}), "good, but not in her graph");
    bob.set_public(true);
    let (_, public) = lnd(&alice, "POST", "/v1/verifymessage", &alice.admin_macaroon, &by_bob).await?;
    assert_eq!(public["valid"], true);

    let altered = json!({"msg": BASE64.encode(b"hi!"), "signature": bob.sign("hi")}).to_string();
    let (status, other) = lnd(&bob, "POST", "/v1/verifymessage", &bob.admin_macaroon, &altered).await?;
    assert_eq!((status, &other["valid"]), (200, &json!(false)));
    assert_ne!(other["pubkey"], json!(bob.pubkey));

    let published = json!({"msg": BASE64.encode(b"test message"), "signature": LDK_SIGNATURE}).to_string();
    sandbox.nodes().announce("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")?;
    let (_, foreign) = lnd(&bob, "POST", "/v1/verifymessage", &bob.admin_macaroon, &published).await?;
    assert_eq!(foreign["valid"], true);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_signature_that_is_none_is_answered_as_lnd_does() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let msg = BASE64.encode(b"hi");
    for (signature, status, expected) in [
        ("ybl", 500, lnd_error(2, "failed to decode signature: illegal z-base-32 data at input byte 2")),
        (&LDK_SIGNATURE[..103], 200, json!({"valid": false, "pubkey": ""})),
        ("", 200, json!({"valid": false, "pubkey": ""})),
    ] {
        let body = json!({"msg": msg, "signature": signature}).to_string();
        let answer = lnd(&node, "POST", "/v1/verifymessage", &node.admin_macaroon, &body).await?;
        assert_eq!(answer, (status, expected), "{signature}");
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn getinfo_has_every_field_with_lnd_s_types() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let (status, info) = lnd(&node, "GET", "/v1/getinfo", &node.admin_macaroon, "").await?;
    assert_eq!(status, 200);
    assert_eq!(info["identity_pubkey"], json!(node.pubkey));
    assert!(info["best_header_timestamp"].is_string(), "64-bit numbers are strings");
    assert!(info["block_height"].is_u64(), "32-bit numbers are numbers");
    assert_eq!(info["chains"], json!([{"chain": "bitcoin", "network": "regtest"}]));
    let fields = info.as_object().map(serde_json::Map::len);
    assert_eq!(fields, Some(20));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn bodies_are_read_as_protojson_reads_them() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    for (body, status, code, message) in [
        (r#"{"msg":"aGk=","extra":1}"#, 400, 3, r#"proto: (line 1:15): unknown field "extra""#),
        (r#"{"msg":"%%%"}"#, 400, 3, r#"proto: (line 1:2): invalid value for bytes field msg: "%%%""#),
        (r#"{"msg":7}"#, 400, 3, "proto: (line 1:2): invalid value for bytes field msg: 7"),
        (r#"{"msg":"#, 400, 3, "proto: syntax error (line 1:7): unexpected token"),
        ("", 500, 2, "need a message to sign"),
        (r#"{"msg":null}"#, 500, 2, "need a message to sign"),
    ] {
        let answer = lnd(&node, "POST", "/v1/signmessage", &node.admin_macaroon, body).await?;
        assert_eq!(answer, (status, lnd_error(code, message)), "{body}");
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_501() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    for (method, path, status, code, message) in [
        ("GET", "/v1/status", 404, 5, "Not Found"),
        ("GET", "/v1/getinfo/", 404, 5, "Not Found"),
        ("GET", "/v2/signer/signmessage", 404, 5, "Not Found"),
        ("POST", "/v1/getinfo", 501, 12, "Method Not Allowed"),
        ("GET", "/v1/signmessage", 501, 12, "Method Not Allowed"),
    ] {
        let answer = lnd(&node, method, path, &node.admin_macaroon, "").await?;
        assert_eq!(answer, (status, lnd_error(code, message)), "{method} {path}");
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_node_without_a_wallet_says_so() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let fresh = sandbox.nodes().create("fresh", NodeOptions { initialised: false, secret_key: None })?;
    assert_eq!(fresh.admin_macaroon, "");
    let state = format!("{}/v1/state", fresh.base_url);
    assert_eq!(call("GET", &state, &[], "").await?, (200, json!({"state": "NON_EXISTING"})));
    let no_wallet = lnd_error(2, "wallet not created, create one to enable full RPC access");
    for macaroon in ["", "00"] {
        assert_eq!(lnd(&fresh, "GET", "/v1/getinfo", macaroon, "").await?, (500, no_wallet.clone()));
    }

    let ready = sandbox.nodes().create("ready", NodeOptions::default())?;
    let state = format!("{}/v1/state", ready.base_url);
    assert_eq!(call("GET", &state, &[], "").await?, (200, json!({"state": "SERVER_ACTIVE"})));
    let unlocked = lnd_error(2, "wallet already unlocked, WalletUnlocker service is no longer available");
    assert_eq!(lnd(&ready, "POST", "/v1/initwallet", "", "{}").await?, (500, unlocked));
    sandbox.stop().await;
    Ok(())
}
