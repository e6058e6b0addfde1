//! A world with the saga in it, twice: as the function has it that users call, and as the one has it that goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sandbox::Service;
use sandbox::lnd::Node;
use shared::audit::Origin;
use shared::btcpay::Btcpay;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::roles::Role;
use shared::db::{self, Type};
use shared::lightning::endpoint::Transport;
use shared::lightning::{Did, NodeEndpoint};
use shared::node::{self, Registration};
use shared::random::Random;
use shared::session;
use shared::setup::row::{self, BeginError};
use shared::setup::settle::{Settled, settle};
use shared::setup::{Claimed, Intent, Marked, NodeSource, Saga, Setup, SetupError, State, WalletAccess};
use shared::upstream::Upstream;
use shared::voltage::Voltage;
use testing::{Result, TestDb, World, deployment, world};
use tokio_postgres::Client;
use uuid::Uuid;

pub const ORIGIN: Origin<'static> = Origin { ip: None, request_id: "a-run-under-test" };
/// Longer than any setup here takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// After this every lease, backoff and ambiguity is over.
const LATER: time::Duration = time::Duration::minutes(15);

#[derive(Clone, Copy)]
pub struct SceneOptions {
    /// Of ids, keys and jitter, and of the sandbox's chaos.
    pub seed: u64,
    /// How long a provider may take to answer.
    pub timeout: Duration,
    pub pool: usize,
    /// Whether nodes are behind a certificate that nobody vouches for.
    pub pinned: bool,
}

impl Default for SceneOptions {
    fn default() -> Self {
        Self { seed: 1, timeout: Duration::from_secs(10), pool: 4, pinned: false }
    }
}

pub struct Scene {
    pub world: World,
    /// As `setup_lightning` runs it: it puts the wallet's keys away and cannot read them back.
    pub api: Saga,
    /// As `resume_lightning_setups` runs it.
    pub jobs: Saga,
    pub admin: Client,
    pub btcpay: Btcpay,
    pub voltage: Voltage,
    pub ring: KeyRing,
    options: SceneOptions,
}

/// Somebody who wants a setup, and the id it is to have.
#[derive(Clone, Debug)]
pub struct User {
    pub id: Uuid,
    pub setup_id: Uuid,
    pub name: String,
    pub source: NodeSource,
    /// Their store, brought over from another system.
    pub store: Option<String>,
}

/// How many things of one kind there were, and are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    pub created: u64,
    pub kept: u64,
}

impl Scene {
    pub async fn start() -> Result<Self> {
        Self::start_with(SceneOptions::default()).await
    }

    pub async fn start_with(options: SceneOptions) -> Result<Self> {
        Self::start_on(TestDb::create().await?, options).await
    }

