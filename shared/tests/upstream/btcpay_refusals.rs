//! How BTCPay says no.

use shared::upstream::{Failure, code};
use testing::Result;

use crate::ground::Ground;
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
        (403, "<html>", code::BTCPAY_KEY_REFUSED),
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
