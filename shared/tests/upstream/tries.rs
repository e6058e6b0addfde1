//! Which failures are tried again, how often, and what is left to the caller after the last.

use std::time::{Duration, Instant};

use shared::lnd::{Lnd, WalletState};
use shared::upstream::{Failure, Pins, code};
use testing::Result;
use tokio::net::TcpListener;

use crate::ground::{Ground, IMPATIENT, RETRY, impatient_lnd, lnd, upstream_with, verdict};
use crate::server::{Reply, Server};

const STATE: &str = r#"{"state":"SERVER_ACTIVE"}"#;
const STORE: &str =
    r#"{"id":"9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776","name":"alice","website":"https://w"}"#;

/// What may have been done, and what it is called.
fn unclear() -> Vec<(Reply, &'static str)> {
    vec![
        (Reply::json(500, "out of order"), code::LND_UNAVAILABLE),
        (Reply::json(502, ""), code::LND_UNAVAILABLE),
        (Reply::json(408, "{}"), code::LND_UNAVAILABLE),
        (Reply::hang_up(), code::LND_UNAVAILABLE),
        (Reply::Close(b"SMTP 220 welcome\r\n\r\n".to_vec()), code::LND_UNAVAILABLE),
        (Reply::cut(STATE), code::LND_UNEXPECTED_ANSWER),
        (Reply::json(200, "\u{0}<html>{\"half\""), code::LND_UNEXPECTED_ANSWER),
        (Reply::json(200, ""), code::LND_UNEXPECTED_ANSWER),
        (Reply::json(200, "[]"), code::LND_UNEXPECTED_ANSWER),
        (Reply::json(200, r#"{"state":"DREAMING"}"#), code::LND_UNEXPECTED_ANSWER),
        (Reply::with(302, &[("location", "/elsewhere")], ""), code::LND_UNEXPECTED_ANSWER),
        (Reply::json(404, "<h1>no such page</h1>"), code::LND_UNEXPECTED_ANSWER),
    ]
}

#[tokio::test]
async fn a_request_that_does_no_harm_twice_is_made_until_it_succeeds() -> Result<()> {
    for (trouble, _) in unclear() {
        let server = Server::start([trouble.clone(), trouble, Reply::json(200, STATE)]).await?;
        assert_eq!(lnd(&server.url)?.state().await?, WalletState::ServerActive);
        assert_eq!(server.lines(), ["GET /v1/state"; 3]);
    }
    Ok(())
}

#[tokio::test]
async fn after_three_tries_it_is_left_to_the_caller_to_come_back() -> Result<()> {
    for (trouble, code) in unclear() {
        let server = Server::start([trouble]).await?;
        let error = lnd(&server.url)?.state().await.unwrap_err();
        assert_eq!((error.code, error.failure), (code, RETRY), "{error}");
        assert!(error.counts_against_provider(), "{error}");
        assert_eq!(server.heard().len(), 3, "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_creates_is_never_made_twice_when_the_first_may_have_worked() -> Result<()> {
    let ground = Ground::new().await?;
    for (trouble, code) in unclear() {
        let server = Server::start([trouble, Reply::json(200, STORE)]).await?;
        let error = ground.btcpay(&server.url).await?.create_store("alice", "https://w").await.unwrap_err();
        let code = code.replace("LND", "BTCPAY");
        assert_eq!((error.code, error.failure), (code.as_str(), Failure::Ambiguous), "{error}");
        assert_eq!(server.heard().len(), 1, "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_provider_is_given_up_on() -> Result<()> {
    let ground = Ground::new().await?.with(IMPATIENT.0, IMPATIENT.1);
    let server = Server::start([Reply::Silence]).await?;
    let started = Instant::now();
    assert_eq!(verdict(impatient_lnd(&server.url)?.state().await), (code::LND_TIMED_OUT, RETRY));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());

    let server = Server::start([Reply::Silence]).await?;
    let error = ground.btcpay(&server.url).await?.create_store("alice", "https://w").await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::BTCPAY_TIMED_OUT, Failure::Ambiguous));
    assert!(error.counts_against_provider());
    assert_eq!(server.heard().len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_comes_drop_by_drop_is_given_up_on_too() -> Result<()> {
    let half = Reply::Keep(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec());
    let server = Server::start([half]).await?;
    assert_eq!(verdict(impatient_lnd(&server.url)?.state().await), (code::LND_TIMED_OUT, RETRY));
    Ok(())
}

#[tokio::test]
async fn what_was_certainly_not_done_is_tried_again_even_if_it_creates() -> Result<()> {
    let ground = Ground::new().await?;
    let busy = Reply::json(429, r#"{"code":"rate-limited","message":"slow down"}"#);
    let server = Server::start([busy.clone(), busy.clone(), Reply::json(200, STORE)]).await?;
    ground.btcpay(&server.url).await?.create_store("alice", "https://w").await?;
    assert_eq!(server.heard().len(), 3);

    let server = Server::start([busy]).await?;
    let error = ground.btcpay(&server.url).await?.create_store("alice", "https://w").await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::BTCPAY_UNAVAILABLE, RETRY));
    assert!(!error.counts_against_provider(), "we asked too often");
    assert_eq!(server.heard().len(), 3);
    Ok(())
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_done() -> Result<()> {
    let ground = Ground::new().await?;
    let closed = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", closed.local_addr()?);
    drop(closed);
    let error = ground.btcpay(&url).await?.create_store("alice", "https://w").await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::BTCPAY_UNAVAILABLE, RETRY));
    assert!(error.counts_against_provider());
    Ok(())
}

#[tokio::test]
async fn a_connection_that_does_not_open_in_half_the_time_was_never_used() -> Result<()> {
    // given a server that takes the connection and never begins with TLS
    let server = Server::start([Reply::Silence]).await?;
    let ground = Ground::new().await?.with(IMPATIENT.0, IMPATIENT.1);
    let url = server.url.replace("http://", "https://");

    let error = ground.btcpay(&url).await?.create_store("alice", "https://w").await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::BTCPAY_TIMED_OUT, RETRY), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() -> Result<()> {
    let later = Reply::with(503, &[("retry-after", "1")], "");
    let server = Server::start([later, Reply::json(200, STATE)]).await?;
    let started = Instant::now();
    lnd(&server.url)?.state().await?;
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_long_retry_after_is_the_callers_to_wait_for() -> Result<()> {
    for (reply, after) in [
        (Reply::with(503, &[("retry-after", "6")], ""), 6),
        (Reply::with(429, &[("Retry-After", "Fri, 09 Jan 2026 12:02:00 GMT")], ""), 120),
        (Reply::with(429, &[("retry-after", "99999999")], ""), 3600),
    ] {
        let server = Server::start([reply]).await?;
        let (_, failure) = verdict(lnd(&server.url)?.state().await);
        assert_eq!(failure, Failure::Retry { after: Some(Duration::from_secs(after)) });
        assert_eq!(server.heard().len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn no_try_and_no_wait_outlasts_the_deadline() -> Result<()> {
    let slow = upstream_with(&[("UPSTREAM_TIMEOUT_MILLISECONDS", "10000")]);
    let within = |millis| tokio::time::Instant::now() + Duration::from_millis(millis);
    let server = Server::start([Reply::Silence]).await?;
    let lnd = Lnd::at(&slow, &server.url, &Pins::public())?;

    let started = Instant::now();
    let error = lnd.until(within(200)).state().await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::LND_TIMED_OUT, RETRY));
    assert!(!error.counts_against_provider(), "it was not given its time");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(server.heard().len(), 1);

    let later = Server::start([Reply::with(503, &[("retry-after", "3")], "")]).await?;
    let lnd = Lnd::at(&slow, &later.url, &Pins::public())?;
    let started = Instant::now();
    let (_, failure) = verdict(lnd.until(within(500)).state().await);
    assert_eq!(failure, Failure::Retry { after: Some(Duration::from_secs(3)) });
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    Ok(())
}

/// `find_invoices` of a request that has 20 s, at a BTCPay that hangs: the second try is cut off, the first was not.
#[tokio::test]
async fn silence_counts_though_the_try_after_it_was_cut_short() -> Result<()> {
    let impatient = upstream_with(&[IMPATIENT]);
    let within = |millis| tokio::time::Instant::now() + Duration::from_millis(millis);
    for first in [Reply::Silence, Reply::json(503, "")] {
        let server = Server::start([first, Reply::Silence]).await?;
        let lnd = Lnd::at(&impatient, &server.url, &Pins::public())?;
        let error = lnd.until(within(600)).state().await.unwrap_err();
        assert_eq!((error.code, error.failure), (code::LND_TIMED_OUT, RETRY));
        assert!(error.counts_against_provider(), "{error}");
    }

    // What answers in the end is well, whatever it answers.
    let refusal = Reply::json(400, r#"{"code":3,"message":"no"}"#);
    let server = Server::start([Reply::json(503, ""), refusal]).await?;
    let error = lnd(&server.url)?.state().await.unwrap_err();
    assert_eq!(error.code, code::LND_REJECTED);
    assert!(!error.counts_against_provider(), "{error}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_sent_for_lack_of_time_was_certainly_not_done() -> Result<()> {
    let ground = Ground::new().await?;
    let server = Server::start([Reply::json(200, STORE)]).await?;
    let btcpay = ground.btcpay(&server.url).await?.until(tokio::time::Instant::now());
    let error = btcpay.create_store("alice", "https://w").await.unwrap_err();
    assert_eq!((error.code, error.failure), (code::BTCPAY_TIMED_OUT, RETRY));
    assert!(!error.counts_against_provider());
    assert_eq!(server.heard().len(), 0);
    Ok(())
}
