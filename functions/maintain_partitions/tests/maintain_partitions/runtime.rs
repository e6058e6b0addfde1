//! The real binary.

use std::time::Duration;

use serde_json::{Value, json};
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, request};

use super::{NAME, put};

const BINARY: &str = env!("CARGO_BIN_EXE_maintain_partitions");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

async fn report(api: &RuntimeApi) -> Result<Value> {
    let event: Value = serde_json::from_str(&request::event_text(NAME)?)?;
    let invocation = api.invoke(&event).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
}

#[tokio::test]
async fn the_binary_answers_its_event_with_the_report_and_tells_of_rows_without_a_month() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    put(&world, &[world.now() + time::Duration::days(400), world.now()]).await?;
    let api = world.binary(BINARY, NAME).await?;

    let expected = json!({ "waiting": 1, "made": 0, "moved": 0, "deleted": 0, "detached": 0, "dropped": 0 });
    assert_eq!(report(&api).await?, expected);
    let line: Value = serde_json::from_str(&api.wait_for_log("DefaultPartitionRows", LOGGED_WITHIN).await?)?;
    assert_eq!((&line["DefaultPartitionRows"], &line["Function"]), (&json!(1), &json!(NAME)));
    Ok(())
}

#[tokio::test]
async fn the_binary_refuses_a_time_to_keep_that_is_none() -> Result<()> {
    let world = World::start().await?;
    let wrong = binary::bare_environment(&world, &[("ACTIVITY_LOG_RETENTION_DAYS", "0")]);
    let problems =
        ["ACTIVITY_LOG_RETENTION_DAYS is not a number from 1 to 3650", "DATABASE_SECRET is missing"];
    binary::refuses_to_start(BINARY, &wrong, &problems, &[]).await
}
