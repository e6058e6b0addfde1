//! How BTCPay says no.

use shared::upstream::{Failure, code};
use testing::Result;

use crate::ground::{Ground, RETRY, verdict};
use crate::server::{Reply, Server};

#[tokio::test]
async fn every_refusal_is_told_apart_and_tried_once() -> Result<()> {
    let ground = Ground::new().await?;
    for (status, body, expected) in [
        (
            401,
            r#"{"code":"unauthenticated","message":"Authentication is required"}"#,
            code::BTCPAY_KEY_REFUSED,
        ),
        (401, "", code::BTCPAY_KEY_REFUSED),
        (
            403,
            r#"{"code":"missing-permission","message":"Insufficient","missingPermission":"btcpay.store.x"}"#,
            code::BTCPAY_KEY_REFUSED,
        ),
        // documented without a body
        (403, "", code::BTCPAY_KEY_REFUSED),
        (403, r#"{"code":"store-limit-reached","message":"Quota"}"#, code::BTCPAY_STORE_LIMIT),
        (404, r#"{"code":"store-not-found","message":"The store was not found"}"#, code::BTCPAY_NOT_FOUND),
        (422, r#"[{"path":"name","message":"Name is required"}]"#, code::BTCPAY_REJECTED),
        (422, "[]", code::BTCPAY_REJECTED),
        (400, r#"{"code":"generic-error","message":"No"}"#, code::BTCPAY_REJECTED),
        (400, "", code::BTCPAY_REJECTED),
        (409, r#"{"code":"webhookdelivery-pruned","message":"Gone"}"#, code::BTCPAY_REJECTED),
        (415, "", code::BTCPAY_REJECTED),
    ] {
        let server = Server::start([Reply::json(status, body)]).await?;
        let error = ground.btcpay(&server.url).await?.create_store("alice", "w").await.unwrap_err();
        assert_eq!((error.code, error.failure), (expected, Failure::Final), "{status} {body}");
        assert!(!error.counts_against_provider(), "{status} {body}");
        assert_eq!(server.heard().len(), 1, "{status} {body}");
        assert!(code::ALL.contains(&error.code));
    }
    Ok(())
}

/// A firewall in front of BTCPay may say no for five minutes, and that is the end of no setup.
#[tokio::test]
async fn a_refusal_that_btcpay_did_not_write_is_tried_again() -> Result<()> {
    let ground = Ground::new().await?;
    for status in [401, 403, 404] {
        for body in
            ["<html><h1>Forbidden", "Forbidden", r#""no""#, "{}", r#"{"success":false}"#, r#"{"code":1020}"#]
        {
            let server = Server::start([Reply::json(status, body)]).await?;
            let btcpay = ground.btcpay(&server.url).await?;
            let error = btcpay.list_stores().await.unwrap_err();
            assert_eq!(
                (error.code, error.failure),
                (code::BTCPAY_UNEXPECTED_ANSWER, RETRY),
                "{status} {body}"
            );
            assert!(error.counts_against_provider(), "{status} {body}");
            let error = btcpay.create_store("alice", "w").await.unwrap_err();
            assert_eq!(error.failure, Failure::Ambiguous, "{status} {body}");
        }
    }
    // Nor is a store gone of which a firewall says so.
    let server = Server::start([Reply::json(403, "<html>")]).await?;
    let outcome = ground.btcpay(&server.url).await?.delete_store(&"a1".parse()?).await;
    assert_eq!(verdict(outcome), (code::BTCPAY_UNEXPECTED_ANSWER, RETRY));
    Ok(())
}

#[tokio::test]
async fn what_btcpay_says_reaches_the_log() -> Result<()> {
    let ground = Ground::new().await?;
    let body = r#"[{"path":"name","message":"Name is required"},{"path":"website","message":"Not a URL"}]"#;
    let server = Server::start([Reply::json(422, body)]).await?;
    let error = ground.btcpay(&server.url).await?.create_store("", "").await.unwrap_err();
    let shown = error.to_string();
    assert_eq!(shown, "BTCPAY_REJECTED (Final): 422: name Name is required; website Not a URL");
    Ok(())
}
