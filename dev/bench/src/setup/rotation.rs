//! A rotation: macaroons of many nodes on their way to a newer key, alone and while requests read and write them.

use super::ground::{Ground, user};
use crate::figures::ms;
use crate::machine::ratio;
use crate::throughput::settle;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::crypto::{KeyRing, Purpose, SealingKeys};
use shared::db::Type;
use shared::db::roles::Role;
use shared::random::Random;
use shared::reseal::{self, Move, SealedColumn};
use shared::{fresh, node, session};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// As `satchel keys rotate` has it.
const BATCH: i64 = 200;
pub const REQUESTS_PER_SECOND: u32 = 200;
const TASKS: u32 = 8;
const FIRST: u64 = 3_000_000_000;
/// As long as one that is baked for invoices, in hex.
const MACAROON: [u8; 420] = [b'7'; 420];

/// Values under the first of several keys.
pub struct Vault {
    ground: Ground,
    entries: Vec<Value>,
    jobs: Client,
    rows: u64,
    random: Random,
    clock: Clock,
}

/// What the requests beside saw.
#[derive(Default)]
pub struct Requests {
    pub per_second: f64,
    /// In milliseconds, each.
    pub times: Vec<f64>,
}

impl Vault {
    pub async fn new(ground: Ground, rows: u64) -> Result<Self> {
        let (random, clock) = (Random::system(), Clock::system());
        let jobs = ground.db.connect(Role::Jobs).await?;
        // As the tool does: the role's own limit is made for requests.
        jobs.batch_execute("SET statement_timeout = '1h'").await?;
        let vault = Self { ground, entries: Vec::new(), jobs, rows, random, clock };
        vault.filled().await
    }

    async fn filled(mut self) -> Result<Self> {
        let ring = self.next_ring()?;
        self.ground.users(FIRST..FIRST + self.rows).await?;
        for numbers in (FIRST..FIRST + self.rows).collect::<Vec<_>>().chunks(5_000) {
            let users = numbers.iter().map(|n| user(*n)).collect::<Result<Vec<Uuid>>>()?;
            let seal =
                |user| ring.seal(node::macaroon_field(user), &MACAROON, self.clock.now(), &self.random);
            let sealed = users.iter().map(seal).collect::<Result<Vec<_>, _>>()?;
            let columns: [(&(dyn ToSql + Sync), Type); 2] =
                [(&users, Type::UUID_ARRAY), (&sealed, Type::BYTEA_ARRAY)];
            let sql = "INSERT INTO nodes (user_id, did, node_id, pubkey, macaroon_sealed, created_at, updated_at)
                       SELECT n.id, 'x', n.id::text, '02' || encode(sha256(n.id::text::bytea), 'hex'), n.sealed, now(), now()
                       FROM unnest($1, $2) AS n (id, sealed)";
            self.ground.admin.execute_typed(sql, &columns).await?;
        }
        Ok(self)
    }

    /// With one more key, which every function has had for long.
    fn next_ring(&mut self) -> Result<KeyRing> {
        let id = u32::try_from(self.entries.len())? + 1;
        let created_at = self.clock.now() - time::Duration::days(1);
        self.entries.push(fresh::sealing_key(id, &[], created_at, &self.random));
        let document: SealingKeys = serde_json::from_value(json!({ "keys": self.entries }))?;
        KeyRing::try_from(document).map_err(anyhow::Error::msg)
    }

    /// Values moved a second, to one more key.
    pub async fn rotate(&mut self, beside: bool) -> Result<(f64, Requests)> {
        let ring = Arc::new(self.next_ring()?);
        let key_id = u32::try_from(self.entries.len())?;
        let now = self.clock.now();
        let step = Move { purpose: Purpose::Macaroon, key_id, settled_at: now };
        reseal::begin(&self.jobs, step, now).await?;
        settle(&self.ground.admin).await?;
        let over = Arc::new(AtomicBool::new(false));
        let mut load = JoinSet::new();
        for nth in 0..if beside { TASKS } else { 0 } {
            let client = self.ground.db.connect(Role::Api).await?;
            let task = Task { client, ring: Arc::clone(&ring), rows: self.rows, over: Arc::clone(&over) };
            load.spawn(task.serve(nth));
        }
        let (begin, mut moved) = (Instant::now(), 0);
        let columns = reseal::columns(Purpose::Macaroon);
        let column =
            columns.into_iter().find(|column| column.table == "nodes").context("nodes are sealed")?;
        while reseal::count_older(&self.jobs, column, key_id).await? > 0 {
            moved += self.way((column, key_id), &ring).await?;
        }
        let took = begin.elapsed();
        over.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        while let Some(ended) = load.join_next().await {
            times.extend(ended??);
        }
        ensure!(beside || moved == self.rows, "{moved} were moved, of {}", self.rows);
        reseal::finish(&self.jobs, step, self.clock.now()).await?;
        let per_second = ratio(times.len() as u64, 1) / took.as_secs_f64();
        Ok((ratio(moved, 1) / took.as_secs_f64(), Requests { per_second, times }))
    }

    async fn way(&self, to: (&SealedColumn, u32), ring: &KeyRing) -> Result<u64> {
        let (mut moved, mut reached) = (0, None::<String>);
        loop {
            let place = (reached.as_deref(), BATCH);
            let batch = reseal::batch(&self.jobs, to, place, ring, (self.clock.now(), &self.random)).await?;
            moved += batch.resealed;
            ensure!(batch.unreadable.is_empty(), "{:?} do not open", batch.unreadable);
            if batch.reached.is_none() {
                return Ok(moved);
            }
            reached = batch.reached;
        }
    }
}

/// One of those that read and write.
struct Task {
    client: Client,
    ring: Arc<KeyRing>,
    rows: u64,
    over: Arc<AtomicBool>,
}

impl Task {
    /// The time of each request, in milliseconds.
    async fn serve(mut self, nth: u32) -> Result<Vec<f64>> {
        let (random, clock) = (Random::system(), Clock::system());
        let mut due = tokio::time::interval(Duration::from_secs(1) * TASKS / REQUESTS_PER_SECOND);
        let mut times = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            due.tick().await;
            let (owner, now) = (user(FIRST + u64::from_le_bytes(random.bytes()) % self.rows)?, clock.now());
            let begin = Instant::now();
            let tx = self.client.transaction().await?;
            session::enter(&tx, (owner, Uuid::nil()), false, now).await?;
            if nth.is_multiple_of(2) {
                let sealed = self.ring.seal(node::macaroon_field(&owner), &MACAROON, now, &random)?;
                let sql = "UPDATE nodes SET macaroon_sealed = $2 WHERE user_id = $1";
                let changed = tx.execute_typed(sql, &[(&owner, Type::UUID), (&sealed, Type::BYTEA)]).await?;
                ensure!(changed == 1, "{changed} rows");
            } else {
                let sql = "SELECT macaroon_sealed FROM nodes WHERE user_id = $1";
                let row = tx.query_typed_one(sql, &[(&owner, Type::UUID)]).await?;
                let opened = self.ring.open(node::macaroon_field(&owner), row.get(0))?;
                ensure!(opened.expose().as_slice() == MACAROON, "another value");
            }
            tx.commit().await?;
            times.push(ms(begin.elapsed()));
        }
        Ok(times)
    }
}
