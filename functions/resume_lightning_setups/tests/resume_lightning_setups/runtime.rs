//! The real binary, and what it stands on going away.

use std::time::Duration;

use sandbox::Service;
use serde_json::{Value, json};
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, deployment, request};

use super::{NAME, begin_many, one_store_and_one_node_each, run_sql};

const BINARY: &str = env!("CARGO_BIN_EXE_resume_lightning_setups");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);
/// Shorter than the first retry waits.
const A_MOMENT: Duration = Duration::from_millis(500);

async fn report(api: &RuntimeApi) -> Result<Value> {
    let invocation = api.invoke(&serde_json::from_str(&request::event_text(NAME)?)?).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
}

fn told(finished: u64) -> Value {
    let settled = json!({ "setups": 0, "stores_deleted": 0, "nodes_deleted": 0 });
    json!({ "resumed": finished, "finished": finished, "failed": 0, "waiting": 0, "unlocked": 0, "settled": settled })
}

/// The value of a metric, in the last line that has it.
async fn metric(api: &RuntimeApi, name: &str) -> Result<u64> {
    api.wait_for_log(&format!("\"{name}\":"), LOGGED_WITHIN).await?;
    let lines = api.logs();
    let mut values =
        lines.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok()?[name].as_u64());
    values.next().ok_or_else(|| anyhow::anyhow!("{name} has no value"))
}

#[tokio::test]
async fn the_binary_answers_its_event_with_the_report_and_writes_its_metrics() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let setups = begin_many(&world, 3).await?;
    run_sql(&world, "UPDATE lightning_setups SET due_at = due_at - interval '100 seconds'").await?;
    let api = world.binary(BINARY, NAME).await?;

    assert_eq!(report(&api).await?, told(3));

    assert_eq!(metric(&api, "SetupsDue").await?, 3);
    let oldest = metric(&api, "SetupOldestDueSeconds").await?;
    assert!((100..110).contains(&oldest), "{oldest} s");
    assert_eq!(metric(&api, "SetupsResumed").await?, 3);
    metric(&api, "DatabaseRollbacks").await?;
    let line: Value = serde_json::from_str(&api.wait_for_log(r#"\"finished\":3"#, LOGGED_WITHIN).await?)?;
    assert_eq!(
        (&line["level"], &line["target"], &line["function"]),
        (&json!("INFO"), &json!("job"), &json!(NAME))
    );
    one_store_and_one_node_each(&world, &setups).await?;

    assert_eq!(report(&api).await?, told(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(metric(&api, "SetupsDue").await?, 0);
    assert_eq!(metric(&api, "SetupOldestDueSeconds").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let bare =
        binary::bare_environment(&world, &[("RESUME_CONCURRENCY", "canary"), ("VOLTAGE_NETWORK", "canary")]);
    let problems = [
        "RESUME_CONCURRENCY is not a number from 1 to 50",
        "DATABASE_SECRET is missing",
        "AUDIT_SECRET is missing",
        "SEALING_SECRET is missing",
        "MARKER_SECRET is missing",
        "DEPLOYMENT_ID is missing",
        "LIGHTNING_ADDRESS_DOMAIN is missing",
        "VOLTAGE_NETWORK is none of testnet, mainnet, regtest",
        "ISSUER_URL is missing",
        "APP_DOMAIN is missing",
    ];
    binary::refuses_to_start(BINARY, &bare, &problems, &["canary"]).await
}

#[tokio::test]
async fn a_database_that_comes_back_within_seconds_is_waited_for() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    let elsewhere = deployment::sibling(&world.db.admin_database_url()?, "postgres", None)?;
    let admin = deployment::connect(&elsewhere).await?;
    let allow = |allowed: bool| format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", world.db.name);
    admin.batch_execute(&allow(false)).await?;

    let (report, back) = tokio::join!(report(&api), async {
        tokio::time::sleep(A_MOMENT).await;
        admin.batch_execute(&allow(true)).await
    });

    back?;
    assert_eq!(report?, told(0));
    api.wait_for_log("the database is away", LOGGED_WITHIN).await?;
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let setups = begin_many(&world, 1).await?;
    world.sandbox.faults().down(Service::SecretsManager);
    let api = world.binary(BINARY, NAME).await?;
    world.sandbox.faults().up(Service::SecretsManager);
    assert_eq!(report(&api).await?, told(1));
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn a_refusal_of_the_database_fails_the_invocation_and_tells_why() -> Result<()> {
    let world = World::start().await?;
    run_sql(&world, "REVOKE UPDATE ON lightning_setups FROM satchel_jobs").await?;
    let api = world.binary(BINARY, NAME).await?;

    let invocation = api.invoke(&serde_json::from_str(&request::event_text(NAME)?)?).await?;

    assert!(invocation.is_error, "{invocation:?}");
    let message = invocation.json()?["errorMessage"].to_string();
    assert!(message.contains("permission denied for table lightning_setups"), "{message}");
    Ok(())
}
