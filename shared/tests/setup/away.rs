//! A provider that is away for a minute: the breaker opens, nobody waits, nothing storms, and everything ends by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sandbox::Service;
use shared::breaker;
use shared::db::roles::Role;
use shared::setup::{NodeSource, Saga, SetupError};
use testing::Result;
use tokio::task::JoinSet;

use crate::check;
use crate::scene::{ORIGIN, Scene, SceneOptions, User, beside, full, joined};

const AWAY_SECONDS: u32 = 60;
/// After which everything must have ended: the longest wait is ten minutes.
const BACK_SECONDS: u32 = 20 * 60;
/// Setups that meet the outage, and those that are asked for while it lasts.
const BEFORE: usize = 32;
const EACH_TICK: usize = 2;
const TICK_SECONDS: u32 = 2;
const AT_ONCE: usize = 8;
/// Of the functions' processes, and the connections each has.
const PROCESSES: u64 = 2;
const POOL: usize = 3;
/// While the breaker is open, on a machine that has other things to do: half of them, and every one, which is less than
/// a single call may take.
const HALF: Duration = Duration::from_secs(1);
const ALL: Duration = Duration::from_secs(9);
/// Calls until it opens, every one of them in flight and with all its tries; and one that tries every 15 s.
const MOST_CALLS: u64 = 4 * (20 + AT_ONCE as u64) + 4 * 3 * 2;

struct Outage {
    scene: Arc<Scene>,
    sagas: Vec<Saga>,
    service: Service,
    users: Vec<User>,
    /// How long a second of the outage takes here.
    second: Duration,
}

