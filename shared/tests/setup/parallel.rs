//! Many requests of each user at once, in several processes with few connections each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sandbox::{Misbehaviour, Route, Service, When};
use shared::db::{self, roles::Role};
use shared::session;
use shared::setup::row::{self, BeginError};
use shared::setup::{Claimed, Saga, SetupError, State};
use testing::Result;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::check;
use crate::scene::{Made, ORIGIN, Scene, SceneOptions, User, first_seed, full, pick};

const REQUESTS: u64 = 20;
/// Users at a time: each of them has that many requests out.
const SIDE_BY_SIDE: usize = 8;
/// Of the functions' processes, and the connections each has.
const PROCESSES: u64 = 3;
const POOL: usize = 2;
/// So many rounds of requests until each setup is finished, though half of them fail at the store.
const ROUNDS: u32 = 20;
const LONG: Duration = Duration::from_mins(1);

struct Processes {
    scene: Scene,
    api: Vec<Saga>,
    jobs: Vec<Saga>,
}

/// What one request of a user is.
#[derive(Clone, Copy)]
enum Request {
    Setup,
    Retry,
    /// None of theirs: the schedule's turn has come.
    Resume,
}

const REQUEST: [Request; 4] = [Request::Setup, Request::Retry, Request::Setup, Request::Resume];

impl Processes {
    async fn start() -> Result<Self> {
        let scene =
            Scene::start_with(SceneOptions { seed: first_seed(), pool: POOL, ..SceneOptions::default() });
        let (scene, mut api, mut jobs) = (scene.await?, Vec::new(), Vec::new());
        for number in 0..PROCESSES {
            api.push(scene.process(Role::Api, 10 + number).await?);
            jobs.push(scene.process(Role::Jobs, 20 + number).await?);
        }
        Ok(Self { scene, api, jobs })
    }

    async fn ask(&self, user: &User, number: u64) -> Result<()> {
        // Not all of them in the same instant.
        let [late] = self.scene.api.random.bytes::<1>();
        tokio::time::sleep(Duration::from_micros(u64::from(late) * 100)).await;
        let api = &self.api[pick(number / 4, self.api.len())];
        let jobs = &self.jobs[pick(number / 4, self.jobs.len())];
        let (saga, claimed) = match REQUEST[pick(number, REQUEST.len())] {
            Request::Setup => (api, self.set_up(api, user).await?),
            Request::Retry => (api, self.take_up(api, user, true).await?),
            Request::Resume => (jobs, jobs.take_up(None, ORIGIN).await?),
        };
        match claimed {
            Some(claimed) => run(saga, claimed).await,
            None => Ok(()),
        }
    }

    /// Each request would have a setup of its own, if it were the first.
    async fn set_up(&self, api: &Saga, user: &User) -> Result<Option<Claimed>> {
        let own = User { setup_id: api.random.id(api.clock.now()), ..user.clone() };
        match self.scene.begin_by(api, &own).await? {
            Ok(claimed) => Ok(claimed),
            Err(BeginError::HasOther) => self.take_up(api, user, false).await,
            Err(error) => anyhow::bail!("{error:?}"),
        }
    }

    /// One transaction, as the endpoints have it.
    async fn take_up(&self, api: &Saga, user: &User, retry: bool) -> Result<Option<Claimed>> {
        let now = api.clock.now();
        let mut connection = api.db.connection().await?;
        let tx = connection.transaction().await?;
        session::enter(&tx, (user.id, Uuid::nil()), false, now).await?;
        let Some(setup) = row::find_of(&tx, user.id).await? else { return Ok(None) };
        if retry {
            row::retry(&tx, setup.id, now).await?;
        }
        let claimed = api.take_up_in(&tx, Some(setup.id), ORIGIN).await?;
        db::commit(tx).await?;
        Ok(claimed)
    }

    /// All its requests at once, and again until the setup is finished; how many rounds that took.
    async fn until_finished(self: Arc<Self>, mut user: User) -> Result<(User, u32)> {
        for round in 1..=ROUNDS {
            let mut requests = JoinSet::new();
            for number in 0..REQUESTS {
                let (processes, user) = (Arc::clone(&self), user.clone());
                requests.spawn(async move { processes.ask(&user, number).await });
            }
            while let Some(ended) = requests.join_next().await {
                ended??;
            }
            let setup = row::find_of(&self.scene.admin, user.id).await?.context("nobody began a setup")?;
            user.setup_id = setup.id;
            if setup.state == State::Finished {
                return Ok((user, round));
            }
        }
        anyhow::bail!("not finished after {ROUNDS} rounds: {}", self.scene.story(&user).await?)
    }
}

async fn run(saga: &Saga, claimed: Claimed) -> Result<()> {
    match saga.run(claimed, Instant::now() + LONG, ORIGIN).await {
        Ok(_) | Err(SetupError::LeaseLost) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_requests_of_a_user_run_at_once_one_store_and_one_node_are_made() -> Result<()> {
    let users = if full() { 200 } else { 40 };
    let processes = Arc::new(Processes::start().await?);
    let scene = &processes.scene;
    // Every other store is refused for good, so that there is something to try again.
    let stores = Route::service(Service::Btcpay).method("POST").path("/btcpay/api/v1/stores");
    let refused = Misbehaviour::FailBefore { status: 422, body: "[]".into() };
    scene.world.sandbox.faults().add(stores, When::Probability(0.5), refused)?;

    let (mut asking, mut finished, mut rounds) = (JoinSet::new(), Vec::new(), 0);
    for number in 0..users {
        if asking.len() == SIDE_BY_SIDE {
            let (user, of_user): (User, u32) = asking.join_next().await.context("somebody asks")???;
            finished.push(user);
            rounds += of_user;
        }
        let user = scene.user(&format!("user-{number}")).await?;
        asking.spawn(Arc::clone(&processes).until_finished(user));
    }
    while let Some(ended) = asking.join_next().await {
        let (user, of_user) = ended??;
        finished.push(user);
        rounds += of_user;
    }
    scene.world.sandbox.faults().clear();

    let provisions = Made { created: users, kept: users };
    for (service, kind) in
        [(Service::Btcpay, "store"), (Service::Btcpay, "webhook"), (Service::Voltage, "node")]
    {
        assert_eq!(scene.made(service, kind), provisions, "{kind}");
    }
    assert_eq!(scene.made(Service::Lnd, "wallet"), provisions);
    let runs = scene.number("SELECT sum(runs) FROM lightning_setups").await?;
    println!("{users} users, {} requests, {runs} runs, {users} provisions", u64::from(rounds) * REQUESTS);
    for user in &finished {
        check::whole(scene, user).await?;
    }
    check::nothing_left_over(scene, i64::try_from(users)?).await
}
