//! The real binary, and what it stands on going away.

use std::time::Duration;

use sandbox::Service;
use serde_json::{Value, json};
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, deployment, request};

use super::{NAME, NOTHING, clean, put_challenges, run_sql, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_clean_up");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);
/// Shorter than the first retry waits.
const A_MOMENT: Duration = Duration::from_millis(500);

fn event() -> Result<Value> {
    Ok(serde_json::from_str(&request::event_text(NAME)?)?)
}

/// The report of one invocation.
async fn report(api: &RuntimeApi) -> Result<Value> {
    let invocation = api.invoke(&event()?).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
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
    world.catch_up();
    put_challenges(&world, &["25 hours", "-5 minutes"]).await?;
    let api = world.binary(BINARY, NAME).await?;

    let all = |challenges| {
        json!({
            "challenges": challenges, "rate_limits": 0, "idempotency_keys": 0, "seeds": 0, "breakers": 0,
            "webhook_events": 0, "messages": 0, "locks": 0, "sessions": 0, "one_time_tokens": 0, "oauth_states": 0,
            "mails": 0, "accounts": 0,
        })
    };
    assert_eq!(report(&api).await?, all(2));
    assert_eq!(report(&api).await?, all(0));

    let line: Value = serde_json::from_str(&api.wait_for_log(r#"\"challenges\":2"#, LOGGED_WITHIN).await?)?;
    assert_eq!(
        (&line["level"], &line["target"], &line["function"]),
        (&json!("INFO"), &json!("job"), &json!(NAME))
    );
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let bare = binary::bare_environment(&world, &[]);
    binary::refuses_to_start(BINARY, &bare, &["DATABASE_SECRET is missing", "AUDIT_SECRET is missing"], &[])
        .await?;

    world.sandbox.secrets().put("satchel/weak", r#"{"password":"canary-7"}"#);
    let weak = [
        ("DATABASE_SECRET", "satchel/weak"),
        ("AUDIT_SECRET", "satchel/weak"),
        ("DATABASE_POOL_SIZE", "canary"),
        ("ACCOUNT_DELETION_DAYS", "canary"),
    ];
    let problems = [
        "DATABASE_SECRET: secret satchel/weak is not the document expected",
        "AUDIT_SECRET: secret satchel/weak is not the document expected",
        "DATABASE_POOL_SIZE is not a number from 1 to 50",
        "ACCOUNT_DELETION_DAYS is not a number from 1 to 365",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &weak), &problems, &["canary"])
        .await?;
    let unknown = [("DATABASE_SECRET", "satchel/none"), ("AUDIT_SECRET", "satchel/audit")];
    let unknown = binary::bare_environment(&world, &unknown);
    binary::refuses_to_start(BINARY, &unknown, &["DATABASE_SECRET: secret satchel/none does not exist"], &[])
        .await
}

#[tokio::test]
async fn a_database_that_comes_back_within_seconds_is_waited_for() -> Result<()> {
    let world = World::start().await?;
    put_challenges(&world, &["25 hours"]).await?;
    let deps = wire(&world).await?;
    allow_connections(&world, false).await?;

    let (report, back) = tokio::join!(clean(&deps), async {
        tokio::time::sleep(A_MOMENT).await;
        allow_connections(&world, true).await
    });

    back?;
    assert_eq!(report?.challenges, 2);
    Ok(())
}

#[tokio::test]
async fn the_binary_waits_for_its_database_and_says_so() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    allow_connections(&world, false).await?;

    let (report, back) = tokio::join!(report(&api), async {
        tokio::time::sleep(A_MOMENT).await;
        allow_connections(&world, true).await
    });

    back?;
    assert_eq!(report?, json!(NOTHING));
    let line: Value = serde_json::from_str(&api.wait_for_log("the database is away", LOGGED_WITHIN).await?)?;
    assert_eq!((&line["level"], &line["wait_seconds"]), (&json!("WARN"), &json!(1)));
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.sandbox.faults().down(Service::SecretsManager);
    let api = world.binary(BINARY, NAME).await?;

    let (report, ()) = tokio::join!(report(&api), async {
        tokio::time::sleep(A_MOMENT).await;
        world.sandbox.faults().up(Service::SecretsManager);
    });

    assert_eq!(report?, json!(NOTHING));
    Ok(())
}

#[tokio::test]
async fn a_refusal_of_the_database_fails_the_invocation_at_once_and_tells_why() -> Result<()> {
    let world = World::start().await?;
    run_sql(&world, "REVOKE DELETE ON rate_limits FROM satchel_jobs").await?;
    let api = world.binary(BINARY, NAME).await?;

    let invocation = api.invoke(&event()?).await?;

    assert!(invocation.is_error, "{invocation:?}");
    assert!(invocation.elapsed < Duration::from_secs(1), "{:?}", invocation.elapsed);
    let why = "permission denied for table rate_limits";
    let message = invocation.json()?["errorMessage"].to_string();
    assert!(message.contains(why), "{message}");
    let line: Value = serde_json::from_str(&api.wait_for_log(why, LOGGED_WITHIN).await?)?;
    assert_eq!(
        (&line["level"], &line["target"], &line["function"]),
        (&json!("ERROR"), &json!("job"), &json!(NAME))
    );

    // The process lives on.
    run_sql(&world, "GRANT DELETE ON rate_limits TO satchel_jobs").await?;
    assert_eq!(report(&api).await?, json!(NOTHING));
    Ok(())
}

#[tokio::test]
async fn an_account_that_cannot_be_erased_fails_the_invocation_and_is_told_of_by_its_id() -> Result<()> {
    let world = World::start().await?;
    let id = super::erasure::put_account(&world, Some("31 days")).await?;
    super::erasure::spoil(&world, id).await?;
    let api = world.binary(BINARY, NAME).await?;

    let invocation = api.invoke(&event()?).await?;

    assert!(invocation.is_error, "{invocation:?}");
    let told = api.wait_for_log("ErasureFailed", LOGGED_WITHIN).await?;
    let metric: Value = serde_json::from_str(&told)?;
    assert_eq!((&metric["ErasureFailed"], &metric["Function"]), (&json!(1), &json!(NAME)));
    let line: Value = serde_json::from_str(&api.wait_for_log(&id.to_string(), LOGGED_WITHIN).await?)?;
    assert_eq!((&line["level"], &line["target"]), (&json!("ERROR"), &json!("job")));
    Ok(())
}
