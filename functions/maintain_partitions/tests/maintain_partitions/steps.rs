//! What one run does.

use shared::db::roles::Role;
use testing::{Result, World};
use time::Duration;
use time::macros::datetime;

use super::{Report, ids, maintain, months, put, tables, texts, wire, world_without_months};

#[tokio::test]
async fn a_fresh_database_has_this_month_and_three_more() -> Result<()> {
    let world = World::start().await?;
    let expected = "SELECT 'activity_logs_' || to_char(month, 'YYYY_MM')
                    FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                                         date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months',
                                         interval '1 month') AS month";
    assert_eq!(months(&world).await?, texts(&world, expected).await?);
    Ok(())
}

#[tokio::test]
async fn the_months_ahead_are_made_once() -> Result<()> {
    let world = world_without_months().await?;
    let deps = wire(&world).await?;

    assert_eq!(maintain(&deps).await?, Report { made: 4, ..Report::default() });
    let four =
        ["activity_logs_2026_01", "activity_logs_2026_02", "activity_logs_2026_03", "activity_logs_2026_04"];
    assert_eq!(months(&world).await?, four);
    assert_eq!(maintain(&deps).await?, Report::default());
    assert_eq!(months(&world).await?, four);

    world.advance(datetime!(2026-02-01 0:00 UTC) - world.now() - Duration::MICROSECOND);
    assert_eq!(maintain(&deps).await?, Report::default());
    world.advance(Duration::MICROSECOND);
    assert_eq!(maintain(&deps).await?, Report { made: 1, ..Report::default() });
    Ok(())
}