    pub async fn start_on(db: TestDb, options: SceneOptions) -> Result<Self> {
        let world = World::start_on(db).await?;
        // Markers are parts of paths, and what goes wrong with a path follows from the path and the seed.
        world
            .sandbox
            .secrets()
            .put("satchel/marker", r#"{"key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#);
        let api = wire(&world, options, Role::Api, 1).await?;
        let jobs = wire(&world, options, Role::Jobs, 2).await?;
        let mut config = world.config(environment(&world, options, Role::Jobs));
        let upstream = Upstream::wire(&mut config);
        let btcpay = Btcpay::wire(&mut config, &upstream).context("no BTCPay")?;
        let voltage = Voltage::wire(&mut config, &upstream).context("no Voltage")?;
        let sealing = world.sandbox.secrets().get("satchel/sealing").context("no sealing keys")?;
        let ring =
            KeyRing::try_from(serde_json::from_str::<SealingKeys>(&sealing)?).map_err(anyhow::Error::msg)?;
        let admin = world.db.admin().await?;
        Ok(Self { world, api, jobs, admin, btcpay, voltage, ring, options })
    }

    /// The saga as another process of its own would have it.
    pub async fn process(&self, role: Role, number: u64) -> Result<Saga> {
        wire(&self.world, self.options, role, number).await
    }

    /// An account; the setup is not begun.
    pub async fn user(&self, name: &str) -> Result<User> {
        self.user_with(name, NodeSource::Voltage).await
    }

    pub async fn user_with(&self, name: &str, source: NodeSource) -> Result<User> {
        let now = self.world.now();
        let (id, setup_id) = (self.api.random.id(now), self.api.random.id(now));
        let insert = "INSERT INTO users (id, created_at, updated_at, last_login_at) VALUES ($1, $2, $2, $2)";
        self.admin.execute_typed(insert, &[(&id, Type::UUID), (&now, Type::TIMESTAMPTZ)]).await?;
        Ok(User { id, setup_id, name: name.to_owned(), source, store: None })
    }

    /// Registers a node of the user's own, as the endpoint for it does, with the macaroon that is good for invoices.
    pub async fn register_node(&self, user: &User) -> Result<Node> {
        let node = self.world.node(&format!("own-{}", user.name))?;
        let macaroon = node.bake(&[
            ("uri", "/lnrpc.Lightning/GetInfo"),
            ("uri", "/lnrpc.Lightning/AddInvoice"),
            ("uri", "/lnrpc.Lightning/LookupInvoice"),
        ])?;
        let now = self.world.now();
        let sealed =
            self.ring.seal(node::macaroon_field(&user.id), macaroon.as_bytes(), now, &self.api.random)?;
        let pubkey = node.pubkey.parse().map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let endpoint = NodeEndpoint::parse("https://nodes.example.com/own", Transport::HttpsOnly);
        let registration = Registration {
            user_id: user.id,
            did: &Did::Lightning(pubkey),
            node_id: &user.name.parse().map_err(anyhow::Error::msg)?,
            pubkey,
            endpoint: &endpoint.map_err(|error| anyhow::anyhow!("{error:?}"))?,
            macaroon_sealed: Some(sealed),
            certificate_sha256: None,
        };
        let registered = node::register(&self.admin, &registration, now).await;
        registered.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        // Only the sandbox is without TLS, and no endpoint takes such an address.
        let at = "UPDATE nodes SET endpoint = $2 WHERE user_id = $1";
        self.admin.execute_typed(at, &[(&user.id, Type::UUID), (&node.base_url, Type::TEXT)]).await?;
        Ok(node)
    }

    pub fn intent(&self, user: &User) -> Intent {
        Intent::parse((&user.name, None, Some(user.source.name())), &self.api.switch.domain)
            .unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// Begins and takes up in one transaction, as the endpoint does.
    pub async fn begin(&self, user: &User) -> Result<Claimed> {
        let begun = self.begin_by(&self.api, user).await?;
        begun.map_err(|error| anyhow::anyhow!("{error:?}"))?.context("a new setup is nobody else's")
    }

    pub async fn begin_by(&self, saga: &Saga, user: &User) -> Result<Result<Option<Claimed>, BeginError>> {
        let now = saga.clock.now();
        let mut connection = saga.db.connection().await?;
        let tx = connection.transaction().await?;
        session::enter(&tx, (user.id, Uuid::nil()), false, now).await?;
        if let Err(error) = row::begin(&tx, (user.setup_id, user.id), &self.intent(user), now).await {
            return Ok(Err(error));
        }
        let claimed = saga.take_up_in(&tx, Some(user.setup_id), ORIGIN).await?;
        db::commit(tx).await?;
        Ok(Ok(claimed))
    }

    /// The first run, as the user's own request makes it.
    pub async fn first_run(&self, user: &User) -> Result<Setup> {
        let claimed = self.begin(user).await?;
        self.run(&self.api, user, claimed).await
    }

    /// As whoever runs a setup does: one that lost its lease is somebody else's, and nothing is wrong.
    async fn run(&self, saga: &Saga, user: &User, claimed: Claimed) -> Result<Setup> {
        match saga.run(claimed, Instant::now() + PATIENCE, ORIGIN).await {
            Err(SetupError::LeaseLost) => self.setup(user).await,
            ran => Ok(ran?),
        }
    }

    /// Time passes, somebody asks for another try if that is what is waited for, and the setup is run once more.
    pub async fn run_again(&self, user: &User) -> Result<Setup> {
        self.world.advance(LATER);
        self.run_now(user).await
    }

    /// One more run, if the setup's time has come.
    pub async fn run_now(&self, user: &User) -> Result<Setup> {
        if self.setup(user).await?.state == State::Failed {
            row::retry(&self.admin, user.setup_id, self.world.now()).await?;
        }
        // What died a moment ago holds its row until Postgres has noticed, and may have ended the setup after all.
        for _ in 0..200 {
            if let Some(claimed) = self.jobs.take_up(Some(user.setup_id), ORIGIN).await? {
                return self.run(&self.jobs, user, claimed).await;
            }
            let setup = self.setup(user).await?;
            if setup.state == State::Finished {
                return Ok(setup);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("it is not due: {}", self.story(user).await?)
    }

    /// Runs it again until it is finished; the number of runs that took.
    pub async fn finish(&self, user: &User, most: u32) -> Result<u32> {
        for runs in 0..=most {
            if self.setup(user).await?.state == State::Finished {
                return Ok(runs);
            }
            ensure!(runs < most, "not finished after {most} retries: {}", self.story(user).await?);
            self.run_again(user).await?;
        }
        unreachable!("the last round returns")
    }

    /// Time passes, and both accounts are looked through.
    pub async fn settle(&self) -> Result<Settled> {
        self.world.advance(LATER);
        Ok(settle(&self.jobs, ORIGIN).await?)
    }

    pub async fn setup(&self, user: &User) -> Result<Setup> {
        row::find(&self.admin, user.setup_id).await?.context("there is no such setup")
    }

    /// The mark on everything made for the user.
    pub async fn marker(&self, user: &User, generation: i32) -> Result<String> {
        let marked = Marked { setup_id: user.setup_id, generation };
        Ok(self.jobs.markers.get().await?.mark(marked).to_string())
    }

    /// What the log has to say, for the message of a test that fails.
    pub async fn story(&self, user: &User) -> Result<String> {
        let log = "SELECT concat_ws(' ', step, event, attempt, error_code, detail) FROM lightning_setup_log
                   WHERE setup_id = $1 ORDER BY id";
        let rows = self.admin.query_typed(log, &[(&user.setup_id, Type::UUID)]).await?;
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(format!("{}\n  {}", user.name, lines.join("\n  ")))
    }

    /// What of one kind the sandbox really made, whatever its answers said, and what of it is still there.
    pub fn made(&self, service: Service, kind: &str) -> Made {
        let objects = self.world.sandbox.objects();
        let found = objects.iter().find(|objects| objects.service == service && objects.kind == kind);
        found.map_or(Made { created: 0, kept: 0 }, |objects| Made {
            created: objects.created,
            kept: objects.created - objects.deleted,
        })
    }

    /// The one number a query gives.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.admin.query_typed_one(sql, &[]).await?.get(0))
    }
}

async fn wire(world: &World, options: SceneOptions, role: Role, number: u64) -> Result<Saga> {
    let access = if role == Role::Jobs { WalletAccess::Read } else { WalletAccess::Write };
    let random = seeded(options.seed.wrapping_mul(1_000).wrapping_add(number));
    let mut config = shared::config::Config::new(environment(world, options, role), world.clock(), random);
    let saga = Saga::wire(&mut config, access);
    config.finish().await?;
    Ok(saga)
}

fn environment(world: &World, options: SceneOptions, role: Role) -> BTreeMap<String, String> {
    let mut environment = deployment::local_environment(world.sandbox.base_url());
    let own = [
        ("DATABASE_SECRET", format!("satchel/database/{}", role.short_name())),
        ("DATABASE_POOL_SIZE", options.pool.to_string()),
        ("SEALING_SECRET", "satchel/sealing".into()),
        ("AUDIT_SECRET", "satchel/audit".into()),
        ("MARKER_SECRET", "satchel/marker".into()),
        ("APP_DOMAIN", world::DOMAIN.into()),
        ("ISSUER_URL", world::ISSUER_URL.into()),
        ("LIGHTNING_ADDRESS_DOMAIN", world::LIGHTNING_ADDRESS_DOMAIN.into()),
        ("DEPLOYMENT_ID", "test".into()),
        ("UPSTREAM_TIMEOUT_MILLISECONDS", options.timeout.as_millis().to_string()),
        ("UPSTREAM_RETRY_MILLISECONDS", "5".into()),
        ("SETUP_POLL_MILLISECONDS", "2".into()),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if options.pinned {
        let url = format!("{}/{{api_endpoint}}", world.sandbox.tls().base_url());
        environment.insert("VOLTAGE_NODE_URL".into(), url);
        environment.insert("VOLTAGE_NODE_CERTIFICATE".into(), "pinned".into());
    }
    environment
}

/// The bytes that follow from the seed: a `SplitMix64`.
pub fn seeded(seed: u64) -> Random {
    let state = Arc::new(Mutex::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)));
    Random::from_fn(move |buffer| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes()[..chunk.len()]);
        }
    })
}

/// A world on a thread of its own, beside others.
pub fn beside<T: Send + 'static, F: Future<Output = Result<T>>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> JoinHandle<Result<T>> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work())
    })
}

/// What became of the work on the other thread, a panic included.
pub fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Whether to take the time (`cargo xtask test --full`).
pub fn full() -> bool {
    std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1")
}

/// Where chance begins. `SATCHEL_SEED=<number>` repeats a run that printed it.
pub fn first_seed() -> u64 {
    let given = std::env::var_os("SATCHEL_SEED").and_then(|value| value.into_string().ok());
    given.and_then(|value| value.parse().ok()).unwrap_or(1)
}

/// What the last digits of a number are worth as an index.
pub fn pick(number: u64, of: usize) -> usize {
    usize::try_from(number % of.max(1) as u64).unwrap_or_default()
}
