//! The real binary, and what it stands on going away.

use serde_json::json;
use testing::{Result, World, binary};

use super::{DID, NAME, User, one_of_each, rows, satoshi, send, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_setup_lightning");

#[tokio::test]
async fn the_binary_sets_up_hands_over_and_logs_no_secret() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = User::new(&world, DID, "alice").await?;
    let api = world.binary(BINARY, NAME).await?;
    let none = binary::call(&api, &user.status()).await?;
    assert_eq!((none.status.as_u16(), none.text("/status")?), (200, "none"));
    let answer = binary::call(&api, &user.setup(&satoshi())).await?;
    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (200, "fully_configured"), "{answer:?}");
    one_of_each(&world).await?;
    let again = binary::call(&api, &user.retry()).await?;
    assert_eq!((again.status, &again.body), (answer.status, &answer.body));
    let seed = binary::call(&api, &user.handover()).await?;
    assert_eq!((seed.status.as_u16(), seed.header("cache-control")), (200, Some("no-store")));

    let store = &world.sandbox.btcpay().stores()[0];
    let connected = store.payment_method.as_ref().map(|method| method.connection_string.clone());
    let words: Vec<&str> =
        seed.body["seed"].as_array().into_iter().flatten().filter_map(|word| word.as_str()).collect();
    let logs = api.logs().join("\n");
    let macaroon = connected.as_deref().and_then(|text| text.split("macaroon=").nth(1)).unwrap_or_default();
    let macaroon = macaroon.split(';').next().unwrap_or_default();
    assert!(macaroon.len() > 100 && words.len() == 24, "{connected:?}");
    let secrets = [
        macaroon,
        &words[..4].join(" "),
        &words[..2].join("\",\""),
        &store.webhooks[0].secret,
        "sandbox-btcpay-key",
    ];
    for secret in [&secrets[..], &["sandbox-voltage-key", &user.session.access_token]].concat() {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    for count in ["SetupStarted", "SetupFinished"] {
        let lines = api.logs().iter().filter(|line| line.contains(&format!("\"{count}\":1"))).count();
        assert_eq!(lines, 1, "{count} in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_the_event_file_and_lives_on_after_bad_events() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::event_file(&api, NAME).await?;
    assert_eq!(answer.refusal()?, (401, "UNAUTHENTICATED"), "its token is nobody's");
    world.catch_up();
    let user = User::new(&world, DID, "alice").await?;
    binary::survives_bad_base64(&api, &user.setup(&satoshi())).await?;
    binary::logs_the_request_once(&api, &user.setup(&satoshi())).await
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "AUDIT_SECRET is missing",
        "MARKER_SECRET is missing",
        "DEPLOYMENT_ID is missing",
        "LIGHTNING_ADDRESS_DOMAIN is missing",
        "SEALING_SECRET is missing",
        "APP_DOMAIN is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn the_binary_names_every_weak_value_at_once_and_quotes_none() -> Result<()> {
    let world = World::start().await?;
    let mut environment = world.environment(NAME)?;
    let secrets = world.sandbox.secrets();
    secrets.put("w/marker", &json!({ "key": "Y2FuYXJ5" }).to_string());
    secrets.put("w/btcpay", &json!({ "key": "canary" }).to_string());
    let weak = [
        ("MARKER_SECRET", "w/marker"),
        ("BTCPAY_SECRET", "w/btcpay"),
        ("VOLTAGE_SECRET", "w/nowhere"),
        ("SETUP_ENABLED", "canary"),
        ("SETUP_RUN_SECONDS", "29"),
        ("DEPLOYMENT_ID", "Canary"),
        ("EGRESS_ADDRESSES", "canary"),
        ("WEBHOOK_BASE_URL", "http://canary.example"),
        ("ALLOW_HTTP_PROVIDERS", "canary"),
    ];
    environment.extend(weak.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let exit =
        binary::RuntimeApi::expect_exit(BINARY, &environment, std::time::Duration::from_secs(10)).await?;
    let said = exit.lines.join("\n");
    for (name, _) in weak {
        assert!(said.contains(name), "{name} is not named:\n{said}");
    }
    assert!(!exit.status.success() && !said.to_lowercase().contains("canary"), "{said}");
    Ok(())
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    world.take_database_away("api")?;
    let deps = wire(&world).await?;
    for call in [user.setup(&satoshi()), user.status(), user.retry(), user.handover()] {
        let answer = send(&deps, &call).await?;
        assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(rows(&world, "lightning_setups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = User::new(&world, DID, "alice").await?;
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &user.setup(&satoshi())).await
}
