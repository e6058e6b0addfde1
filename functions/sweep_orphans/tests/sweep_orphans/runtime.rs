//! The real binary, and what it stands on going away.

use std::time::Duration;

use sandbox::Service;
use serde_json::{Value, json};
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, request};

use super::{Account, NAME};

const BINARY: &str = env!("CARGO_BIN_EXE_sweep_orphans");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

async fn invoke(api: &RuntimeApi) -> Result<Value> {
    let invocation = api.invoke(&serde_json::from_str(&request::event_text(NAME)?)?).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
}

#[tokio::test]
async fn the_binary_answers_with_the_report_and_tells_of_each_orphan() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let account = Account::new(&world).await?;
    let (store, node) = (account.store_of_nobody()?, account.node_of_nobody().await?);
    let api = world.binary(BINARY, NAME).await?;

    let report = invoke(&api).await?;

    let kinds: Vec<_> = report["orphans"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|orphan| (&orphan["kind"], &orphan["id"]))
        .collect();
    assert_eq!(kinds, [(&json!("btcpay_store"), &json!(store)), (&json!("voltage_node"), &json!(node))]);
    for id in [&store, &node] {
        let line = api.wait_for_log(&format!("\"id\":\"{id}\""), LOGGED_WITHIN).await?;
        let line: Value = serde_json::from_str(&line)?;
        assert_eq!((&line["level"], &line["target"]), (&json!("WARN"), &json!("orphan")), "{line}");
        assert_eq!(line["report_id"], report["id"]);
    }
    api.wait_for_log("\"OrphansFound\":2", LOGGED_WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn the_binary_says_when_there_are_none() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    assert_eq!(invoke(&api).await?["orphans"], json!([]));
    api.wait_for_log("\"OrphansFound\":0", LOGGED_WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let bare = binary::bare_environment(&world, &[("DEPLOYMENT_ID", "Canary-Id")]);
    let problems = [
        "DEPLOYMENT_ID is not 1 to 8 letters a-z and digits",
        "DATABASE_SECRET is missing",
        "AUDIT_SECRET is missing",
        "SEALING_SECRET is missing",
        "MARKER_SECRET is missing",
        "LIGHTNING_ADDRESS_DOMAIN is missing",
        "ISSUER_URL is missing",
        "APP_DOMAIN is missing",
    ];
    binary::refuses_to_start(BINARY, &bare, &problems, &["Canary"]).await
}

#[tokio::test]
async fn a_provider_that_is_away_fails_the_invocation_and_the_process_lives_on() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    world.sandbox.faults().away(Service::Btcpay);
    let event = serde_json::from_str(&request::event_text(NAME)?)?;
    let failed = api.invoke(&event).await?;
    assert!(failed.is_error, "{failed:?}");
    let message = failed.json()?["errorMessage"].to_string();
    assert!(message.contains("BTCPAY_"), "{message}");
    world.sandbox.faults().back(Service::Btcpay);
    assert_eq!(invoke(&api).await?["orphans"], json!([]));
    Ok(())
}