#[tokio::test]
async fn rows_without_a_month_find_theirs() -> Result<()> {
    let world = world_without_months().await?;
    let times = [
        datetime!(2025-10-31 23:59:59.999999 UTC),
        datetime!(2025-12-31 23:59:59.999999 UTC),
        datetime!(2026-01-01 0:00 UTC),
        datetime!(2026-01-09 12:00 UTC),
        datetime!(2026-04-30 23:59:59 UTC),
        datetime!(2026-05-01 0:00 UTC),
    ];
    let written = put(&world, &times).await?;

    let report = maintain(&wire(&world).await?).await?;

    assert_eq!(report, Report { waiting: 6, made: 6, moved: 5, ..Report::default() });
    assert_eq!(ids(&world).await?, written.into_iter().collect());
    let waits = "SELECT created_at::text FROM activity_logs_default";
    assert_eq!(
        texts(&world, waits).await?.len(),
        1,
        "a month too far ahead is somebody's clock: it waits, and is told of"
    );
    let october = "SELECT count(*) FROM activity_logs_2025_10";
    assert_eq!(world.db.count(october).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_month_goes_when_its_last_moment_is_older_than_what_is_kept() -> Result<()> {
    let world = world_without_months().await?;
    let deps = wire(&world).await?;
    maintain(&deps).await?;
    put(&world, &[datetime!(2026-01-31 23:59:59 UTC)]).await?;
    // Ninety days after the first of February.
    world.advance(datetime!(2026-05-02 0:00 UTC) - world.now() - Duration::MICROSECOND);
    let report = maintain(&deps).await?;
    assert_eq!((report.detached, report.dropped), (0, 0));
    assert_eq!(ids(&world).await?.len(), 1);

    world.advance(Duration::MICROSECOND);
    let report = maintain(&deps).await?;
    assert_eq!((report.detached, report.dropped), (1, 1));
    assert_eq!(tables(&world).await?[0], "activity_logs_2026_02");
    assert_eq!(ids(&world).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn rows_older_than_what_is_kept_go_from_the_default_partition_too() -> Result<()> {
    let world = world_without_months().await?;
    put(&world, &[datetime!(2024-02-29 12:00 UTC), datetime!(2025-09-30 23:59:59 UTC)]).await?;
    let kept = put(&world, &[datetime!(2025-10-01 0:00 UTC)]).await?;

    let report = maintain(&wire(&world).await?).await?;

    assert_eq!(report, Report { waiting: 3, made: 5, moved: 1, deleted: 2, ..Report::default() });
    assert_eq!(ids(&world).await?, kept.into_iter().collect());
    Ok(())
}

#[tokio::test]
async fn more_rows_than_one_step_moves_are_seen_all_the_while_and_none_is_lost() -> Result<()> {
    let world = world_without_months().await?;
    let times: Vec<_> = (0..50_000).map(|at| world.now() - Duration::milliseconds(at)).collect();
    let written = put(&world, &times).await?;
    let jobs = world.db.connect(Role::Jobs).await?;
    let step = "SELECT step FROM keep_activity_logs('2026-01-09 12:00 UTC', 90)";
    for expected in ["copied", "copied"] {
        let found: String = jobs.query_typed_one(step, &[]).await?.get(0);
        assert_eq!(found, expected);
        assert_eq!(ids(&world).await?.len(), 50_000);
    }
    // What is erased or written between two steps is so in the end.
    let gone = format!("DELETE FROM activity_logs WHERE id IN ('{}', '{}')", written[0], written[49_999]);
    assert_eq!(world.db.admin().await?.execute_typed(&gone, &[]).await?, 2);
    let late = put(&world, &[world.now()]).await?;

    let report = maintain(&wire(&world).await?).await?;

    assert_eq!(report, Report { waiting: 49_999, made: 4, moved: 49_999, ..Report::default() });
    let expected = written[1..49_999].iter().copied().chain(late).collect();
    assert_eq!(ids(&world).await?, expected);
    assert_eq!(world.db.count("SELECT count(*) FROM activity_logs_default").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_month_that_was_begun_and_has_no_rows_any_more_is_made_all_the_same() -> Result<()> {
    let world = world_without_months().await?;
    let times: Vec<_> =
        (0..20_000).map(|at| datetime!(2025-12-20 12:00 UTC) + Duration::seconds(at)).collect();
    put(&world, &times).await?;
    let deps = wire(&world).await?;
    let jobs = world.db.connect(Role::Jobs).await?;
    let step = "SELECT step FROM keep_activity_logs('2026-01-09 12:00 UTC', 90)";
    let mut last = String::new();
    while last != "copied" {
        last = jobs.query_typed_one(step, &[]).await?.get(0);
    }
    jobs.batch_execute("DELETE FROM activity_logs").await?;

    maintain(&deps).await?;

    assert_eq!(
        world.db.count("SELECT count(*) FROM activity_logs_2025_12").await?,
        0,
        "what was erased is back"
    );
    assert_eq!(months(&world).await?[0], "activity_logs_2025_12");
    Ok(())
}

#[tokio::test]
async fn whoever_holds_the_table_is_not_waited_for_longer_than_a_second() -> Result<()> {
    let world = world_without_months().await?;
    put(&world, &[world.now()]).await?;
    let mut admin = world.db.admin().await?;
    let writing = admin.transaction().await?;
    writing.batch_execute("LOCK TABLE activity_logs IN ROW EXCLUSIVE MODE").await?;
    let jobs = world.db.connect(Role::Jobs).await?;

    let started = std::time::Instant::now();
    let refused = jobs.query_typed("SELECT * FROM keep_activity_logs('2026-01-09 12:00 UTC', 90)", &[]).await;

    let code = refused.err().and_then(|error| error.code().cloned());
    assert_eq!(code, Some(tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE));
    assert!(started.elapsed() < std::time::Duration::from_secs(3), "{:?}", started.elapsed());

    // The job comes back to it.
    let deps = wire(&world).await?;
    let (report, ended) = tokio::join!(maintain(&deps), async {
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        writing.commit().await
    });
    ended?;
    assert_eq!(report?, Report { waiting: 1, made: 4, moved: 1, ..Report::default() });
    Ok(())
}
