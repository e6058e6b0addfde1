//! The real binary, and what it stands on going away.

use std::time::Duration;

use sandbox::Service;
use serde_json::{Value, json};
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, deployment};

use super::{NAME, account, append, event, run_sql};

const BINARY: &str = env!("CARGO_BIN_EXE_seal_audit_heads");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);
/// Shorter than the first retry waits.
const A_MOMENT: Duration = Duration::from_millis(500);

/// The report of one invocation.
async fn report(api: &RuntimeApi) -> Result<Value> {
    let invocation = api.invoke(&event()?).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
}

async fn line(api: &RuntimeApi, text: &str) -> Result<Value> {
    Ok(serde_json::from_str(&api.wait_for_log(text, LOGGED_WITHIN).await?)?)
}

/// Lets nobody connect to the database, or everybody again.
async fn allow_connections(world: &World, allowed: bool) -> Result<()> {
    let elsewhere = deployment::sibling(&world.db.admin_database_url()?, "postgres", None)?;
    let admin = deployment::connect(&elsewhere).await?;
    Ok(admin.batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", world.db.name)).await?)
}

#[tokio::test]
async fn the_binary_answers_its_event_with_the_report_and_logs_it() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 2).await?;
    let api = world.binary(BINARY, NAME).await?;

    assert_eq!(report(&api).await?, json!({ "sealed": 1, "broken": 0 }));
    assert_eq!(report(&api).await?, json!({ "sealed": 0, "broken": 0 }));

    let line = line(&api, r#"\"sealed\":1"#).await?;
    assert_eq!(
        (&line["level"], &line["target"], &line["function"]),
        (&json!("INFO"), &json!("job"), &json!(NAME))
    );
    assert!(!api.logs().iter().any(|line| line.contains("AuditGap")), "{:#?}", api.logs());
    Ok(())
}

#[tokio::test]
async fn a_gap_is_logged_as_an_error_and_counted() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 3).await?;
    append(&world, Some(account(2)), 3).await?;
    run_sql(&world, &format!("DELETE FROM audit_logs WHERE chain = '{}' AND seq = 2", account(1))).await?;
    let api = world.binary(BINARY, NAME).await?;

    assert_eq!(report(&api).await?, json!({ "sealed": 1, "broken": 1 }));

    let told = line(&api, "the audit log is not what was written").await?;
    assert_eq!((&told["level"], &told["target"]), (&json!("ERROR"), &json!("audit")));
    assert_eq!(told["broken"], json!(format!("chain {}, row 2: is missing", account(1))));
    // CloudWatch takes a line of this form as a metric; the template's alarm watches the name.
    let counted = line(&api, "AuditGap").await?;
    assert_eq!((&counted["AuditGap"], &counted["Function"]), (&json!(1), &json!(NAME)));
    let directive = &counted["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Satchel");
    assert_eq!(directive["Dimensions"], json!([["Function"]]));
    assert_eq!(directive["Metrics"], json!([{ "Name": "AuditGap", "Unit": "Count" }]));
    assert!(counted["_aws"]["Timestamp"].as_i64().is_some_and(|at| at > 1_767_960_000_000), "{counted}");
    assert_eq!(api.logs().iter().filter(|line| line.contains("AuditGap")).count(), 1);
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let missing = ["DATABASE_SECRET is missing", "AUDIT_SECRET is missing"];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await?;

    let secrets = world.sandbox.secrets();
    secrets.put("satchel/weak", r#"{"password":"canary-7"}"#);
    let one_byte = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    for (key, problem) in [
        (one_byte, "is one repeated byte"),
        ("Y2FuYXJ5", "is not the document expected"),
        ("", "is not the document expected"),
        ("canary, and no base64", "is not the document expected"),
    ] {
        secrets.put("satchel/weak_audit", &json!({ "key": key }).to_string());
        let weak = [("DATABASE_SECRET", "satchel/weak"), ("AUDIT_SECRET", "satchel/weak_audit")];
        let problem = format!("AUDIT_SECRET: secret satchel/weak_audit {problem}");
        let problems = ["DATABASE_SECRET: secret satchel/weak is not the document expected", &problem];
        let unquoted = ["canary", "Y2FuYXJ5", "QUFB"];
        binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &weak), &problems, &unquoted)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_waits_for_its_database() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 1).await?;
    let api = world.binary(BINARY, NAME).await?;
    allow_connections(&world, false).await?;

    let (report, back) = tokio::join!(report(&api), async {
        tokio::time::sleep(A_MOMENT).await;
        allow_connections(&world, true).await
    });

    back?;
    assert_eq!(report?, json!({ "sealed": 1, "broken": 0 }));
    assert_eq!(line(&api, "the database is away").await?["wait_seconds"], json!(1));
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_fails_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 1).await?;
    world.sandbox.faults().down(Service::SecretsManager);
    let api = world.binary(BINARY, NAME).await?;

    let invocation = api.invoke(&event()?).await?;
    assert!(invocation.is_error, "{invocation:?}");
    let message = invocation.json()?["errorMessage"].to_string();
    assert!(message.contains("secret satchel/audit could not be fetched"), "{message}");
    let told = line(&api, r#""target":"job""#).await?;
    assert_eq!((&told["level"], &told["function"]), (&json!("ERROR"), &json!(NAME)));

    world.sandbox.faults().up(Service::SecretsManager);
    assert_eq!(report(&api).await?, json!({ "sealed": 1, "broken": 0 }));
    Ok(())
}
