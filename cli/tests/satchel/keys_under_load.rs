//! A rotation killed over and over while requests read and write.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use shared::clock::Clock;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::Type;
use shared::db::roles::Role;
use shared::random::Random;
use shared::secrets::SecretHandle;
use shared::session;
use testing::Result;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::keys_world::{KINDS, Keeper, open, seal};

/// Reads and writes a second, all tasks together.
const REQUESTS_PER_SECOND: u32 = 200;
const TASKS: u32 = 8;
/// However busy the machine is.
const MOVES_WITHIN: Duration = Duration::from_mins(1);
/// Longer than a function keeps a secret.
const EVERYBODY_HAS_IT: time::Duration = time::Duration::seconds(400);

struct Form {
    accounts: usize,
    kills: u32,
}

/// The long form is `cargo xtask test --full`'s.
fn form() -> Form {
    if std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1") {
        Form { accounts: 33_334, kills: 20 }
    } else {
        Form { accounts: 1_667, kills: 6 }
    }
}

/// What the requests share.
struct Load {
    accounts: Vec<Uuid>,
    /// How often each value was written, kind by kind.
    written: Vec<AtomicU64>,
    clock: Clock,
    over: AtomicBool,
    reads: AtomicU64,
    writes: AtomicU64,
    slowest_micros: AtomicU64,
}

/// One function's environment: its copy of the ring, and its connections.
struct Function {
    load: Arc<Load>,
    ring: SecretHandle<KeyRing>,
    auth: Client,
    api: Client,
    random: Random,
}

