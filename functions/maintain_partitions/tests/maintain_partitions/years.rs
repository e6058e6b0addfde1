//! Two years of days, some of them missed, with rows written on any of them.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use testing::{Result, World};
use time::macros::datetime;
use time::{Date, Duration, Month, OffsetDateTime};
use uuid::Uuid;

use super::{Report, ids, maintain, months, put, wire, world_without_months};

const DAYS: i64 = 730;
const KEPT: Duration = Duration::days(90);

/// What happens after some days on which nothing does.
#[derive(Clone, Copy, Debug)]
struct Day {
    days_later: i64,
    runs: Runs,
    /// Activities of this moment, of up to two hundred days before it, and of some days after it: clocks differ.
    rows: (u8, u16, u8),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Runs {
    Missed,
    Once,
    Twice,
    AtOnce,
}

/// Mostly every day for a while, now and then nothing for months.
fn day() -> impl Strategy<Value = Day> {
    let later = prop_oneof![6 => 1_i64..10, 3 => 10_i64..45, 1 => 100_i64..200];
    let runs = prop_oneof![
        2 => Just(Runs::Missed), 4 => Just(Runs::Once), 1 => Just(Runs::Twice), 1 => Just(Runs::AtOnce)
    ];
    (later, runs, (0_u8..4, 0_u16..200, 0_u8..120)).prop_map(|(days_later, runs, rows)| Day {
        days_later,
        runs,
        rows,
    })
}

fn cases() -> u32 {
    let is_full = std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1");
    if is_full { 100 } else { 4 }
}

#[test]
fn over_two_years_a_month_is_always_ready_no_row_is_lost_and_nothing_young_is_dropped() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config =
        Config { cases: cases(), failure_persistence: None, max_shrink_iters: 20, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(day(), 30..80), |days| {
        runtime.block_on(live(&days)).map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    outcome.map_err(|error| anyhow::anyhow!("{error}"))
}

async fn live(days: &[Day]) -> Result<()> {
    let world = world_without_months().await?;
    let (deps, other) = (wire(&world).await?, wire(&world).await?);
    let mut written: BTreeMap<Uuid, OffsetDateTime> = BTreeMap::new();
    let mut passed = 0;
    for day in days.iter().cycle() {
        if passed > DAYS {
            break;
        }
        passed += day.days_later;
        world.advance(Duration::days(day.days_later));
        let now = world.now();
        let (count, ago, ahead) = day.rows;
        let mut times = vec![now; usize::from(count)];
        times.push(now - Duration::days(ago.into()));
        times.push(now + Duration::days(ahead.into()));
        written.extend(put(&world, &times).await?.into_iter().zip(times));
        match day.runs {
            Runs::Missed => continue,
            Runs::Once => drop(maintain(&deps).await?),
            Runs::Twice => {
                maintain(&deps).await?;
                let again = maintain(&deps).await?;
                anyhow::ensure!(again == Report { waiting: again.waiting, ..Report::default() }, "{again:?}");
            }
            Runs::AtOnce => {
                let (one, two) = tokio::join!(maintain(&deps), maintain(&other));
                one?;
                two?;
            }
        }
        check(&world, &mut written).await?;
    }
    Ok(())
}

/// After a run: what must be there is, and what is not there was old.
async fn check(world: &World, written: &mut BTreeMap<Uuid, OffsetDateTime>) -> Result<()> {
    let (now, there) = (world.now(), ids(world).await?);
    for (id, at) in written.iter() {
        anyhow::ensure!(there.contains(id) || *at < now - KEPT, "at {now} the row of {at} is gone");
        // The whole month is older.
        let past = month_after(*at) <= now - KEPT;
        anyhow::ensure!(there.contains(id) != past, "at {now} the row of {at} is there: {}", !past);
    }
    written.retain(|id, _| there.contains(id));
    anyhow::ensure!(there.len() == written.len(), "rows nobody wrote");

    let mut begins = now.replace_day(1)?.date();
    let months = months(world).await?;
    while begins.midnight().assume_utc() < now + Duration::days(30) {
        let name = format!("activity_logs_{:04}_{:02}", begins.year(), u8::from(begins.month()));
        anyhow::ensure!(months.contains(&name), "at {now} there is no {name}: {months:?}");
        begins = month_after(begins.midnight().assume_utc()).date();
    }
    let waiting = "SELECT count(*) FROM activity_logs_default d
                   WHERE d.created_at < (date_trunc('month', '{now}'::timestamptz AT TIME ZONE 'UTC') + interval '4 months')
                                        AT TIME ZONE 'UTC'";
    let waiting = world.db.count(&waiting.replace("{now}", &now.to_string())).await?;
    anyhow::ensure!(waiting == 0, "at {now} {waiting} rows wait that have a month");
    Ok(())
}

fn month_after(at: OffsetDateTime) -> OffsetDateTime {
    let (year, month) = (at.year(), at.month());
    let (year, month) =
        if month == Month::December { (year + 1, Month::January) } else { (year, month.next()) };
    Date::from_calendar_date(year, month, 1)
        .unwrap_or(datetime!(1970-01-01 0:00 UTC).date())
        .midnight()
        .assume_utc()
}
