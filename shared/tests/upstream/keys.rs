//! The key a provider knows us by: fetched, rotated, refused, away.

use std::time::{Duration, Instant};

use sandbox::{Misbehaviour, Route, Service, When};
use shared::upstream::{Failure, code};
use testing::Result;

use crate::ground::{BTCPAY_KEY, Ground, RETRY, VOLTAGE_KEY, verdict};
use crate::server::{Reply, Server};

const REFUSED: &str = r#"{"code":"unauthenticated","message":"Authentication is required"}"#;

#[tokio::test]
async fn each_provider_is_shown_its_key_where_it_looks_for_it() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, "[]"), Reply::json(200, r#"{"nodes":[]}"#)]).await?;
    ground.btcpay(&server.url).await?.list_stores().await?;
    ground.voltage(&server.url).await?.list_nodes().await?;
    let heard = server.heard();
    assert_eq!(heard[0].header("authorization"), Some(format!("token {BTCPAY_KEY}").as_str()));
    assert_eq!(heard[1].header("x-voltage-auth"), Some(VOLTAGE_KEY));
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_rotated_is_fetched_and_the_call_made_once_more() -> Result<()> {
    // given a function that holds the old key
    let ground = Ground::new().await?;
    let store = r#"{"id":"a1","name":"alice","website":null}"#;
    let server = Server::start([Reply::json(401, REFUSED), Reply::json(200, store)]).await?;
    let btcpay = ground.btcpay(&server.url).await?;
    ground.sandbox.secrets().put("satchel/btcpay", r#"{"api_key":"rotated"}"#);

    // when BTCPay refuses it
    btcpay.create_store("alice", "https://w").await?;

    // then the new one was used, even for what creates: a refused request was not carried out
    let keys: Vec<_> =
        server.heard().iter().map(|heard| heard.header("authorization").map(str::to_owned)).collect();
    assert_eq!(keys, [Some(format!("token {BTCPAY_KEY}")), Some("token rotated".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_refused_and_still_the_same_is_refused_for_good() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(401, REFUSED)]).await?;
    let error = ground.btcpay(&server.url).await?.list_stores().await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::BTCPAY_KEY_REFUSED, Failure::Final));
    assert!(!error.counts_against_provider());
    assert_eq!(server.heard().len(), 1);
    Ok(())
}

#[tokio::test]
async fn without_its_key_a_provider_is_not_called() -> Result<()> {
    // given a function that started while Secrets Manager was away
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, "[]")]).await?;
    ground.sandbox.faults().down(Service::SecretsManager);
    let btcpay = ground.btcpay(&server.url).await?;

    let error = btcpay.create_store("alice", "https://w").await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::BTCPAY_KEY_UNAVAILABLE, RETRY));
    assert!(!error.counts_against_provider());

    // when it is back, the key is there
    ground.sandbox.faults().up(Service::SecretsManager);
    assert_eq!(verdict(btcpay.list_stores().await).0, "OK");
    assert_eq!(server.heard().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_key_that_takes_long_to_fetch_is_not_waited_for_past_the_deadline() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, "[]")]).await?;
    ground.sandbox.faults().down(Service::SecretsManager);
    let btcpay = ground.btcpay(&server.url).await?;
    ground.sandbox.faults().up(Service::SecretsManager);
    let stall = Misbehaviour::stall(Duration::from_secs(20));
    ground.sandbox.faults().add(Route::service(Service::SecretsManager), When::Always, stall)?;

    let started = Instant::now();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(200);
    let outcome = btcpay.until(deadline).list_stores().await;
    assert_eq!(verdict(outcome), (code::BTCPAY_KEY_UNAVAILABLE, RETRY));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_key_document_that_was_spoilt_later_is_final() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, "[]")]).await?;
    ground.sandbox.faults().down(Service::SecretsManager);
    let voltage = ground.voltage(&server.url).await?;
    ground.sandbox.faults().up(Service::SecretsManager);
    ground.sandbox.secrets().put("satchel/voltage", r#"{"api_key":""}"#);
    assert_eq!(verdict(voltage.list_nodes().await), (code::VOLTAGE_KEY_UNAVAILABLE, Failure::Final));
    assert_eq!(server.heard().len(), 0);
    Ok(())
}
