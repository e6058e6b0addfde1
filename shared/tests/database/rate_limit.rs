//! Requests counted exactly, however many ask at once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared::db::roles::Role;
use shared::rate_limit::{Exceeded, Limit, count, delete_ended};
use testing::{Result, TestDb};
use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;

use crate::{NOW, number};

async fn clients(db: &TestDb, how_many: usize) -> Result<Vec<Client>> {
    try_join_all((0..how_many).map(|_| db.connect(Role::Auth))).await
}

async fn ask(client: &Client, quota: u32, now: OffsetDateTime) -> Result<Result<(), Exceeded>> {
    Ok(count(client, &[Limit::new("test", "198.51.100.7", quota)], now).await?)
}

#[tokio::test]
async fn of_any_number_at_once_exactly_the_quota_pass() -> Result<()> {
    let (quota, connections, each) = (100_u32, 50_usize, 12);
    let db = TestDb::create().await?;
    let clients = clients(&db, connections).await?;

    let rounds = clients.iter().map(|client| async move {
        let mut passed = 0;
        for _ in 0..each {
            passed += u32::from(ask(client, quota, NOW).await?.is_ok());
        }
        anyhow::Ok(passed)
    });
    let passed: u32 = try_join_all(rounds).await?.into_iter().sum();

    assert_eq!(passed, quota);
    let counted = number(&db.admin().await?, "SELECT sum(count) FROM rate_limits").await?;
    assert_eq!(counted, 600, "those refused are counted as well");
    Ok(())
}

/// For any quota, and any order in which callers come as time goes by, each window lets exactly its quota pass.
#[test]
fn whatever_the_quota_and_the_times_each_window_lets_exactly_its_quota_pass() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let db = runtime.block_on(TestDb::create())?;
    let client = runtime.block_on(db.connect(Role::Auth))?;
    let subject = RefCell::new(0_u32);
    let cases = (1_u32..12, prop::collection::vec(0_i64..150, 1..60));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(120) });
    runner.run(&cases, |(quota, mut seconds)| {
        seconds.sort_unstable();
        *subject.borrow_mut() += 1;
        let name = subject.borrow().to_string();
        let mut windows: BTreeMap<i64, u32> = BTreeMap::new();
        for at in seconds {
            let now = NOW + Duration::seconds(at);
            let counted = runtime.block_on(count(&client, &[Limit::new("property", &name, quota)], now));
            let passed = counted.map_err(|error| TestCaseError::fail(error.to_string()))?.is_ok();
            let before = windows.entry(now.unix_timestamp().div_euclid(60)).or_default();
            prop_assert_eq!(passed, *before < quota);
            *before += 1;
        }
        Ok(())
    })?;
    Ok(())
}

#[tokio::test]
async fn callers_who_share_limits_in_opposite_order_do_not_wait_for_each_other_for_ever() -> Result<()> {
    let db = TestDb::create().await?;
    let clients = clients(&db, 50).await?;

    let rounds = clients.iter().enumerate().map(|(place, client)| async move {
        for _ in 0..4 {
            let mut limits: Vec<Limit> = (0..20).map(|n| Limit::new("test", &n.to_string(), 1_000)).collect();
            if place % 2 == 1 {
                limits.reverse();
            }
            assert!(count(client, &limits, NOW).await?.is_ok());
        }
        anyhow::Ok(())
    });
    tokio::time::timeout(std::time::Duration::from_mins(1), try_join_all(rounds)).await??;

    let admin = db.admin().await?;
    assert_eq!(number(&admin, "SELECT sum(count) FROM rate_limits").await?, 200 * 20);
    assert_eq!(number(&admin, "SELECT min(count)::bigint FROM rate_limits").await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_window_ends_on_the_minute() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.connect(Role::Auth).await?;
    for (at, retry_after_seconds) in [
        (NOW, None),
        (NOW, Some(60)),
        (NOW + Duration::milliseconds(999), Some(60)),
        (NOW + Duration::seconds(17), Some(43)),
        (NOW + Duration::milliseconds(59_999), Some(1)),
        (NOW + Duration::seconds(60), None),
        (NOW + Duration::seconds(61), Some(59)),
        (NOW - Duration::seconds(1), None),
        (NOW - Duration::seconds(1), Some(1)),
    ] {
        let expected = retry_after_seconds.map(|seconds| Exceeded { quota: 1, retry_after_seconds: seconds });
        assert_eq!(ask(&client, 1, at).await?.err(), expected, "{at}");
    }
    Ok(())
}

#[tokio::test]
async fn the_first_limit_passed_is_the_one_named_and_all_are_counted() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.connect(Role::Auth).await?;
    let both = || [Limit::new("did", "a", 1), Limit::new("address", "b", 2)];

    assert_eq!(count(&client, &both(), NOW).await?, Ok(()));
    let second = count(&client, &both(), NOW).await?.err();
    assert_eq!(second.map(|exceeded| exceeded.quota), Some(1));
    let address =
        count(&client, &[Limit::new("did", "other", 1), Limit::new("address", "b", 2)], NOW).await?;
    assert_eq!(address.err().map(|exceeded| exceeded.quota), Some(2));
    Ok(())
}

#[tokio::test]
async fn scopes_and_subjects_are_apart_and_stored_as_hashes() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.connect(Role::Auth).await?;
    for (scope, subject) in [("a", "1"), ("a", "2"), ("b", "1"), ("a\n1", ""), ("", "a\n1")] {
        assert_eq!(
            count(&client, &[Limit::new(scope, subject, 1)], NOW).await?,
            Ok(()),
            "{scope:?} {subject:?}"
        );
    }
    let admin = db.admin().await?;
    assert_eq!(number(&admin, "SELECT count(*) FROM rate_limits WHERE octet_length(key) = 32").await?, 5);
    Ok(())
}

#[tokio::test]
async fn windows_that_ended_are_removed_and_the_one_that_runs_is_kept() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.connect(Role::Auth).await?;
    for minutes in 0..5 {
        ask(&client, 9, NOW - Duration::minutes(minutes)).await?.map_err(|_| anyhow::anyhow!("limited"))?;
    }
    let jobs = db.connect(Role::Jobs).await?;
    assert_eq!(delete_ended(&jobs, NOW + Duration::seconds(30)).await?, 4);
    assert_eq!(ask(&client, 1, NOW).await?.err().map(|exceeded| exceeded.quota), Some(1));
    Ok(())
}
