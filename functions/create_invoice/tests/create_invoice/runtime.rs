//! The real binary, and what it stands on going away.

use create_invoice::Deps;
use serde_json::json;
use testing::{Result, World, binary, deployment};

use super::{DID, NAME, Owner, order, paid_by, rows, send, start, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_create_invoice");

#[tokio::test]
async fn the_binary_makes_an_invoice_and_logs_neither_it_nor_a_key() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let api = world.binary(BINARY, NAME).await?;
    let body = json!({ "amount_msat": 250_000, "memo": "canary-memo" });
    let call = owner.call(&body).header("idempotency-key", "canary-key");
    let answer = binary::call(&api, &call).await?;
    paid_by(&answer)?;
    let again = binary::call(&api, &call).await?;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &answer.body));
    binary::survives_bad_base64(&api, &call).await?;
    binary::logs_the_request_once(&api, &call).await?;
    assert_eq!((owner.at_btcpay(&world), rows(&world, "invoices").await?), (1, 1));

    let logs = api.logs().join("\n");
    let bolt11 = answer.text("/bolt11")?;
    for secret in ["canary", deployment::BTCPAY_KEY, &owner.user.access_token, bolt11] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    assert!(logs.contains("\"InvoiceCreated\":1"), "{logs}");
    Ok(())
}

#[tokio::test]
async fn the_binary_counts_a_failure_and_says_why_to_the_log_alone() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    owner.node.set_network(sandbox::lnd::Network::Mainnet);
    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::call(&api, &owner.call(&order())).await?;
    assert_eq!(answer.refusal()?, (502, "UPSTREAM_FAILED"));
    assert!(!answer.reply.body.contains("network"), "{answer:?}");
    let line = api.wait_for_log("of another network", std::time::Duration::from_secs(5)).await?;
    assert!(line.contains("\"status\":502") && !line.contains("lnbc"), "{line}");
    assert!(api.logs().join("\n").contains("\"InvoiceFailed\":1"));
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
        "AUDIT_SECRET is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn the_binary_names_every_weak_value_at_once_and_quotes_none() -> Result<()> {
    let world = World::start().await?;
    let secrets = world.sandbox.secrets();
    secrets.put("w/audit", "canary");
    secrets.put("w/btcpay", r#"{"api_key":"canary key"}"#);
    let weak = [
        ("DATABASE_SECRET", "w/nowhere"),
        ("AUDIT_SECRET", "w/audit"),
        ("ISSUER_URL", "https://canary.example?x=1"),
        ("TOKEN_AUDIENCE", "satchel"),
        ("BTCPAY_URL", "ftp://canary.example"),
        ("BTCPAY_SECRET", "w/btcpay"),
        ("LIGHTNING_NETWORK", "canary-net"),
        ("UPSTREAM_TIMEOUT_MILLISECONDS", "canary"),
        ("RATE_LIMIT_INVOICES_PER_USER", "0"),
        ("INVOICE_MAX_SATS", "5000000000"),
    ];
    let problems = [
        "DATABASE_SECRET: secret w/nowhere does not exist",
        "AUDIT_SECRET: secret w/audit is not the document expected",
        "ISSUER_URL is not an https URL",
        "BTCPAY_URL is not https",
        "BTCPAY_SECRET: secret w/btcpay has an api_key that is not printable ASCII without blanks",
        "LIGHTNING_NETWORK is none of mainnet, testnet, signet, regtest",
        "UPSTREAM_TIMEOUT_MILLISECONDS is not a number from",
        "RATE_LIMIT_INVOICES_PER_USER is not a number from 1 to 1000000",
        "INVOICE_MAX_SATS is not a number from 1 to 4294967295",
    ];
    let environment = binary::bare_environment(&world, &weak);
    binary::refuses_to_start(BINARY, &environment, &problems, &["canary"]).await
}

#[tokio::test]
async fn with_btcpay_switched_off_it_starts_and_makes_nothing() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("BTCPAY_URL", ""), ("BTCPAY_SECRET", "")], Deps::wire).await?;
    let answer = send(&deps, &owner.call(&order())).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("60"));
    Ok(())
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    world.take_database_away("api")?;
    let answer = send(&wire(&world).await?, &owner.call(&order())).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(owner.at_btcpay(&world), 0);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_shown() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_api").await?;
    let answer = send(&wire(&world).await?, &owner.call(&order())).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    super::nothing_is_shown(&world, &answer).await
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &owner.call(&order())).await
}
