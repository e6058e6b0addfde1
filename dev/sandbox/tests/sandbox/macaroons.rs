use data_encoding::{BASE64, HEXLOWER};
use sandbox::{Sandbox, lnd::Node, lnd::NodeOptions};
use serde_json::json;

use crate::client::{call, lnd, lnd_error, sandbox};

const MISMATCH: &str = "verification failed: signature mismatch after caveat verification";

async fn node12() -> anyhow::Result<(Sandbox, Node)> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    Ok((sandbox, node))
}

async fn refused(node: &Node, macaroon: &str, message: &str) -> anyhow::Result<()> {
    let answer = lnd(node, "GET", "/v1/getinfo", macaroon, "").await?;
    assert_eq!(answer, (500, lnd_error(2, message)), "{macaroon}");
    Ok(())
}

#[tokio::test]
async fn exactly_one_macaroon_header_is_expected() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let url = format!("{}/v1/getinfo", node.base_url);
    let hex = node.admin_macaroon.as_str();
    let header = "Grpc-Metadata-macaroon";
    for (headers, message) in [
        (&[][..], "expected 1 macaroon, got 0"),
        (&[("Macaroon", hex)], "expected 1 macaroon, got 0"),
        (&[(header, hex), (header, hex)], "expected 1 macaroon, got 2"),
    ] {
        assert_eq!(call("GET", &url, headers, "").await?, (500, lnd_error(2, message)));
    }
    assert_eq!(call("GET", &url, &[(header, &hex.to_uppercase())], "").await?.0, 200, "hex has no case");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_base64_macaroon_is_a_hex_error() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let base64 = BASE64.encode(&HEXLOWER.decode(node.admin_macaroon.as_bytes())?);
    assert!(base64.starts_with("AgEDbG5k"), "{base64}");
    refused(&node, &base64, "encoding/hex: invalid byte: U+0067 'g'").await?;
    refused(&node, "020", "encoding/hex: odd length hex string").await?;
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_macaroon_cut_anywhere_is_refused() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let whole = node.bake(&[("info", "read")])?;
    for length in (0..whole.len()).step_by(2) {
        let (status, answer) = lnd(&node, "GET", "/v1/getinfo", &whole[..length], "").await?;
        assert_eq!((status, &answer["code"]), (500, &json!(2)), "{length}: {answer}");
    }
    refused(&node, "", "empty macaroon data").await?;
    refused(&node, &whole[..whole.len() - 2], "unmarshal v2: field data extends past end of buffer").await?;
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_macaroon_with_any_bit_flipped_is_refused() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let good = HEXLOWER.decode(node.bake(&[("info", "read")])?.as_bytes())?;
    // Byte 2 is the length of the location, 3 to 5 the location, which the chain does not sign.
    for byte in (0..2).chain(6..good.len()) {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        let (status, _) = lnd(&node, "GET", "/v1/getinfo", &HEXLOWER.encode(&bad), "").await?;
        assert_eq!(status, 500, "byte {byte}");
    }
    let mut signature = good.clone();
    if let Some(last) = signature.last_mut() {
        *last ^= 0x80;
    }
    refused(&node, &HEXLOWER.encode(&signature), MISMATCH).await?;
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &HEXLOWER.encode(&good), "").await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn another_node_s_macaroon_is_refused() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let other = sandbox.nodes().create("node13", NodeOptions::default())?;
    refused(&node, &other.admin_macaroon, MISMATCH).await?;
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_narrow_macaroon_opens_what_it_names_and_no_more() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let sign = json!({"msg": "aGk="}).to_string();
    let verify = json!({"msg": "aGk=", "signature": ""}).to_string();
    let bake = json!({"permissions": [{"entity": "info", "action": "read"}]}).to_string();
    let routes = [
        ("GET", "/v1/getinfo", "", ("info", "read"), "/lnrpc.Lightning/GetInfo"),
        ("POST", "/v1/signmessage", &sign, ("message", "write"), "/lnrpc.Lightning/SignMessage"),
        ("POST", "/v1/verifymessage", &verify, ("message", "read"), "/lnrpc.Lightning/VerifyMessage"),
        ("POST", "/v1/macaroon", &bake, ("macaroon", "generate"), "/lnrpc.Lightning/BakeMacaroon"),
    ];
    for (_, _, _, op, uri) in &routes {
        for macaroon in [node.bake(&[*op])?, node.bake(&[("uri", uri)])?] {
            for (method, path, body, other, _) in &routes {
                let (status, answer) = lnd(&node, method, path, &macaroon, body).await?;
                if op == other {
                    assert_eq!(status, 200, "{op:?} at {path}: {answer}");
                } else {
                    assert_eq!(
                        (status, answer),
                        (500, lnd_error(2, "permission denied")),
                        "{op:?} at {path}"
                    );
                }
            }
        }
    }
    refused(&node, &node.bake(&[("uri", "/lnrpc.Lightning/AddInvoice")])?, "permission denied").await?;
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_macaroon_baked_over_http_works_until_its_root_key_is_deleted() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let body =
        json!({"permissions": [{"entity": "info", "action": "read"}], "root_key_id": "7001"}).to_string();
    let (status, baked) = lnd(&node, "POST", "/v1/macaroon", &node.admin_macaroon, &body).await?;
    assert_eq!(status, 200);
    let baked = baked["macaroon"].as_str().unwrap_or_default().to_owned();
    assert!(baked.starts_with("0201036c6e64"), "hex: {baked}");
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &baked, "").await?.0, 200);

    let deleted = lnd(&node, "DELETE", "/v1/macaroon/7001", &node.admin_macaroon, "").await?;
    assert_eq!(deleted, (200, json!({"deleted": true})));
    refused(&node, &baked, "cannot get macaroon: root key with id 7001 doesn't exist").await?;
    lnd(&node, "POST", "/v1/macaroon", &node.admin_macaroon, &body).await?;
    refused(&node, &baked, MISMATCH).await?;
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn baking_refuses_what_lnd_does_not_know() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let help = "supported actions are [read write generate], supported entities are \
                [onchain offchain address message peers info invoices signer macaroon uri]";
    for (permissions, message) in [
        (
            json!([]),
            format!("permission list cannot be empty. specify at least one action/entity pair. {help}"),
        ),
        (json!([{"entity": "coffee", "action": "read"}]), format!("invalid permission entity. {help}")),
        (json!([{"entity": "info", "action": "brew"}]), format!("invalid permission action. {help}")),
        (
            json!([{"entity": "uri", "action": "GetInfo"}]),
            "invalid permission action, must be specified in the format /package.Service/MethodName".into(),
        ),
    ] {
        let body = json!({"permissions": permissions}).to_string();
        let answer = lnd(&node, "POST", "/v1/macaroon", &node.admin_macaroon, &body).await?;
        assert_eq!(answer, (500, lnd_error(2, &message)));
    }
    sandbox.stop().await;
    Ok(())
}

