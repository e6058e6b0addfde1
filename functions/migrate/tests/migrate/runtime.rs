//! The real binary, and what it stands on going away.

use std::time::Duration;

use sandbox::Service;
use serde_json::{Value, json};
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, request};

use super::{NAME, empty_world, names, run_sql, steps};

const BINARY: &str = env!("CARGO_BIN_EXE_migrate");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

fn event() -> Result<Value> {
    Ok(serde_json::from_str(&request::event_text(NAME)?)?)
}

/// The report of one invocation.
async fn report(api: &RuntimeApi) -> Result<Value> {
    let invocation = api.invoke(&event()?).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
}

/// What one invocation that fails tells whoever invoked it; the log is to tell the same.
async fn failure(api: &RuntimeApi) -> Result<String> {
    let invocation = api.invoke(&event()?).await?;
    assert!(invocation.is_error, "{invocation:?}");
    let message = invocation.json()?["errorMessage"].as_str().unwrap_or_default().to_owned();
    let line: Value = serde_json::from_str(&api.wait_for_log(r#""level":"ERROR""#, LOGGED_WITHIN).await?)?;
    assert_eq!((&line["target"], &line["function"]), (&json!("job"), &json!(NAME)));
    assert_eq!(line["error"], json!(message));
    Ok(message)
}

#[tokio::test]
async fn the_binary_answers_with_the_steps_it_ran() -> Result<()> {
    let world = empty_world().await?;
    let api = world.binary(BINARY, NAME).await?;

    assert_eq!(report(&api).await?, json!({ "applied": names(&steps()?) }));
    assert_eq!(report(&api).await?, json!({ "applied": [] }));

    let line: Value = serde_json::from_str(&api.wait_for_log(r#"\"applied\":[]"#, LOGGED_WITHIN).await?)?;
    assert_eq!(
        (&line["level"], &line["target"], &line["function"]),
        (&json!("INFO"), &json!("job"), &json!(NAME))
    );
    Ok(())
}

#[tokio::test]
async fn two_processes_at_once_run_each_step_once() -> Result<()> {
    let world = empty_world().await?;
    let (first, second) = (world.binary(BINARY, NAME).await?, world.binary(BINARY, NAME).await?);

    let (first, second) = tokio::join!(report(&first), report(&second));

    let (all, nothing) = (json!({ "applied": names(&steps()?) }), json!({ "applied": [] }));
    let done = [first?, second?];
    assert!(done == [all.clone(), nothing.clone()] || done == [nothing, all], "{done:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_invokes_it_learns_why_it_refused() -> Result<()> {
    let world = World::start().await?;
    run_sql(&world, "UPDATE schema_migrations SET checksum = sha256('another text') WHERE version = 4")
        .await?;
    let api = world.binary(BINARY, NAME).await?;
    assert_eq!(failure(&api).await?, "migration 4 was edited after it ran");
    Ok(())
}

#[tokio::test]
async fn whoever_invokes_it_learns_what_the_database_said() -> Result<()> {
    let world = empty_world().await?;
    run_sql(&world, "CREATE TABLE nodes (mine text)").await?;
    let api = world.binary(BINARY, NAME).await?;
    let message = failure(&api).await?;
    assert!(message.starts_with("migration 3 failed and was rolled back: "), "{message}");
    assert!(message.contains(r#"relation "nodes" already exists"#), "{message}");
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_problem_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let bare = binary::bare_environment(&world, &[]);
    binary::refuses_to_start(BINARY, &bare, &["DATABASE_SECRET is missing"], &[]).await?;

    let mut document = json!({
        "host": "canary.example", "port": 5432, "dbname": "canary", "username": "canary", "password": "canary",
    });
    for (sslmode, problem) in [
        ("disable", "turns TLS off for a host that is not this machine"),
        ("canary", "has an sslmode other than require, verify-full or disable"),
    ] {
        document["sslmode"] = json!(sslmode);
        world.sandbox.secrets().put("satchel/weak", &document.to_string());
        let weak = binary::bare_environment(&world, &[("DATABASE_SECRET", "satchel/weak")]);
        let problem = format!("DATABASE_SECRET: secret satchel/weak {problem}");
        binary::refuses_to_start(BINARY, &weak, &[&problem], &["canary"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_its_database_it_fails_at_once_and_leaves_trying_again_to_the_deploy() -> Result<()> {
    let world = World::start().await?;
    let name = "satchel/database/owner";
    let good = world.sandbox.secrets().get(name).unwrap_or_default();
    world.take_database_away("owner")?;
    let api = world.binary(BINARY, NAME).await?;
    let message = failure(&api).await?;
    assert!(message.contains("Connection refused"), "{message}");

    // A process that is there knows the address for five minutes; the next one reads it anew.
    world.sandbox.secrets().put(name, &good);
    let api = world.binary(BINARY, NAME).await?;
    assert_eq!(report(&api).await?, json!({ "applied": [] }));
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_fails_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.sandbox.faults().down(Service::SecretsManager);
    let api = world.binary(BINARY, NAME).await?;
    let message = failure(&api).await?;
    assert!(message.contains("secret satchel/database/owner could not be fetched"), "{message}");

    world.sandbox.faults().up(Service::SecretsManager);
    assert_eq!(report(&api).await?, json!({ "applied": [] }));
    Ok(())
}