/// The most connections each role had at one time, until told to stop.
async fn watch(scene: Arc<Scene>, ended: Arc<AtomicBool>) -> Result<BTreeMap<String, i64>> {
    let watcher = scene.world.db.admin().await?;
    let sql = "SELECT usename::text, count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND usename LIKE 'satchel%' GROUP BY 1";
    let mut most = BTreeMap::new();
    while !ended.load(Ordering::Relaxed) {
        for row in watcher.query_typed(sql, &[]).await? {
            let (role, connections): (String, i64) = (row.get(0), row.get(1));
            let known = most.entry(role).or_insert(0);
            *known = connections.max(*known);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(most)
}

impl Outage {
    async fn start(service: Service, seed: u64) -> Result<Self> {
        let options = SceneOptions { seed, pool: POOL, ..SceneOptions::default() };
        let scene = Scene::start_with(options).await?;
        let mut sagas = Vec::new();
        for number in 0..PROCESSES {
            sagas.push(scene.process(Role::Jobs, 10 + number).await?);
        }
        let second = if full() { Duration::from_secs(1) } else { Duration::from_millis(20) };
        Ok(Self { scene: Arc::new(scene), sagas, service, users: Vec::new(), second })
    }

    fn calls(&self) -> u64 {
        self.scene.world.sandbox.calls_to(self.service, "/")
    }

    async fn is_open(&self) -> Result<bool> {
        let name = match self.service {
            Service::Btcpay => "btcpay",
            Service::Voltage => "voltage",
            _ => "lnd",
        };
        let states = breaker::states(&self.scene.admin).await?;
        Ok(states.iter().any(|state| state.provider == name && state.open))
    }

    /// So many users ask, some at once; how long each of them waited.
    async fn ask(&mut self, users: usize) -> Result<Vec<Duration>> {
        let (mut asking, mut waited) = (JoinSet::new(), Vec::new());
        for _ in 0..users {
            if asking.len() == AT_ONCE {
                waited.push(asking.join_next().await.context("somebody asks")???);
            }
            let name = format!("user-{}", self.users.len());
            // BTCPay comes last, and a node of one's own comes first.
            let user = if self.service == Service::Btcpay {
                let user = self.scene.user_with(&name, NodeSource::Registered).await?;
                self.scene.register_node(&user).await?;
                user
            } else {
                self.scene.user(&name).await?
            };
            self.users.push(user.clone());
            let scene = Arc::clone(&self.scene);
            asking.spawn(async move {
                let began = Instant::now();
                scene.first_run(&user).await?;
                anyhow::Ok(began.elapsed())
            });
        }
        while let Some(asked) = asking.join_next().await {
            waited.push(asked??);
        }
        Ok(waited)
    }

    /// What is due is taken up, in every process some at once; how long each run took.
    async fn resume(&self) -> Result<Vec<Duration>> {
        let work = self.sagas.iter().flat_map(|saga| [saga; AT_ONCE]).map(async |saga| {
            let mut took = Vec::new();
            while let Some(claimed) = saga.take_up(None, ORIGIN).await? {
                let began = Instant::now();
                match saga.run(claimed, began + Duration::from_secs(30), ORIGIN).await {
                    Ok(_) | Err(SetupError::LeaseLost) => took.push(began.elapsed()),
                    Err(error) => return Err(error.into()),
                }
            }
            anyhow::Ok(took)
        });
        Ok(futures_util::future::try_join_all(work).await?.concat())
    }

    async fn lasts_a_minute(&mut self) -> Result<()> {
        let faults = self.scene.world.sandbox.faults();
        faults.away(self.service);
        self.ask(BEFORE).await?;
        ensure!(self.is_open().await?, "the breaker is closed after {} calls", self.calls());
        let mut waited = Vec::new();
        for _ in 0..AWAY_SECONDS / TICK_SECONDS {
            self.scene.world.advance(time::Duration::seconds(TICK_SECONDS.into()));
            tokio::time::sleep(self.second * TICK_SECONDS).await;
            waited.extend(self.ask(EACH_TICK).await?);
            waited.extend(self.resume().await?);
        }
        waited.sort_unstable();
        let at = |tenths: usize| waited[(waited.len() - 1) * tenths / 10];
        let (half, most, longest) = (at(5), at(9), at(10));
        ensure!(self.is_open().await?, "the breaker closed while the provider was away");
        ensure!(half < HALF && longest < ALL, "half of them waited {half:?}, somebody {longest:?}");
        ensure!(self.calls() <= MOST_CALLS, "{} calls to a provider that is away", self.calls());
        println!(
            "{:?} away: {} calls; of {} runs nine in ten took {most:?}, none longer than {longest:?}",
            self.service,
            self.calls(),
            waited.len(),
        );
        faults.back(self.service);
        Ok(())
    }

    async fn ends(&self) -> Result<()> {
        let unfinished = "SELECT count(*) FROM lightning_setups WHERE state <> 'finished'";
        let failed = "SELECT count(*) FROM lightning_setups WHERE state = 'failed'";
        for _ in 0..BACK_SECONDS / 15 {
            // The rest of the way no second is like another.
            self.scene.world.advance(time::Duration::seconds(15));
            self.resume().await?;
            ensure!(self.scene.number(failed).await? == 0, "an outage is nobody's failure");
            if self.scene.number(unfinished).await? == 0 {
                ensure!(!self.is_open().await?, "the breaker is still open");
                return Ok(());
            }
        }
        anyhow::bail!("{} setups are not finished", self.scene.number(unfinished).await?)
    }

    /// To find a breaker open is no failure, and many did.
    async fn counted_for_nobody(&self) -> Result<()> {
        let log = "SELECT count(*) FROM lightning_setup_log WHERE error_code LIKE '%BREAKER_OPEN' AND event";
        let waited = self.scene.number(&format!("{log} = 'waiting'")).await?;
        ensure!(waited > i64::from(AWAY_SECONDS / TICK_SECONDS), "{waited} met an open breaker");
        ensure!(self.scene.number(&format!("{log} <> 'waiting'")).await? == 0, "it was counted");
        Ok(())
    }
}

async fn an_outage(service: Service, seed: u64) -> Result<()> {
    let mut outage = Outage::start(service, seed).await?;
    let ended = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(Arc::clone(&outage.scene), Arc::clone(&ended)));
    outage.lasts_a_minute().await?;
    outage.ends().await?;
    outage.counted_for_nobody().await?;
    ended.store(true, Ordering::Relaxed);
    let connections = watching.await??;
    // The scene has a process of each role of its own.
    let pool = i64::try_from(POOL)?;
    let most = [("satchel_api", pool), ("satchel_jobs", (i64::try_from(PROCESSES)? + 1) * pool)];
    for (role, most) in most {
        let found = connections.get(role).copied().unwrap_or_default();
        ensure!((1..=most).contains(&found), "{found} connections of {role}, {most} are in its pools");
    }
    println!("{service:?} away: {} setups finished, {connections:?}", outage.users.len());
    outage.scene.settle().await?;
    for user in &outage.users {
        check::whole(&outage.scene, user).await?;
    }
    check::nothing_left_over(&outage.scene, i64::try_from(outage.users.len())?).await
}

#[test]
fn a_provider_that_is_away_for_a_minute_is_left_alone_and_everything_ends_by_itself() -> Result<()> {
    let worlds = [Service::Btcpay, Service::Voltage, Service::Lnd];
    let worlds: Vec<_> = (1..)
        .zip(worlds)
        .map(|(seed, service)| (service, beside(move || an_outage(service, seed))))
        .collect();
    let mut wrong = Vec::new();
    for (service, world) in worlds {
        if let Err(error) = joined(world) {
            wrong.push(format!("{service:?}: {error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