impl Function {
    async fn serve(mut self, nth: u32) -> Result<()> {
        let mut due = tokio::time::interval(Duration::from_secs(1) * TASKS / REQUESTS_PER_SECOND);
        while !self.load.over.load(Ordering::Relaxed) {
            due.tick().await;
            let draw = u64::from_le_bytes(self.random.bytes());
            let kind = usize::try_from(draw % 3)?;
            let at = usize::try_from(draw / 3 % self.load.accounts.len() as u64)?;
            let started = Instant::now();
            if nth.is_multiple_of(2) {
                // A value has one writer, so that how often it was written is known.
                let writers = usize::try_from(TASKS / 2)?;
                let of_all = self.load.accounts.len() / writers * writers;
                let at = (at / writers * writers + usize::try_from(nth / 2)?) % of_all;
                self.write(kind, at).await.with_context(|| format!("writing {}", KINDS[kind].1))?;
                self.load.writes.fetch_add(1, Ordering::Relaxed);
            } else {
                self.read(kind, at).await.with_context(|| format!("reading {}", KINDS[kind].1))?;
                self.load.reads.fetch_add(1, Ordering::Relaxed);
            }
            let micros = u64::try_from(started.elapsed().as_micros())?;
            self.load.slowest_micros.fetch_max(micros, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn read(&mut self, kind: usize, at: usize) -> Result<()> {
        let (account, written) = (self.load.accounts[at], self.counter(kind, at).load(Ordering::SeqCst));
        let (_, table, key, column) = KINDS[kind];
        let sql = format!("SELECT {column} FROM {table} WHERE {key} = $1");
        let ring = self.ring.get().await?;
        let client = if kind == 1 { &mut self.auth } else { &mut self.api };
        let tx = client.transaction().await?;
        session::enter(&tx, (account, Uuid::nil()), false, self.load.clock.now()).await?;
        let row = tx.query_typed_one(&sql, &[(&account, Type::UUID)]).await?;
        tx.commit().await?;
        let count = open(&ring, kind, account, row.get(0))?;
        ensure!(count >= written, "{table} of {account}: write {written} is lost, {count} is there");
        Ok(())
    }

    async fn write(&mut self, kind: usize, at: usize) -> Result<()> {
        let (account, now) = (self.load.accounts[at], self.load.clock.now());
        let count = self.counter(kind, at).load(Ordering::SeqCst) + 1;
        let (_, table, key, column) = KINDS[kind];
        let sql = format!("UPDATE {table} SET {column} = $2 WHERE {key} = $1");
        let sealed = seal(&*self.ring.get().await?, kind, account, count, now)?;
        let client = if kind == 1 { &mut self.auth } else { &mut self.api };
        let tx = client.transaction().await?;
        session::enter(&tx, (account, Uuid::nil()), false, now).await?;
        let changed = tx.execute_typed(&sql, &[(&account, Type::UUID), (&sealed, Type::BYTEA)]).await?;
        ensure!(changed == 1, "{changed} rows");
        tx.commit().await?;
        self.counter(kind, at).store(count, Ordering::SeqCst);
        Ok(())
    }

    fn counter(&self, kind: usize, at: usize) -> &AtomicU64 {
        &self.load.written[kind * self.load.accounts.len() + at]
    }
}

async fn start_load(keeper: &Keeper) -> Result<(Arc<Load>, JoinSet<Result<()>>)> {
    let load = Arc::new(Load {
        accounts: keeper.accounts.clone(),
        written: (0..3 * keeper.accounts.len()).map(|_| AtomicU64::new(0)).collect(),
        clock: keeper.world.clock(),
        over: AtomicBool::new(false),
        reads: AtomicU64::new(0),
        writes: AtomicU64::new(0),
        slowest_micros: AtomicU64::new(0),
    });
    let mut functions = JoinSet::new();
    for nth in 0..TASKS {
        let ring = keeper.world.wire("register_individual_node", |config| {
            config.secret::<SealingKeys, KeyRing>("SEALING_SECRET")
        });
        let function = Function {
            load: Arc::clone(&load),
            ring: ring.await?,
            auth: keeper.world.db.connect(Role::Auth).await?,
            api: keeper.world.db.connect(Role::Api).await?,
            random: Random::system(),
        };
        functions.spawn(function.serve(nth));
    }
    Ok((load, functions))
}

/// Starts the tool and kills it soon after so many values are moved, or wherever it is before it moved anything.
async fn start_and_kill(keeper: &Keeper, pace: &str, enough: Option<i64>, random: &Random) -> Result<i64> {
    let mut command = keeper.tool.command(&["keys", "rotate", "all", "--no-wait", "--rows-per-second", pace]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let started = Instant::now();
    while let Some(enough) = enough
        && moved(keeper).await? < enough
    {
        ensure!(child.try_wait()?.is_none() && started.elapsed() < MOVES_WITHIN, "it moves nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(random.bytes::<1>()[0].into())).await;
    ensure!(child.try_wait()?.is_none(), "it ended before it was killed");
    child.kill().await?;
    moved(keeper).await
}

/// Opens every value there is; returns how many.
async fn open_all(keeper: &Keeper) -> Result<usize> {
    let mut opened = 0;
    for kind in 0..KINDS.len() {
        opened += keeper.sealed_by(kind).await?.iter().map(|(_, values)| values).sum::<usize>();
    }
    ensure!(opened == 3 * keeper.accounts.len(), "{opened} values are there");
    Ok(opened)
}

async fn moved(keeper: &Keeper) -> Result<i64> {
    let sql = "SELECT COALESCE(sum(resealed), 0)::bigint FROM reseal_progress";
    Ok(keeper.admin.query_typed_one(sql, &[]).await?.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_over_and_over_under_load_it_leaves_nothing_unreadable_and_ends() -> Result<()> {
    let Form { accounts, kills } = form();
    let keeper = Keeper::start(accounts).await?;
    let (load, mut functions) = start_load(&keeper).await?;
    let (random, began) = (Random::system(), Instant::now());
    let pause = Duration::from_millis(500);
    tokio::time::sleep(pause).await;
    keeper.rotate("all").await?.done();
    tokio::time::sleep(pause).await;
    keeper.a_while_later().await?;
    keeper.world.advance(EVERYBODY_HAS_IT);

    let total = i64::try_from(3 * accounts)?;
    // As fast as the way between two kills takes a second.
    let share = total / i64::from(kills + 1);
    let (mut before, mut opened) = (0, 0);
    for kill in 0..kills {
        let enough = (kill % 3 > 0).then_some(i64::from(kill) * share);
        let moved = start_and_kill(&keeper, &share.to_string(), enough, &random).await?;
        ensure!(moved >= before, "what was done was forgotten");
        before = moved;
        opened += open_all(&keeper).await?;
    }
    ensure!(before < total, "the kills came too late: {before} of {total} were moved");

    let started = Instant::now();
    let ran = keeper.rotate("all").await?;
    let rate = ran.done().lines().find(|line| line.starts_with("moved ")).context("it moved nothing")?;
    println!("{rate} ({:?}), after {kills} kills, the last at {before} of {total}", started.elapsed());
    keeper.a_while_later().await?;
    let last = keeper.rotate("all").await?;
    ensure!(last.done().contains("took out key 1"), "{last:?}");
    keeper.world.advance(EVERYBODY_HAS_IT);
    tokio::time::sleep(pause).await;
    load.over.store(true, Ordering::Relaxed);
    while let Some(ended) = functions.join_next().await {
        ended??;
    }

    assert_eq!(keeper.held()?, [2]);
    for (kind, (_, table, ..)) in KINDS.iter().enumerate() {
        assert_eq!(keeper.sealed_by(kind).await?, [(2, accounts)], "{table}");
    }
    let [reads, writes, slowest] =
        [&load.reads, &load.writes, &load.slowest_micros].map(|count| count.load(Ordering::Relaxed));
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{reads} reads and {writes} writes in {seconds:.1} s, the slowest in {slowest} µs; {opened} values opened \
         between the kills, every one of them"
    );
    ensure!(reads > 100 && writes > 100, "{reads} reads and {writes} writes are no load");
    Ok(())
}
