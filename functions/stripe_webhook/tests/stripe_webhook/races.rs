//! Many copies at once, on a real Postgres.

use futures_util::future::join_all;
use stripe_webhook::Deps;
use testing::{Call, Outcome, Result, World};

use super::{NAME, PLATFORM, each_is_paid_once, paid, payments, rows, send, signed};

/// Ids, and copies of each.
fn how_many() -> (usize, usize) {
    #[expect(clippy::disallowed_methods, reason = "tests are told by the environment how long to take")]
    if std::env::var("SATCHEL_FULL").is_ok_and(|full| full == "1") { (50, 200) } else { (10, 60) }
}

/// By two processes' worth of connections, and answered by each in its own order.
async fn all_at_once(world: &World, calls: &[Call]) -> Result<Vec<Outcome>> {
    let pool = [("DATABASE_POOL_SIZE", "10")];
    let deps = [world.wire_with(NAME, &pool, Deps::wire).await?, world.wire_with(NAME, &pool, Deps::wire).await?];
    let sent = calls.iter().enumerate().map(|(nth, call)| send(&deps[nth % 2], call));
    join_all(sent).await.into_iter().collect()
}

#[tokio::test]
async fn of_many_copies_of_many_events_at_once_each_counts_once() -> Result<()> {
    let world = World::start().await?;
    let (ids, copies) = how_many();
    let names: Vec<String> = (0..ids).map(|nth| format!("{nth}")).collect();
    payments(&world, "", &names).await?;
    let calls: Vec<Call> = (0..ids * copies)
        .map(|nth| signed(&world, PLATFORM, paid(&names[nth % ids]).to_string()))
        .collect();
    let answers = all_at_once(&world, &calls).await?;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, ids * copies, "{:?}", answers.iter().find(|answer| answer.status != 200));
    each_is_paid_once(&world, i64::try_from(ids)?).await
}

#[tokio::test]
async fn of_many_copies_of_one_event_at_once_one_counts() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let calls: Vec<Call> = (0..200).map(|_| signed(&world, PLATFORM, paid("1").to_string())).collect();
    let answers = all_at_once(&world, &calls).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    each_is_paid_once(&world, 1).await
}

#[tokio::test]
async fn many_events_of_one_payment_at_once_are_all_kept_and_count_once() -> Result<()> {
    let world = World::start().await?;
    payments(&world, "", &["1".to_owned()]).await?;
    let tell = |nth: usize| {
        let event = super::with(paid("1"), "/id", serde_json::json!(format!("evt_{nth}")));
        signed(&world, PLATFORM, event.to_string())
    };
    let calls: Vec<Call> = (0..60).map(tell).collect();
    let answers = all_at_once(&world, &calls).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    for (table, expected) in [
        ("webhook_events WHERE state = 'done'", 60),
        ("payments WHERE state = 'paid' AND version = 1", 1),
        ("ledger", 1),
        ("outbox", 1),
    ] {
        assert_eq!(rows(&world, table).await?, expected, "{table}");
    }
    Ok(())
}
