//! Every five minutes — remove what has had its time.

mod accounts;
mod erasure;
mod runtime;
mod seeds;
mod webhooks;

use std::collections::BTreeMap;

use clean_up::{Deps, Report, run};
use shared::db::roles::Role;
use shared::rate_limit::{self, Limit};
use testing::{Result, World};
use time::Duration;
use uuid::Uuid;

const NAME: &str = "clean_up";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
/// The public key of the secret key 1.
const KEY_1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn clean(deps: &Deps) -> Result<Report> {
    run(deps).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

async fn run_sql(world: &World, sql: &str) -> Result<()> {
    Ok(world.db.admin().await?.batch_execute(sql).await?)
}

/// One challenge of each status for each age: how long ago it expired, as Postgres reads an interval.
async fn put_challenges(world: &World, ages: &[&str]) -> Result<()> {
    let ages = ages.join("'), ('");
    let sql = format!(
        "INSERT INTO challenges (id, did, challenge_type, title, status, issued_at, expires_at)
         SELECT gen_random_uuid(), '{DID}', 'mnemonic_login', age, status, '{now}'::timestamptz - interval '1 year',
                '{now}'::timestamptz - age::interval
         FROM (VALUES ('{ages}')) AS a (age), (VALUES ('pending'), ('confirmed')) AS s (status)",
        now = world.now()
    );
    run_sql(world, &sql).await
}

/// One kept answer for each age: how long ago it expired.
async fn put_answers(world: &World, user_id: Uuid, ages: &[&str]) -> Result<()> {
    let ages = ages.join("'), ('");
    let sql = format!(
        "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, status, created_at, expires_at)
         SELECT '{user_id}', 'POST /v1/nodes', age, '', 200, '{now}'::timestamptz - interval '1 year',
                '{now}'::timestamptz - age::interval
         FROM (VALUES ('{ages}')) AS a (age)",
        now = world.now()
    );
    run_sql(world, &sql).await
}

/// One counted window for each age: how long ago it began.
async fn put_windows(world: &World, ages: &[&str]) -> Result<()> {
    let ages = ages.join("'), ('");
    let sql = format!(
        "INSERT INTO rate_limits (key, window_at, count)
         SELECT convert_to(age, 'UTF8'), '{now}'::timestamptz - age::interval, 1 FROM (VALUES ('{ages}')) AS a (age)",
        now = world.now()
    );
    run_sql(world, &sql).await
}

/// What a query's one column holds, in order.
async fn texts(world: &World, sql: &str) -> Result<Vec<String>> {
    let rows = world.db.admin().await?.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A digest of every row of every table.
async fn contents(world: &World) -> Result<BTreeMap<String, String>> {
    let mut contents = BTreeMap::new();
    for table in texts(world, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").await? {
        let rows =
            format!("SELECT md5(COALESCE(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t");
        contents.insert(table, texts(world, &rows).await?.remove(0));
    }
    Ok(contents)
}

const NOTHING: Report = Report {
    challenges: 0,
    rate_limits: 0,
    idempotency_keys: 0,
    seeds: 0,
    breakers: 0,
    webhook_events: 0,
    messages: 0,
    locks: 0,
    sessions: 0,
    one_time_tokens: 0,
    oauth_states: 0,
    mails: 0,
    accounts: 0,
};

#[tokio::test]
async fn a_challenge_goes_a_day_after_it_expired_and_no_sooner() -> Result<()> {
    let world = World::start().await?;
    let kept = ["-5 minutes", "0", "5 minutes", "23:59:59.999999", "24 hours"];
    put_challenges(&world, &kept).await?;
    put_challenges(&world, &["24:00:00.000001", "30 days"]).await?;

    let report = clean(&wire(&world).await?).await?;

    assert_eq!(report, Report { challenges: 4, ..NOTHING });
    for status in ["pending", "confirmed"] {
        let left = format!("SELECT title FROM challenges WHERE status = '{status}' ORDER BY expires_at DESC");
        assert_eq!(texts(&world, &left).await?, kept, "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_goes_when_it_has_been_kept_long_enough_and_no_sooner() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    put_answers(&world, user.user_id, &["-24 hours", "-00:00:00.000001"]).await?;
    put_answers(&world, user.user_id, &["0", "1 microsecond", "30 days"]).await?;

    let report = clean(&wire(&world).await?).await?;

    assert_eq!(report, Report { idempotency_keys: 3, ..NOTHING });
    let left = texts(&world, "SELECT key FROM idempotency_keys ORDER BY key").await?;
    assert_eq!(left, ["-00:00:00.000001", "-24 hours"]);
    Ok(())
}

#[tokio::test]
async fn a_window_goes_when_it_has_ended_and_the_one_that_counts_stays() -> Result<()> {
    let world = World::start().await?;
    world.advance(Duration::seconds(59));
    put_windows(&world, &["00:01:59", "1 hour", "30 days"]).await?;
    let client = world.db.connect(Role::Auth).await?;
    let limit = || [Limit::new("test", DID, 2)];
    assert!(rate_limit::count(&client, &limit(), world.now()).await?.is_ok());

    let report = clean(&wire(&world).await?).await?;

    assert_eq!(report, Report { rate_limits: 3, ..NOTHING });
    assert!(rate_limit::count(&client, &limit(), world.now()).await?.is_ok());
    assert!(rate_limit::count(&client, &limit(), world.now()).await?.is_err(), "a count was forgotten");
    Ok(())
}

#[tokio::test]
async fn the_breaker_of_a_host_goes_when_nobody_has_called_it_for_long() -> Result<()> {
    let world = World::start().await?;
    let put = format!(
        "INSERT INTO provider_breakers (provider, host, window_at, calls, failures, opened_at)
         SELECT provider, host, '{now}'::timestamptz - seen::interval, 20, 20, '{now}'::timestamptz - opened::interval
         FROM (VALUES ('btcpay', '', '1 day', '1 day'), ('lnd', 'gone', '16 minutes', '16 minutes'),
                      ('lnd', 'well', '16 minutes', NULL), ('lnd', 'tried', '1 hour', '14 minutes'),
                      ('lnd', 'called', '14 minutes', NULL)) AS b (provider, host, seen, opened)",
        now = world.now()
    );
    run_sql(&world, &put).await?;

    let report = clean(&wire(&world).await?).await?;

    assert_eq!(report, Report { breakers: 2, ..NOTHING });
    let left = texts(&world, "SELECT provider || host FROM provider_breakers ORDER BY 1").await?;
    assert_eq!(left, ["btcpay", "lndcalled", "lndtried"]);
    Ok(())
}

#[tokio::test]
async fn nothing_else_is_touched_however_late_it_runs() -> Result<()> {
    let world = World::start().await?;
    world.sign_in(DID, KEY_1).await?;
    put_challenges(&world, &["-5 minutes"]).await?;
    let before = contents(&world).await?;
    assert_eq!(clean(&wire(&world).await?).await?, NOTHING);
    assert_eq!(contents(&world).await?, before);

    world.advance(Duration::days(400));
    assert_eq!(clean(&wire(&world).await?).await?, Report { challenges: 2, sessions: 1, ..NOTHING });
    let mut expected = before;
    for table in ["challenges", "sessions"] {
        expected.insert(table.to_owned(), contents(&world).await?[table].clone());
    }
    assert_eq!(contents(&world).await?, expected);
    assert_eq!(world.db.count("SELECT count(*) FROM challenges").await?, 0);
    Ok(())
}

#[tokio::test]
async fn run_twice_it_finds_nothing_the_second_time() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    put_challenges(&world, &["25 hours", "-5 minutes"]).await?;
    put_windows(&world, &["0", "1 hour"]).await?;
    put_answers(&world, user.user_id, &["-1 hour", "1 hour"]).await?;
    let deps = wire(&world).await?;

    let first = clean(&deps).await?;
    let after = contents(&world).await?;
    let second = clean(&deps).await?;

    assert_eq!(first, Report { challenges: 2, rate_limits: 1, idempotency_keys: 1, ..NOTHING });
    assert_eq!(second, NOTHING);
    assert_eq!(contents(&world).await?, after);
    Ok(())
}

#[tokio::test]
async fn two_at_once_remove_each_row_once_and_no_row_more() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    put_challenges(&world, &["-5 minutes"]).await?;
    put_windows(&world, &["0"]).await?;
    put_answers(&world, user.user_id, &["-1 hour"]).await?;
    let kept = contents(&world).await?;
    let ages: Vec<String> = (0..5_000).map(|at| format!("{} seconds", 90_000 + at)).collect();
    let ages: Vec<&str> = ages.iter().map(String::as_str).collect();
    put_challenges(&world, &ages).await?;
    put_windows(&world, &ages).await?;
    put_answers(&world, user.user_id, &ages).await?;

    let (first, second) = (wire(&world).await?, wire(&world).await?);
    let (first, second) = tokio::join!(clean(&first), clean(&second));

    let (first, second) = (first?, second?);
    assert_eq!(first.challenges + second.challenges, 10_000);
    assert_eq!(first.rate_limits + second.rate_limits, 5_000);
    assert_eq!(first.idempotency_keys + second.idempotency_keys, 5_000);
    assert_eq!(contents(&world).await?, kept);
    Ok(())
}

#[tokio::test]
async fn an_answer_being_taken_anew_is_in_use_and_stays() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    put_answers(&world, user.user_id, &["1 hour"]).await?;
    let mut client = world.db.admin().await?;
    let request = client.transaction().await?;
    let taken = "UPDATE idempotency_keys SET expires_at = '2026-01-10 12:00:00Z', status = NULL";
    request.batch_execute(taken).await?;

    let deps = wire(&world).await?;
    let (report, committed) = tokio::join!(clean(&deps), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        request.commit().await
    });

    committed?;
    assert_eq!(report?, NOTHING);
    assert_eq!(world.db.count("SELECT count(*) FROM idempotency_keys").await?, 1);
    Ok(())
}
