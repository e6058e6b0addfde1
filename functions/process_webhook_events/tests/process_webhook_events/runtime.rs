//! The real binary: what it refuses to start without, and what it tells those who watch.

use std::time::Duration;

use sandbox::Service;
use serde_json::{Value, json};
use shared::webhook::queue::MOST_ATTEMPTS;
use testing::binary::{self, RuntimeApi};
use testing::{Result, World, request};

use super::{NAME, open, run_sql, settled_once};

const BINARY: &str = env!("CARGO_BIN_EXE_process_webhook_events");
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

async fn report(api: &RuntimeApi) -> Result<Value> {
    let invocation = api.invoke(&serde_json::from_str(&request::event_text(NAME)?)?).await?;
    assert!(!invocation.is_error, "{:?}\n{:#?}", invocation.payload, api.logs());
    invocation.json()
}

fn told(done: u64, dead: u64) -> Value {
    json!({ "done": done, "ignored": 0, "dead": dead, "waiting": 0, "claimed": 0, "refetched": 0 })
}

/// The value of a metric, in the last line that has it.
async fn metric(api: &RuntimeApi, name: &str) -> Result<u64> {
    api.wait_for_log(&format!("\"{name}\":"), LOGGED_WITHIN).await?;
    let lines = api.logs();
    let mut parsed = lines.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = parsed.find_map(|line| line[name].as_u64());
    found.ok_or_else(|| anyhow::anyhow!("{name} is no number: {lines:#?}"))
}

#[tokio::test]
async fn it_tells_how_much_waits_how_long_and_what_was_given_up() -> Result<()> {
    let (world, shop) = open().await?;
    let (paid, lost) = (shop.paid(&world).await?, shop.paid(&world).await?);
    shop.told(&world, &lost, "InvoiceSettled").await?;
    run_sql(
        &world,
        &format!(
            "UPDATE webhook_events SET attempts = {}, received_at = now() - interval '2 hours', object_id = 'NoSuchInvoiceAtAll0000'",
            MOST_ATTEMPTS - 1
        ),
    )
    .await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    let api = world.binary(BINARY, NAME).await?;

    assert_eq!(report(&api).await?, told(1, 1));

    assert_eq!(metric(&api, "WebhooksDue").await?, 2);
    assert!((7_190..7_300).contains(&metric(&api, "WebhookOldestSeconds").await?));
    assert_eq!(metric(&api, "WebhooksDead").await?, 0, "it was not dead before this run");
    assert_eq!(metric(&api, "WebhookDied").await?, 1);
    settled_once(&world, &paid).await?;
    assert_eq!(report(&api).await?, told(0, 0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((metric(&api, "WebhooksDue").await?, metric(&api, "WebhooksDead").await?), (0, 1));
    Ok(())
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let bare =
        binary::bare_environment(&world, &[("WEBHOOK_CONCURRENCY", "canary"), ("STRIPE_LIVEMODE", "canary")]);
    let problems = [
        "WEBHOOK_CONCURRENCY is not a number from 1 to 50",
        "STRIPE_LIVEMODE is none of true, false",
        "DATABASE_SECRET is missing",
        "SEALING_SECRET is missing",
    ];
    binary::refuses_to_start(BINARY, &bare, &problems, &["canary"]).await
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let (world, shop) = open().await?;
    let paid = shop.paid(&world).await?;
    shop.told(&world, &paid, "InvoiceSettled").await?;
    world.sandbox.faults().down(Service::SecretsManager);
    let api = world.binary(BINARY, NAME).await?;
    world.sandbox.faults().up(Service::SecretsManager);
    assert_eq!(report(&api).await?, told(1, 0));
    settled_once(&world, &paid).await
}

#[tokio::test]
async fn a_refusal_of_the_database_fails_the_invocation_and_tells_why() -> Result<()> {
    let (world, _) = open().await?;
    run_sql(&world, "REVOKE UPDATE ON webhook_events FROM satchel_jobs").await?;
    let api = world.binary(BINARY, NAME).await?;
    let invocation = api.invoke(&serde_json::from_str(&request::event_text(NAME)?)?).await?;
    assert!(invocation.is_error, "{invocation:?}");
    let message = invocation.json()?["errorMessage"].to_string();
    assert!(message.contains("permission denied for table webhook_events"), "{message}");
    Ok(())
}
