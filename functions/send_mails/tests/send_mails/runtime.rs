//! The real binary.

use serde_json::{Value, json};
use shared::mail::Kind;
use testing::{Result, World, request};
use time::Duration;

use super::{EMAIL, NAME, TOKEN, write};

const BINARY: &str = env!("CARGO_BIN_EXE_send_mails");

#[tokio::test]
async fn the_binary_answers_its_event_with_the_report_and_logs_neither_address_nor_token() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    world.advance(Duration::minutes(-2));
    write(&world, Kind::VerifyEmail, EMAIL).await?;
    write(&world, Kind::VerifyEmail, "refused@example.com").await?;
    world.sandbox.mail().refuse("refused@example.com", "MessageRejected");
    let api = world.binary(BINARY, NAME).await?;
    let event: Value = serde_json::from_str(&request::event_text(NAME)?)?;
    let invocation = api.invoke(&event).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    assert_eq!(invocation.json()?, json!({ "sent": 1, "waiting": 0, "dead": 1 }));
    api.wait_for_log("a mail was given up", std::time::Duration::from_secs(5)).await?;
    let logs = api.logs().join("\n");
    for secret in [EMAIL, "refused@", TOKEN] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    Ok(())
}
