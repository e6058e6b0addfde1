//! What providers told us, and what later parts were told.

use testing::{Result, World};

use super::{NOTHING, Report, clean, contents, run_sql, texts, wire};

/// One event of each state for each age: how long ago it was finished, or came in if it is not.
async fn put_events(world: &World, ages: &[&str]) -> Result<()> {
    let ages = ages.join("'), ('");
    let sql = format!(
        "INSERT INTO webhook_events (id, provider, account, webhook_id, event_id, type, body_sealed, state, due_at,
             finished_at, received_at)
         SELECT gen_random_uuid(), 'stripe', '', '', state || ' ' || age, 'charge.refunded', 'sealed', state,
                CASE WHEN state = 'received' THEN at END, CASE WHEN state <> 'received' THEN at END, at
         FROM (VALUES ('{ages}')) AS a (age), (VALUES ('received'), ('ignored'), ('done'), ('dead')) AS s (state),
              LATERAL (SELECT '{now}'::timestamptz - age::interval) AS t (at)",
        now = world.now()
    );
    run_sql(world, &sql).await
}

/// One message for each age: how long ago it was published, which one of them never was.
async fn put_messages(world: &World, ages: &[&str]) -> Result<()> {
    let ages = ages.join("'), ('");
    let sql = format!(
        "INSERT INTO outbox (id, topic, key, version, payload, created_at, published_at, next_attempt_at)
         SELECT gen_random_uuid(), 'entitlement.granted', age, 1, '{{}}', '{now}'::timestamptz - interval '1 year',
                CASE WHEN age <> 'never' THEN '{now}'::timestamptz - NULLIF(age, 'never')::interval END, now()
         FROM (VALUES ('{ages}')) AS a (age)",
        now = world.now()
    );
    run_sql(world, &sql).await
}

#[tokio::test]
async fn an_event_goes_ninety_days_after_it_was_done_with_and_one_that_is_not_stays() -> Result<()> {
    let world = World::start().await?;
    put_events(&world, &["0", "90 days", "90 days 1 microsecond", "400 days"]).await?;
    let deps = wire(&world).await?;

    assert_eq!(clean(&deps).await?, Report { webhook_events: 4, ..NOTHING });
    let after = contents(&world).await?;
    assert_eq!(clean(&deps).await?, NOTHING);
    assert_eq!(contents(&world).await?, after);

    let left = texts(&world, "SELECT event_id FROM webhook_events ORDER BY event_id").await?;
    let expected = [
        "dead 0",
        "dead 400 days",
        "dead 90 days",
        "dead 90 days 1 microsecond",
        "done 0",
        "done 90 days",
        "ignored 0",
        "ignored 90 days",
        "received 0",
        "received 400 days",
        "received 90 days",
        "received 90 days 1 microsecond",
    ];
    let sorted: std::collections::BTreeSet<&str> = left.iter().map(String::as_str).collect();
    assert_eq!(sorted, expected.into(), "what is dead waits for somebody to look");
    Ok(())
}

#[tokio::test]
async fn a_message_goes_thirty_days_after_it_was_told_and_one_that_was_not_stays() -> Result<()> {
    let world = World::start().await?;
    put_messages(&world, &["0", "30 days", "30 days 1 microsecond", "400 days", "never"]).await?;
    let deps = wire(&world).await?;

    assert_eq!(clean(&deps).await?, Report { messages: 2, ..NOTHING });
    assert_eq!(clean(&deps).await?, NOTHING);

    let left = texts(&world, "SELECT key FROM outbox ORDER BY published_at DESC NULLS LAST").await?;
    assert_eq!(left, ["0", "30 days", "never"]);
    Ok(())
}

#[tokio::test]
async fn thousands_go_in_one_run() -> Result<()> {
    let world = World::start().await?;
    let ages: Vec<String> = (0..3_000).map(|at| format!("{} seconds", 91 * 86_400 + at)).collect();
    let ages: Vec<&str> = ages.iter().map(String::as_str).collect();
    put_events(&world, &ages).await?;
    put_messages(&world, &ages).await?;

    let report = clean(&wire(&world).await?).await?;

    assert_eq!(report, Report { webhook_events: 6_000, messages: 3_000, ..NOTHING });
    Ok(())
}
