//! Where everybody is measured: one Postgres that flushes, one sandbox, and what each contender finds in its
//! environment.

use crate::{binaries, machine, peers};
use anyhow::{Context, Result};
use gateway::Template;
use sandbox::{Sandbox, SandboxOptions};
use shared::db::roles::Role;
use shared::fresh::{self, DatabaseAddress, SigningAlgorithm};
use std::collections::BTreeMap;
use std::path::PathBuf;
use testing::deployment::{self, SECRET_PREFIX};
use testing::postgres::{Durability, Server, StartOptions};
use testing::{TestDb, world};
use tokio_postgres::Client;

/// What stands in the texts to sign.
pub const DOMAIN: &str = "login.example.com";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Rust,
    Python,
    Node,
}

impl Runtime {
    pub const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::Node];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "Satchel (Rust)",
            Self::Python => "Python",
            Self::Node => "Node",
        }
    }
}

/// The functions as they are deployed, their environments above all.
pub fn template() -> Result<Template> {
    let parameters = [
        ("AppDomain", DOMAIN),
        ("IssuerUrl", "https://api.example.com"),
        ("DeploymentId", "bench"),
        ("LightningAddressDomain", "pay.example.com"),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Template::load(world::root().join("template.yaml"), &parameters.into())
}

/// The process above the one that serves this connection.
pub async fn postmaster(admin: &Client) -> Result<u32> {
    let backend: i32 = admin.query_typed_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    machine::parent_of(backend.cast_unsigned()).context("the server has no process here")
}

pub struct World {
    // In this order: the database is dropped while its server runs.
    pub db: TestDb,
    pub admin: Client,
    pub sandbox: Sandbox,
    template: Template,
    pub postmaster: u32,
    pub server: Server,
}

impl World {
    pub async fn start() -> Result<Self> {
        let options = StartOptions { durability: Durability::Real, ..StartOptions::for_tests("bench") };
        let server = tokio::task::spawn_blocking(|| Server::start(options)).await??;
        let db = TestDb::create_at(&server.admin_url()).await?;
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        let template = template()?;
        let admin = db.admin().await?;
        let postmaster = postmaster(&admin).await?;
        let world = Self { db, admin, sandbox, template, postmaster, server };
        let signing = fresh::signing(SigningAlgorithm::Es256).ok().context("no key")?;
        deployment::put_secrets(&world.sandbox.secrets(), &world.address()?, &world.db.passwords, &signing)?;
        Ok(world)
    }

    pub fn stop(self) -> Result<()> {
        let Self { db, admin, server, .. } = self;
        drop((admin, db));
        server.stop()
    }

    pub fn address(&self) -> Result<DatabaseAddress> {
        self.db.address()
    }

    pub fn password(&self) -> Result<&str> {
        Ok(self.db.passwords.get(&Role::Auth).context("the role has no password")?.expose())
    }

    /// From now on every process that starts signs with a new key of this kind.
    pub async fn sign_with(&self, algorithm: SigningAlgorithm) -> Result<()> {
        let signing = fresh::signing(algorithm).ok().context("no key")?;
        self.sandbox.secrets().put(&format!("{SECRET_PREFIX}/signing"), &signing.to_string());
        // The first process to sign publishes it; the peers do not publish, so ours goes first.
        Ok(self.admin.batch_execute("DELETE FROM signing_keys").await?)
    }

    pub fn binary(runtime: Runtime, function: &str) -> PathBuf {
        match runtime {
            Runtime::Rust => binaries::path(function),
            Runtime::Python => peers::directory("python").join("run").join(function),
            Runtime::Node => peers::directory("node").join("run").join(format!("{function}.mjs")),
        }
    }

    /// What the template gives the function, with limits nobody reaches; for a peer, its secrets as well, which
    /// spares it the reading of them.
    pub fn environment(&self, runtime: Runtime, function: &str) -> Result<BTreeMap<String, String>> {
        let named = |name: &str| self.template.functions.iter().find(|found| found.name == name);
        let found = named(function).or_else(|| named("verify_lightning_signature"));
        let mut environment = found.context("the template lacks the function")?.environment.clone();
        environment.extend(deployment::local_environment(self.sandbox.base_url()));
        let mut set = |name: &str, value: &str| environment.insert(name.to_owned(), value.to_owned());
        set("RATE_LIMIT_SIGN_IN_PER_DID", "1000000");
        set("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "1000000");
        if runtime == Runtime::Rust {
            return Ok(environment);
        }
        let address = self.address()?;
        set("PEER_DB_HOST", &address.host);
        set("PEER_DB_PORT", &address.port.to_string());
        set("PEER_DB_NAME", &address.dbname);
        set("PEER_DB_USER", Role::Auth.name());
        set("PEER_DB_PASSWORD", self.password()?);
        set("PEER_HANDLER", function);
        set("PEER_DIRECTORY", &peers::directory("python").display().to_string());
        for name in ["signing", "sealing", "audit"] {
            let value = self.sandbox.secrets().get(&format!("{SECRET_PREFIX}/{name}"));
            set(&format!("PEER_{}", name.to_uppercase()), &value.context("a secret is missing")?);
        }
        Ok(environment)
    }
}
