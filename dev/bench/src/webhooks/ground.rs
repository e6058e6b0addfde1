//! A database of its own on the one Postgres, and what the contenders find in their environment.

use crate::world;
use anyhow::{Context, Result};
use gateway::Template;
use sandbox::{Sandbox, SandboxOptions};
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::roles::Role;
use shared::fresh::{self, SigningAlgorithm};
use std::collections::BTreeMap;
use std::ops::Range;
use testing::TestDb;
use testing::deployment::{self, SECRET_PREFIX};
use testing::postgres::Server;
use tokio_postgres::Client;

pub const USERS: u64 = 1_000;
const HISTORY: u64 = 20_000;
/// What is paid, as the event has it.
pub const AMOUNT: u64 = 2_500;

pub struct Ground {
    // In this order: the database is dropped while its server runs.
    pub db: TestDb,
    pub admin: Client,
    sandbox: Sandbox,
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
        let ground = Self { db, admin, sandbox, template: world::template()?, postmaster };
        let users = format!(
            "INSERT INTO users (id, created_at, updated_at)
             SELECT lpad(n::text, 32, '0')::uuid, now(), now() FROM generate_series(0, {}) AS n",
            USERS - 1
        );
        ground.admin.batch_execute(&users).await?;
        Ok(ground)
    }

    /// What the template gives the function, and where the sandbox is.
    pub fn of_the_function(&self) -> Result<BTreeMap<String, String>> {
        let found = self.template.functions.iter().find(|found| found.name == "stripe_webhook");
        let mut environment = found.context("the template lacks the function")?.environment.clone();
        environment.extend(deployment::local_environment(self.sandbox.base_url()));
        Ok(environment)
    }

    /// The same for a server, which gets its secrets and so is spared the reading of them.
    pub fn of_a_server(&self, connections: u64) -> Result<BTreeMap<String, String>> {
        let address = self.db.address()?;
        let password = self.db.passwords.get(&Role::Webhooks).context("the role has no password")?;
        let given = [
            ("PEER_DB_HOST", address.host),
            ("PEER_DB_PORT", address.port.to_string()),
            ("PEER_DB_NAME", address.dbname),
            ("PEER_DB_USER", Role::Webhooks.name().to_owned()),
            ("PEER_DB_PASSWORD", password.expose().clone()),
            ("PEER_CONNECTIONS", connections.to_string()),
            ("PEER_DIRECTORY", crate::peers::directory("python").display().to_string()),
            ("PEER_SEALING", self.secret("sealing")?),
            ("PEER_STRIPE", self.secret("stripe-webhooks")?),
            ("NODE_ENV", "production".to_owned()),
        ];
        Ok(given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn secret(&self, name: &str) -> Result<String> {
        self.sandbox.secrets().get(&format!("{SECRET_PREFIX}/{name}")).context("a secret is missing")
    }

    /// Opens what the contenders seal.
    pub fn ring(&self) -> Result<KeyRing> {
        let keys: SealingKeys = serde_json::from_str(&self.secret("sealing")?)?;
        KeyRing::try_from(keys).map_err(anyhow::Error::msg)
    }

    /// Payments of ours that wait to be paid, each by the number it is known by.
    pub async fn payments(&self, numbers: &Range<u64>) -> Result<()> {
        let sql = format!(
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
             SELECT lpad(n::text, 32, '0')::uuid, lpad((n % {USERS})::text, 32, '0')::uuid, 'stripe', '', 'usd', {AMOUNT},
                    now(), now()
             FROM generate_series({}, {}) AS n",
            numbers.start,
            numbers.end - 1
        );
        Ok(self.admin.batch_execute(&sql).await?)
    }

    /// Payments of a while ago and what they rest on, so that the planner knows both tables as it will.
    pub async fn history(&self) -> Result<()> {
        let numbers = 1..HISTORY + 1;
        self.payments(&numbers).await?;
        let sql = format!(
            "UPDATE payments SET state = 'paid', received_minor = {AMOUNT}, entitled = true, version = 1;
             INSERT INTO payment_objects
                 (provider, account, object_id, kind, root_id, reference, payment_id, status, amount_minor, asked_minor,
                  currency, finality, seen_at, rank, created_at, updated_at)
             SELECT 'stripe', '', 'pi_30' || id, 'payment_intent', 'pi_30' || id, id, id, 'succeeded', {AMOUNT}, {AMOUNT},
                    'usd', 2, now(), 0, now(), now()
             FROM payments"
        );
        self.admin.batch_execute(&sql).await?;
        self.settle().await
    }

    /// Nothing is left of what was measured before.
    pub async fn empty(&self) -> Result<()> {
        let tables = "webhook_events, payment_objects, payments, ledger, outbox";
        Ok(self.admin.batch_execute(&format!("TRUNCATE {tables} CASCADE")).await?)
    }

    /// So that nobody pays for what another left to write.
    pub async fn settle(&self) -> Result<()> {
        crate::throughput::settle(&self.admin).await
    }
}
