//! What the environment says, and what it must not say.

use shared::btcpay::Btcpay;
use shared::lnd::Lnd;
use shared::upstream::{Failure, Pins, Upstream, code};
use shared::voltage::Voltage;
use testing::Result;

use crate::ground::{Ground, problems, upstream_with};

const BTCPAY: (&str, &str) = ("BTCPAY_SECRET", "satchel/btcpay");
const VOLTAGE: (&str, &str) = ("VOLTAGE_SECRET", "satchel/voltage");

/// Wires everything with some variables changed, and returns what is wrong.
async fn wrong(changed: &[(&str, &str)]) -> Result<String> {
    let mut ground = Ground::new().await?;
    for (name, value) in changed {
        ground = ground.with(name, value);
    }
    let mut config = ground.config();
    let upstream = Upstream::wire(&mut config);
    Btcpay::wire(&mut config, &upstream);
    Voltage::wire(&mut config, &upstream);
    problems(config).await
}

#[tokio::test]
async fn a_provider_nobody_configured_is_not_there() -> Result<()> {
    let mut config = Ground::new().await?.config();
    let upstream = Upstream::wire(&mut config);
    assert!(Btcpay::wire(&mut config, &upstream).is_none());
    assert!(Voltage::wire(&mut config, &upstream).is_none());
    config.finish().await?;
    Ok(())
}

#[tokio::test]
async fn half_a_provider_is_a_problem() -> Result<()> {
    assert!(wrong(&[BTCPAY]).await?.contains("BTCPAY_URL is missing"));
    assert!(wrong(&[("BTCPAY_URL", "https://pay.example")]).await?.contains("BTCPAY_SECRET is missing"));
    Ok(())
}

#[tokio::test]
async fn a_node_that_would_let_everybody_in_is_a_problem() -> Result<()> {
    for nobody in ["", " ", ","] {
        let wrong = wrong(&[VOLTAGE, ("EGRESS_ADDRESSES", nobody)]).await?;
        assert!(wrong.contains("1 problem(s): EGRESS_ADDRESSES is missing"), "{nobody:?}: {wrong}");
    }
    for half in ["any,192.0.2.1", "ANY", "192.0.2.0/24", "nat.example.com"] {
        let wrong = wrong(&[VOLTAGE, ("EGRESS_ADDRESSES", half)]).await?;
        assert!(wrong.contains("1 problem(s): EGRESS_ADDRESSES is not a list"), "{half}: {wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn a_url_in_the_clear_is_a_problem_unless_the_operator_allows_it() -> Result<()> {
    // Secrets Manager's own address is in the clear here as well, so that there are four.
    let clear = [
        ("ALLOW_HTTP_PROVIDERS", "false"),
        ("BTCPAY_URL", "http://pay.example"),
        BTCPAY,
        VOLTAGE,
        ("VOLTAGE_URL", "http://voltage.example"),
        ("VOLTAGE_NODE_URL", "http://{api_endpoint}:8080"),
    ];
    let wrong = wrong(&clear).await?;
    for name in ["BTCPAY_URL", "VOLTAGE_URL", "VOLTAGE_NODE_URL"] {
        let said = format!("{name} is not https, and ALLOW_HTTP_PROVIDERS is not true");
        assert!(wrong.contains(&said), "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn every_wrong_value_is_named_and_none_repeated() -> Result<()> {
    let wrong = wrong(&[
        ("BTCPAY_URL", "https://canary:canary@pay.example"),
        BTCPAY,
        VOLTAGE,
        ("VOLTAGE_URL", "https://voltage.example/?canary"),
        ("VOLTAGE_NODE_URL", "https://canary:8080"),
        ("VOLTAGE_NETWORK", "canary"),
        ("VOLTAGE_NODE_TYPE", "canary"),
        ("VOLTAGE_PURCHASED_TYPE", "canary"),
        ("VOLTAGE_NODE_CERTIFICATE", "canary"),
        ("EGRESS_ADDRESSES", "192.0.2.1,canary"),
        ("UPSTREAM_TIMEOUT_MILLISECONDS", "canary"),
        ("UPSTREAM_RETRY_MILLISECONDS", "60001"),
    ])
    .await?;
    assert!(wrong.contains("has 10 problem(s)"), "{wrong}");
    assert!(!wrong.contains("canary"), "{wrong}");
    Ok(())
}

#[tokio::test]
async fn a_key_no_header_can_hold_is_a_problem() -> Result<()> {
    for key in ["", "canary\\n", "canary key", "canary\\u00e9", &"canary".repeat(100)] {
        let ground = Ground::new().await?.with("BTCPAY_URL", "https://pay.example").with(BTCPAY.0, BTCPAY.1);
        ground.sandbox.secrets().put("satchel/btcpay", &format!(r#"{{"api_key":"{key}"}}"#));
        let mut config = ground.config();
        let upstream = Upstream::wire(&mut config);
        Btcpay::wire(&mut config, &upstream);
        let wrong = problems(config).await?;
        assert!(wrong.contains("BTCPAY_SECRET") && !wrong.contains("canary"), "{wrong}");
    }
    Ok(())
}

#[test]
fn a_node_is_not_called_in_the_clear() {
    let upstream = upstream_with(&[("ALLOW_HTTP_PROVIDERS", "false")]);
    for url in ["http://node.example:8080", "node.example", "https://user:pw@node.example", ""] {
        let error = Lnd::at(&upstream, url, &Pins::public()).err().unwrap();
        assert_eq!((error.code, error.failure), (code::LND_URL_REFUSED, Failure::Final), "{url}");
    }
    assert!(Lnd::at(&upstream, "https://node.example:8080/n1", &Pins::public()).is_ok());
}

#[tokio::test]
async fn a_nodes_url_is_made_from_its_host_name() -> Result<()> {
    let ground = Ground::new().await?;
    let voltage = ground.voltage("https://voltage.example").await?;
    assert_eq!(voltage.node_url("n.t.voltageapp.io"), "https://n.t.voltageapp.io:8080");
    let ground = ground.with("VOLTAGE_NODE_URL", "http://127.0.0.1:4000/{api_endpoint}/");
    let voltage = ground.voltage("https://voltage.example").await?;
    assert_eq!(voltage.node_url("n.t.voltageapp.io"), "http://127.0.0.1:4000/n.t.voltageapp.io");
    Ok(())
}
