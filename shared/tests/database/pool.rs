//! Connections that died while nobody looked, that are all on loan, and whose password was changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use shared::db::{Connection, Db, DbError, Type};
use testing::{Result, World};
use time::Duration as Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const FUNCTION: &str = "get_user_node_info";
const SECRET: &str = "satchel/database/api";

async fn wire(world: &World) -> Result<Db> {
    world.wire(FUNCTION, Db::wire).await
}

async fn pid(connection: &Connection) -> Result<i32> {
    Ok(connection.client().query_typed_one("SELECT pg_backend_pid()", &[]).await?.get(0))
}

async fn terminate(world: &World, pid: i32) -> Result<()> {
    let admin = world.db.admin().await?;
    admin.query_typed("SELECT pg_terminate_backend($1)", &[(&pid, Type::INT4)]).await?;
    let alive = "SELECT 1 FROM pg_stat_activity WHERE pid = $1";
    while admin.query_typed_opt(alive, &[(&pid, Type::INT4)]).await?.is_some() {}
    Ok(())
}

/// Changes the api role's secret as the operator would.
fn change(world: &World, changed: &Value) -> Result<()> {
    let secrets = world.sandbox.secrets();
    let mut document: Value = serde_json::from_str(&secrets.get(SECRET).context("no such secret")?)?;
    let (Some(fields), Some(changed)) = (document.as_object_mut(), changed.as_object()) else {
        anyhow::bail!("not an object")
    };
    fields.extend(changed.clone());
    secrets.put(SECRET, &document.to_string());
    Ok(())
}

#[tokio::test]
async fn a_connection_is_kept_and_used_again() -> Result<()> {
    let world = World::start().await?;
    let db = wire(&world).await?;
    let first = pid(&db.connection().await?).await?;
    for idle in [Span::ZERO, Span::seconds(1), Span::seconds(2), Span::hours(1)] {
        world.advance(idle);
        assert_eq!(pid(&db.connection().await?).await?, first, "after {idle}");
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_the_server_ended_while_idle_is_replaced_before_use() -> Result<()> {
    let world = World::start().await?;
    let db = wire(&world).await?;
    for idle in [Span::ZERO, Span::seconds(2), Span::hours(1)] {
        let before = pid(&db.connection().await?).await?;
        terminate(&world, before).await?;
        world.advance(idle);
        assert_ne!(pid(&db.connection().await?).await?, before, "after {idle}");
    }
    Ok(())
}

/// Stands between a pool and Postgres. Frozen, it keeps its old connections open and passes nothing on, as a
/// network does that forgot them; new ones work.
struct Network {
    port: u16,
    frozen: Arc<AtomicBool>,
    accepted: Arc<AtomicU32>,
}

impl Network {
    async fn to(server: (String, u16)) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (frozen, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let network = Self { port, frozen: Arc::clone(&frozen), accepted: Arc::clone(&accepted) };
        tokio::spawn(async move {
            while let Ok((ours, _)) = listener.accept().await {
                let Ok(theirs) = TcpStream::connect(&server).await else { break };
                // Only what was there before the freeze is lost.
                let lost = if frozen.load(Ordering::Relaxed) { Arc::default() } else { Arc::clone(&frozen) };
                accepted.fetch_add(1, Ordering::Relaxed);
                let ((mut out, mut into), (mut back, mut from)) = (ours.into_split(), theirs.into_split());
                let there = Arc::clone(&lost);
                tokio::spawn(async move { pass(&mut out, &mut from, &there).await });
                tokio::spawn(async move { pass(&mut back, &mut into, &lost).await });
            }
        });
        Ok(network)
    }
}

async fn pass(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    lost: &AtomicBool,
) {
    let mut buffer = vec![0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !lost.load(Ordering::Relaxed) && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    if lost.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_connection_that_no_longer_answers_is_replaced_within_three_seconds() -> Result<()> {
    let world = World::start().await?;
    let address = world.db.address()?;
    let network = Network::to((address.host, address.port)).await?;
    change(&world, &json!({ "port": network.port }))?;
    let db = wire(&world).await?;
    let before = pid(&db.connection().await?).await?;

    network.frozen.store(true, Ordering::Relaxed);
    world.advance(Span::minutes(10));
    let asked = Instant::now();
    let next = async { pid(&db.connection().await?).await };
    let after = tokio::time::timeout(Duration::from_secs(10), next).await??;

    assert_ne!(after, before);
    assert!((1_900..4_000).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    assert_eq!(network.accepted.load(Ordering::Relaxed), 2);
    Ok(())
}

#[tokio::test]
async fn who_finds_every_connection_on_loan_is_told_to_come_back() -> Result<()> {
    let world = World::start().await?;
    let db = wire(&world).await?;
    let held = db.connection().await?;

    let asked = Instant::now();
    let refused = db.connection().await.err();

    let waited = asked.elapsed();
    assert!(matches!(refused, Some(DbError::Unavailable(_))), "{refused:?}");
    assert!(waited >= Duration::from_millis(4_900) && waited < Duration::from_secs(7), "{waited:?}");
    drop(held);
    assert!(db.connection().await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_pool_lends_as_many_connections_as_it_is_wide() -> Result<()> {
    let world = World::start().await?;
    let db = world.wire_with(FUNCTION, &[("DATABASE_POOL_SIZE", "3")], Db::wire).await?;
    let (one, two, three) = (db.connection().await?, db.connection().await?, db.connection().await?);
    let mut pids = vec![pid(&one).await?, pid(&two).await?, pid(&three).await?];
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_rotated_password_is_fetched_at_once() -> Result<()> {
    let world = World::start().await?;
    // A role of this test's own: the four are the whole cluster's.
    let admin = world.db.admin().await?;
    let role = world.db.name.replace("satchel_test", "rotated");
    let database = &world.db.name;
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'first'; GRANT CONNECT ON DATABASE {database} TO {role}"
        ))
        .await?;
    change(&world, &json!({ "username": role, "password": "first" }))?;
    let db = wire(&world).await?;
    let before = pid(&db.connection().await?).await?;
    let reads = world.sandbox.secrets().reads(SECRET);

    admin.batch_execute(&format!("ALTER ROLE {role} PASSWORD 'second'")).await?;
    terminate(&world, before).await?;
    let too_early = db.connection().await.err();
    change(&world, &json!({ "password": "second" }))?;
    let after = pid(&db.connection().await?).await?;

    assert!(matches!(too_early, Some(DbError::Unavailable(_))), "{too_early:?}");
    assert_ne!(after, before);
    assert_eq!(world.sandbox.secrets().reads(SECRET), reads + 2, "once for each refusal");
    admin.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await?;
    Ok(())
}

#[tokio::test]
async fn a_database_out_of_reach_is_unavailable_at_once() -> Result<()> {
    let world = World::start().await?;
    world.take_database_away("api")?;
    let db = wire(&world).await?;
    let asked = Instant::now();
    let refused = db.connection().await.err();
    assert!(matches!(refused, Some(DbError::Unavailable(_))), "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_job_waits_for_a_database_that_comes_back() -> Result<()> {
    let world = World::start().await?;
    world.take_database_away("api")?;
    let db = wire(&world).await?;

    let asked = Instant::now();
    let come_back = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.advance(Span::minutes(6));
        change(&world, &json!({ "port": world.db.address()?.port }))
    };
    let (connection, changed) = tokio::join!(db.connection_for_job(), come_back);

    changed?;
    assert!(pid(&connection?).await? > 0);
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    Ok(())
}