/// A caveat needs no root key: whoever holds a macaroon appends it and signs with the old signature.
fn with_caveat(macaroon: &str, caveat: &str) -> anyhow::Result<String> {
    let bytes = HEXLOWER.decode(macaroon.as_bytes())?;
    // The end: `00` (no more caveats), `06 20`, 32 bytes of signature.
    let (head, signature) = bytes.split_at(bytes.len() - 32);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, signature);
    let mut out = head[..head.len() - 3].to_vec();
    out.extend([2, u8::try_from(caveat.len())?]);
    out.extend_from_slice(caveat.as_bytes());
    out.extend([0, 0, 6, 32]);
    out.extend_from_slice(aws_lc_rs::hmac::sign(&key, caveat.as_bytes()).as_ref());
    Ok(HEXLOWER.encode(&out))
}

#[tokio::test]
async fn caveats_appended_by_the_holder_are_obeyed() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let far = with_caveat(&node.admin_macaroon, "time-before 9999-01-01T00:00:00Z")?;
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &far, "").await?.0, 200);
    let past = with_caveat(&far, "time-before 2020-01-01T00:00:00Z")?;
    let expired = "caveat \"time-before 2020-01-01T00:00:00Z\" not satisfied: macaroon has expired";
    refused(&node, &past, expired).await?;
    let strange = with_caveat(&node.admin_macaroon, "moon full")?;
    refused(&node, &strange, "caveat \"moon full\" not satisfied: caveat not recognized").await?;
    sandbox.stop().await;
    Ok(())
}
