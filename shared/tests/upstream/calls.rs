//! What goes over the wire, whatever is asked: connections, redirects, proxies, sizes.

use shared::upstream::code;
use testing::Result;

use crate::ground::{Ground, RETRY, lnd, verdict};
use crate::server::{Reply, Server};

const STATE: &str = r#"{"state":"SERVER_ACTIVE"}"#;
const STORE: &str = r#"{"id":"9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776","name":"alice","website":null}"#;

#[tokio::test]
async fn connections_are_used_again_except_by_what_must_not_be_done_twice() -> Result<()> {
    let ground = Ground::new().await?;
    let stores = format!("[{STORE}]");
    let server = Server::start([
        Reply::json(200, &stores),
        Reply::json(200, &stores),
        Reply::json(200, STORE),
        Reply::json(200, STORE),
        Reply::json(200, &stores),
    ])
    .await?;
    let btcpay = ground.btcpay(&server.url).await?;
    btcpay.list_stores().await?;
    btcpay.list_stores().await?;
    btcpay.create_store("alice", "https://w").await?;
    btcpay.create_store("alice", "https://w").await?;
    btcpay.list_stores().await?;

    let connections: Vec<_> = server.heard().into_iter().map(|heard| heard.connection).collect();
    assert_eq!(connections, [0, 0, 1, 2, 0]);
    Ok(())
}

/// An environment that slept finds its connections dead. Only one that was never used can say what became of a request.
#[tokio::test]
async fn a_connection_that_died_while_it_was_idle_costs_nothing() -> Result<()> {
    let ground = Ground::new().await?;
    let stores = format!("[{STORE}]");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{stores}", stores.len());
    let server = Server::start([Reply::Close(head.into_bytes()), Reply::json(200, STORE)]).await?;
    let btcpay = ground.btcpay(&server.url).await?;
    btcpay.list_stores().await?;
    btcpay.create_store("alice", "https://w").await?;
    assert_eq!(server.heard().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_no_key_goes_where_it_leads() -> Result<()> {
    let ground = Ground::new().await?;
    let elsewhere = Server::start([Reply::json(200, "[]")]).await?;
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start([Reply::with(status, &[("location", &elsewhere.url)], "")]).await?;
        let outcome = ground.btcpay(&server.url).await?.list_stores().await;
        assert_eq!(verdict(outcome), (code::BTCPAY_UNEXPECTED_ANSWER, RETRY));
    }
    assert_eq!(elsewhere.heard().len(), 0);
    Ok(())
}

#[tokio::test]
async fn what_is_asked_for_is_json_and_nothing_else_is_told_of_us() -> Result<()> {
    let server = Server::start([Reply::json(200, STATE)]).await?;
    lnd(&server.url)?.state().await?;
    let heard = server.heard().remove(0);
    let mut names: Vec<_> = heard.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "user-agent"]);
    assert_eq!(heard.header("accept"), Some("application/json"));
    assert_eq!(heard.header("user-agent"), Some("satchel"));
    Ok(())
}

#[tokio::test]
async fn an_answer_of_a_megabyte_is_read_and_one_byte_more_is_not() -> Result<()> {
    let of = |length: usize| format!("{STATE}{}", " ".repeat(length - STATE.len()));
    let server = Server::start([Reply::json(200, &of(1024 * 1024))]).await?;
    lnd(&server.url)?.state().await?;

    let server = Server::start([Reply::json(200, &of(1024 * 1024 + 1))]).await?;
    assert_eq!(verdict(lnd(&server.url)?.state().await), (code::LND_UNEXPECTED_ANSWER, RETRY));
    let endless =
        Reply::Close([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), of(2 * 1024 * 1024).into_bytes()].concat());
    let server = Server::start([endless]).await?;
    assert_eq!(verdict(lnd(&server.url)?.state().await), (code::LND_UNEXPECTED_ANSWER, RETRY));
    Ok(())
}

#[tokio::test]
async fn a_list_may_be_as_long_as_an_account_is_large() -> Result<()> {
    let ground = Ground::new().await?.with("UPSTREAM_TIMEOUT_MILLISECONDS", "20000");
    let stores: Vec<_> = (0..20_000)
        .map(|number| {
            format!(r#"{{"id":"store{number}","name":null,"website":"https://w/#{number}","more":{{"of":["it"]}}}}"#)
        })
        .collect();
    let server = Server::start([Reply::json(200, &format!("[{}]", stores.join(",")))]).await?;
    let stores = ground.btcpay(&server.url).await?.list_stores().await?;
    assert_eq!(stores.len(), 20_000);
    assert_eq!(stores[19_999].website.as_deref(), Some("https://w/#19999"));
    Ok(())
}
