//! A database, the sandbox, and every built function behind one port.

use anyhow::{Context, Result, ensure};
use gateway::{Gateway, GatewayOptions, Template};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;
use shared::fresh::{self, SigningAlgorithm};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use testing::postgres::Server;
use testing::{TestDb, deployment, world};
use tokio_postgres::Client as Database;

use crate::client::Client;
use crate::log::Log;

/// Making an RSA key takes long enough to do it once.
static SIGNING: LazyLock<Value> =
    LazyLock::new(|| fresh::signing(SigningAlgorithm::Rs256).unwrap_or_default());

/// How long a port may stay taken after its gateway stopped.
const FREE_WITHIN: Duration = Duration::from_secs(5);

/// A request that has this header is taken to come from the address it names.
pub const ADDRESS_HEADER: &str = "x-test-source-ip";

/// What differs from a stack on the run's own cluster, as strict as production but for the rate limits.
#[derive(Default)]
pub struct StackOptions {
    /// A cluster that the test may mistreat.
    pub cluster: Option<Server>,
    /// Goes before the template's environment in every function.
    pub environment: BTreeMap<String, String>,
    /// How many processes of one function may run; 0 is as many as a small machine bears.
    pub max_processes: usize,
    /// Secrets put in place of the fresh ones, by name.
    pub secrets: BTreeMap<String, Value>,
}

pub struct Stack {
    // Dropped in this order: nobody is left to ask for what has gone.
    pub gateway: Gateway,
    pub sandbox: Sandbox,
    pub db: TestDb,
    pub cluster: Option<Server>,
    pub client: Client,
    pub log: Log,
    environment: BTreeMap<String, String>,
    max_processes: usize,
    functions: BTreeMap<String, BTreeMap<String, String>>,
}

impl Stack {
    pub async fn start() -> Result<Self> {
        Self::start_with(StackOptions::default()).await
    }

    /// Returns when every function with a route has asked for its first event.
    pub async fn start_with(options: StackOptions) -> Result<Self> {
        let stack = Self::start_without_waiting(options).await?;
        stack.gateway.ready().await?;
        Ok(stack)
    }

    pub async fn start_without_waiting(options: StackOptions) -> Result<Self> {
        let StackOptions { cluster, environment: changed, max_processes, secrets } = options;
        let db = match &cluster {
            Some(server) => TestDb::create_at(&server.admin_url()).await?,
            None => TestDb::create().await?,
        };
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        deployment::put_secrets(&sandbox.secrets(), &db.address()?, &db.passwords, &SIGNING)?;
        for (name, value) in secrets {
            sandbox.secrets().put(&name, &value.to_string());
        }
        let mut environment = deployment::local_environment(sandbox.base_url());
        environment.extend(changed);
        let max_processes = if max_processes == 0 { 2 } else { max_processes };
        let log = Log::default();
        let gateway = start_gateway(0, &environment, max_processes, &log).await?;
        let client = Client::new(gateway.base_url());
        let functions = functions(&environment)?;
        Ok(Self { gateway, sandbox, db, cluster, client, log, environment, max_processes, functions })
    }

    /// The same world, at the same address, after a deployment: every process ends, and those that start find this in
    /// their environment.
    pub async fn redeploy(self, changed: &[(&str, &str)]) -> Result<Self> {
        let Self { gateway, mut environment, max_processes, log, .. } = self;
        let port = gateway.address().port();
        gateway.stop().await;
        environment.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let started = Instant::now();
        // The port is free as soon as whoever listened has noticed that it is over.
        let gateway = loop {
            match start_gateway(port, &environment, max_processes, &log).await {
                Err(_) if started.elapsed() < FREE_WITHIN => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                gateway => break gateway?,
            }
        };
        gateway.ready().await?;
        let functions = functions(&environment)?;
        Ok(Self { gateway, log, environment, functions, ..self })
    }

    /// The cluster's superuser, in this stack's database.
    pub async fn admin(&self) -> Result<Database> {
        self.db.admin().await
    }

    /// What a function of this stack finds in its environment.
    pub fn environment(&self, function: &str) -> Result<&BTreeMap<String, String>> {
        self.functions.get(function).with_context(|| format!("{function} is not in template.yaml"))
    }

    /// Ends every connection of a function from Postgres' side; returns when they have ended.
    pub async fn cut_connections(&self) -> Result<()> {
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                   WHERE datname = current_database() AND usename LIKE 'satchel%'";
        Ok(self.admin().await?.batch_execute(end).await?)
    }

    /// Returns when a function waits for a lock that the test holds.
    pub async fn until_somebody_waits(&self) -> Result<()> {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while self.db.count(waiting).await? == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Every process of every function.
    pub fn process_ids(&self) -> BTreeSet<u32> {
        self.functions.keys().flat_map(|name| self.gateway.process_ids(name)).collect()
    }

    /// Ends every process; what is asked next is a cold start.
    pub async fn kill_all(&self) -> Result<()> {
        for function in self.functions.keys() {
            while !self.gateway.process_ids(function).is_empty() {
                self.gateway.kill(function).await?;
            }
        }
        Ok(())
    }

    /// Sends every process a signal, as a platform freezes and thaws them.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        self.process_ids().into_iter().filter_map(pid).try_for_each(|id| Ok(kill_process(id, signal)?))
    }

    /// Ends everything, and makes sure that it has.
    pub async fn stop(self) -> Result<()> {
        let mut left = self.process_ids();
        self.gateway.stop().await;
        self.sandbox.stop().await;
        left.retain(|id| pid(*id).is_some_and(|id| test_kill_process(id).is_ok()));
        ensure!(left.is_empty(), "left behind: {left:?}");
        drop(self.db);
        self.cluster.map_or(Ok(()), Server::stop)
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(id.try_into().ok()?)
}

async fn start_gateway(
    port: u16,
    environment: &BTreeMap<String, String>,
    max_processes: usize,
    log: &Log,
) -> Result<Gateway> {
    let options = GatewayOptions {
        port,
        environment: environment.clone(),
        max_processes,
        log: log.sink(),
        source_ip_from_header: Some(ADDRESS_HEADER.to_owned()),
        ..GatewayOptions::new(template()?, binaries()?)
    };
    Gateway::start(options).await
}

/// What each function finds in its environment.
fn functions(environment: &BTreeMap<String, String>) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let of = |function: gateway::Function| {
        let own = function.environment.iter().chain(environment).map(|(k, v)| (k.clone(), v.clone()));
        (function.name.clone(), own.collect())
    };
    Ok(template()?.functions.into_iter().map(of).collect())
}

fn template() -> Result<Template> {
    let parameters = [
        ("AppDomain", "localhost"),
        ("DeploymentId", "test"),
        ("LightningAddressDomain", "localhost"),
        ("IssuerUrl", "https://localhost"),
    ];
    let all = parameters.into_iter().chain(deployment::RELAXED_LIMITS);
    let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Template::load(world::root().join("template.yaml"), &all.collect())
}

/// Where `cargo build` put the functions: two above `…/debug/deps/<this test>`.
fn binaries() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let directory = executable.ancestors().nth(2).unwrap_or(Path::new(".")).to_owned();
    for function in template()?.functions {
        let binary = directory.join(&function.binary);
        ensure!(binary.is_file(), "{} is not there: run `cargo build` first", binary.display());
    }
    Ok(directory)
}
