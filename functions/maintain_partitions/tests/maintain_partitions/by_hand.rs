//! Tables that an operator took out or put there: nobody's rows are lost for it.

use testing::{Result, World};
use time::Duration;
use time::macros::datetime;

use super::{Report, ids, maintain, months, put, tables, texts, wire, world_without_months};

async fn run_sql(world: &World, sql: &str) -> Result<()> {
    Ok(world.db.admin().await?.batch_execute(sql).await?)
}

#[tokio::test]
async fn a_month_detached_by_hand_keeps_its_rows_and_is_left_alone_until_it_has_another_name() -> Result<()> {
    let world = world_without_months().await?;
    let deps = wire(&world).await?;
    maintain(&deps).await?;
    let old = put(&world, &[world.now(), world.now() - Duration::days(3)]).await?;
    run_sql(&world, "ALTER TABLE activity_logs DETACH PARTITION activity_logs_2026_01").await?;
    let aside = "SELECT id::text FROM activity_logs_2026_01 ORDER BY id";
    let aside_before = texts(&world, aside).await?;
    assert_eq!(aside_before.len(), 2);
    let new = put(&world, &[world.now()]).await?;

    // What is new is kept where there is no month, and told of, as often as it takes.
    for _ in 0..2 {
        assert_eq!(maintain(&deps).await?, Report { waiting: 1, ..Report::default() });
        assert_eq!(texts(&world, aside).await?, aside_before);
        assert_eq!(ids(&world).await?, new.iter().copied().collect());
        assert_eq!(months(&world).await?.len(), 3);
    }

    run_sql(&world, "ALTER TABLE activity_logs_2026_01 RENAME TO january_as_it_was").await?;
    assert_eq!(maintain(&deps).await?, Report { waiting: 1, made: 1, moved: 1, ..Report::default() });
    assert_eq!(months(&world).await?[0], "activity_logs_2026_01");
    run_sql(&world, "INSERT INTO activity_logs SELECT * FROM january_as_it_was").await?;
    assert_eq!(ids(&world).await?, old.into_iter().chain(new).collect());
    assert_eq!(maintain(&deps).await?, Report::default());
    Ok(())
}

#[tokio::test]
async fn a_month_detached_by_hand_is_never_dropped() -> Result<()> {
    let world = world_without_months().await?;
    let deps = wire(&world).await?;
    maintain(&deps).await?;
    put(&world, &[world.now()]).await?;
    run_sql(&world, "ALTER TABLE activity_logs DETACH PARTITION activity_logs_2026_01").await?;

    world.advance(Duration::days(400));
    maintain(&deps).await?;

    assert_eq!(tables(&world).await?[0], "activity_logs_2026_01");
    assert_eq!(world.db.count("SELECT count(*) FROM activity_logs_2026_01").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_old_month_is_dropped_from_under_the_name_it_got_when_it_was_detached() -> Result<()> {
    let world = world_without_months().await?;
    maintain(&wire(&world).await?).await?;
    put(&world, &[world.now()]).await?;
    let step = "SELECT concat_ws(' ', step, month) FROM keep_activity_logs('2026-05-02 0:00 UTC', 90)";
    let mut last = String::new();
    while last != "detached 2026-01-01" {
        last = texts(&world, step).await?.remove(0);
    }
    let past = "activity_logs_2026_01_past";
    assert!(tables(&world).await?.contains(&past.to_owned()), "{:?}", tables(&world).await?);

    // Kept longer after all: what is detached already stays for the operator to put back.
    let longer = step.replace("90", "200");
    assert_eq!(texts(&world, &longer).await?, ["made 2026-01-01"; 0]);
    assert_eq!(world.db.count(&format!("SELECT count(*) FROM {past}")).await?, 1);

    assert_eq!(texts(&world, step).await?, ["dropped 2026-01-01"]);
    assert_eq!(tables(&world).await?[0], "activity_logs_2026_02");
    assert!(texts(&world, step).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_month_that_was_begun_and_grew_old_meanwhile_is_dropped() -> Result<()> {
    let world = world_without_months().await?;
    let times = vec![datetime!(2025-12-20 12:00 UTC); 20_000];
    put(&world, &times).await?;
    let step = "SELECT step FROM keep_activity_logs('2026-01-09 12:00 UTC', 90)";
    while texts(&world, step).await? != ["copied"] {}
    assert!(tables(&world).await?.contains(&"activity_logs_2025_12_begun".to_owned()));

    world.advance(Duration::days(200));
    maintain(&wire(&world).await?).await?;

    assert!(ids(&world).await?.is_empty());
    let left = tables(&world).await?;
    assert!(!left.iter().any(|table| table.contains("_begun") || table.contains("2025")), "{left:?}");
    Ok(())
}
