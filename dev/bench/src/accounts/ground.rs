//! One database, and what the contenders find in their environment.

use super::work::{NOTHING_PATH, Work};
use crate::{peers, world};
use anyhow::{Context, Result};
use gateway::{Function, Route, Template};
use sandbox::{Sandbox, SandboxOptions};
use shared::db::roles::Role;
use shared::fresh::{self, SigningAlgorithm};
use std::collections::BTreeMap;
use testing::TestDb;
use testing::deployment::{self, SECRET_PREFIX};
use testing::postgres::Server;
use tokio_postgres::Client;

/// What is left as it is: the schema's own rows, the keys and the accounts.
const EMPTIED: &str = "sessions, audit_logs, audit_chains, audit_heads, rate_limits, idempotency_keys, mails";

pub struct Ground {
    // In this order: the database is dropped while its server runs.
    pub db: TestDb,
    pub admin: Client,
    pub sandbox: Sandbox,
    template: Template,
    pub postmaster: u32,
}

impl Ground {
    pub async fn on(server: &Server) -> Result<Self> {
        let db = TestDb::create_at(&server.admin_url()).await?;
        let (admin, sandbox) = (db.admin().await?, Sandbox::start(SandboxOptions::default()).await?);
        let signing = fresh::signing(SigningAlgorithm::Es256).ok().context("no key")?;
        deployment::put_secrets(&sandbox.secrets(), &db.address()?, &db.passwords, &signing)?;
        let postmaster = world::postmaster(&admin).await?;
        Ok(Self { db, admin, sandbox, template: world::template()?, postmaster })
    }

    /// From now on every process that starts signs with a new key of this kind.
    pub async fn sign_with(&self, algorithm: SigningAlgorithm) -> Result<()> {
        let signing = fresh::signing(algorithm).ok().context("no key")?;
        self.sandbox.secrets().put(&format!("{SECRET_PREFIX}/signing"), &signing.to_string());
        Ok(self.admin.batch_execute("DELETE FROM signing_keys").await?)
    }

    /// What the template gives the function and where the sandbox is, with limits nobody reaches.
    pub fn environment(&self, function: &str) -> Result<BTreeMap<String, String>> {
        let found = self.template.function(function).context("the template lacks the function")?;
        let mut environment = found.environment.clone();
        environment.extend(deployment::local_environment(self.sandbox.base_url()));
        for (name, value) in &mut environment {
            if name.starts_with("RATE_LIMIT_") {
                "1000000".clone_into(value);
            }
        }
        Ok(environment)
    }

    /// The functions that do these works, behind the routes of the template.
    pub fn template_of(&self, works: &[Work]) -> Result<Template> {
        let mut functions = Vec::new();
        for work in works {
            functions.push(self.function(*work)?);
        }
        Ok(Template { functions, cors: None })
    }

    fn function(&self, work: Work) -> Result<Function> {
        let name = if work == Work::Nothing { Work::Me.function() } else { work.function() };
        let found = self.template.function(name).context("the template lacks the function")?;
        let mut function = Function {
            environment: self.environment(name)?,
            reserved_concurrency: None,
            schedules: Vec::new(),
            ..found.clone()
        };
        if work == Work::Nothing {
            for name in [&mut function.name, &mut function.binary, &mut function.logical_id] {
                work.function().clone_into(name);
            }
            function.routes = vec![Route::new("POST", NOTHING_PATH)?];
        }
        Ok(function)
    }

    /// The same for a server, which gets its secrets and so is spared the reading of them. Each of the two roles has
    /// this many connections.
    pub fn of_a_server(&self, connections: u64) -> Result<BTreeMap<String, String>> {
        let mut environment = self.environment("verify_lightning_signature")?;
        environment.extend(self.environment("login")?);
        let address = self.db.address()?;
        let mut set = |name: &str, value: &str| environment.insert(name.to_owned(), value.to_owned());
        set("PEER_DB_HOST", &address.host);
        set("PEER_DB_PORT", &address.port.to_string());
        set("PEER_DB_NAME", &address.dbname);
        for (name, role) in [("AUTH", Role::Auth), ("API", Role::Api)] {
            let password = self.db.passwords.get(&role).context("the role has no password")?;
            set(&format!("PEER_DB_{name}_USER"), role.name());
            set(&format!("PEER_DB_{name}_PASSWORD"), password.expose());
        }
        set("PEER_CONNECTIONS", &connections.to_string());
        set("PEER_DIRECTORY", &peers::directory("python").display().to_string());
        for name in ["signing", "sealing", "audit"] {
            let value = self.sandbox.secrets().get(&format!("{SECRET_PREFIX}/{name}"));
            set(&format!("PEER_{}", name.to_uppercase()), &value.context("a secret is missing")?);
        }
        set("NODE_ENV", "production");
        Ok(environment)
    }

    /// Nothing is left of what was measured before.
    pub async fn empty(&self) -> Result<()> {
        let sql = format!(
            "TRUNCATE {EMPTIED} CASCADE; UPDATE users SET last_login_at = NULL, last_active_at = NULL"
        );
        Ok(self.admin.batch_execute(&sql).await?)
    }

    /// So that nobody pays for what another left to write.
    pub async fn settle(&self) -> Result<()> {
        crate::throughput::settle(&self.admin).await
    }
}
