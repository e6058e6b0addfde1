//! A database of its own on the one Postgres, a sandbox on a thread of its own, and functions wired as deployed.

use crate::{machine, world};
use anyhow::{Context, Result, ensure};
use gateway::Template;
use sandbox::lnd::NodeOptions;
use sandbox::{Handle, Sandbox, SandboxOptions};
use serde_json::json;
use shared::audit::{Entry, Origin};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Type;
use shared::fresh::{self, SigningAlgorithm};
use shared::random::Random;
use shared::setup::{Intent, NodeSource, Saga, State, WalletAccess, row};
use shared::{db, node, session};
use std::ops::Range;
use std::time::{Duration, Instant};
use testing::postgres::Server;
use testing::{TestDb, deployment};
use tokio::sync::oneshot;
use tokio_postgres::Client;
use uuid::Uuid;

pub const ORIGIN: Origin<'_> = Origin { ip: None, request_id: "bench" };
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Ground {
    pub db: TestDb,
    pub admin: Client,
    pub sandbox: Beside,
    template: Template,
}

/// A sandbox on a thread of its own, whose CPU is known apart from ours. It ends with this value.
pub struct Beside {
    pub handle: Handle,
    pub thread: u32,
    _running: oneshot::Sender<()>,
}

impl Beside {
    async fn start() -> Result<Self> {
        let (running, ended) = oneshot::channel::<()>();
        let (started, starting) = oneshot::channel();
        std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let sandbox = Sandbox::start(SandboxOptions::default()).await?;
                let told = started.send((sandbox.handle(), machine::this_thread()?));
                if told.is_ok() {
                    // An error is what ends it: nobody is there any more.
                    let _ = ended.await;
                }
                sandbox.stop().await;
                Ok(())
            })
        });
        let (handle, thread) = starting.await.context("the sandbox does not start")?;
        Ok(Self { handle, thread, _running: running })
    }
}

/// How a function is wired, for threads of their own.
#[derive(Clone)]
pub struct Wiring(std::collections::BTreeMap<String, String>);

impl Wiring {
    pub fn config(&self) -> Config {
        Config::new(self.0.clone(), Clock::system(), Random::system())
    }

    /// As one environment of `setup_lightning` has it.
    pub async fn saga(&self) -> Result<Saga> {
        let mut config = self.config();
        let saga = Saga::wire(&mut config, WalletAccess::Write);
        config.finish().await?;
        Ok(saga)
    }
}

impl Ground {
    pub async fn on(server: &Server) -> Result<Self> {
        let db = TestDb::create_at(&server.admin_url()).await?;
        let (admin, sandbox) = (db.admin().await?, Beside::start().await?);
        let signing = fresh::signing(SigningAlgorithm::Es256).ok().context("no key")?;
        deployment::put_secrets(&sandbox.handle.secrets(), &db.address()?, &db.passwords, &signing)?;
        Ok(Self { db, admin, sandbox, template: world::template()? })
    }

    /// What the template gives the function.
    pub fn wiring(&self, function: &str) -> Result<Wiring> {
        let found = self.template.functions.iter().find(|found| found.name == function);
        let mut environment = found.context("the template lacks the function")?.environment.clone();
        environment.extend(deployment::local_environment(self.sandbox.handle.base_url()));
        Ok(Wiring(environment))
    }

    pub async fn users(&self, numbers: Range<u64>) -> Result<()> {
        let sql = format!(
            "INSERT INTO users (id, created_at, updated_at, last_login_at)
             SELECT lpad(n::text, 32, '0')::uuid, now(), now(), now() FROM generate_series({}, {}) AS n",
            numbers.start,
            numbers.end - 1
        );
        Ok(self.admin.batch_execute(&sql).await?)
    }

    /// Their own nodes, registered with a macaroon that is good for invoices.
    pub async fn nodes(&self, saga: &Saga, numbers: Range<u64>) -> Result<()> {
        let (ring, now) = (saga.sealing.get().await?, saga.clock.now());
        for n in numbers {
            let (owner, name) = (user(n)?, format!("own-{n}"));
            let node = self.sandbox.handle.nodes().create(&name, NodeOptions::default())?;
            let ops = ["Lightning/GetInfo", "Lightning/AddInvoice", "Lightning/LookupInvoice"];
            let uris = ops.map(|op| format!("/lnrpc.{op}"));
            let macaroon = node.bake(&uris.each_ref().map(|uri| ("uri", uri.as_str())))?;
            let sealed = ring.seal(node::macaroon_field(&owner), macaroon.as_bytes(), now, &saga.random)?;
            let sql = "INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, macaroon_sealed, created_at, updated_at)
                       VALUES ($1, 'x', $2, $3, $4, $5, now(), now())";
            let columns: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
                (&owner, Type::UUID),
                (&name, Type::TEXT),
                (&node.pubkey, Type::TEXT),
                (&node.base_url, Type::TEXT),
                (&sealed, Type::BYTEA),
            ];
            self.admin.execute_typed(sql, &columns).await?;
        }
        Ok(())
    }

    /// What a request has left of the providers' work, once nobody measures it any more.
    pub async fn empty(&self) -> Result<()> {
        let tables =
            "lightning_setup_log, lightning_setup_secrets, lightning_setup_steps, lightning_addresses,
                      imported_lightning_addresses, lightning_setups, invoices, audit_logs, audit_chains";
        Ok(self.admin.batch_execute(&format!("TRUNCATE {tables} CASCADE")).await?)
    }
}

pub fn user(n: u64) -> Result<Uuid> {
    Ok(format!("{n:032}").parse()?)
}

/// One undisturbed setup, from the intent to the address, as `setup_lightning` makes it.
pub async fn set_up(saga: &Saga, n: u64, source: NodeSource) -> Result<()> {
    let (user, now) = (user(n)?, saga.clock.now());
    let id = saga.random.id(now);
    let intent = Intent::parse((&format!("u{n}"), None, Some(source.name())), &saga.switch.domain)
        .map_err(|(field, why)| anyhow::anyhow!("{field} {why}"))?;
    let mut connection = saga.db.connection().await?;
    let tx = connection.transaction().await?;
    session::enter(&tx, (user, Uuid::nil()), false, now).await?;
    let begun = row::begin(&tx, (id, user), &intent, now).await;
    begun.map_err(|error| anyhow::anyhow!("not begun: {error:?}"))?;
    let entry = Entry {
        user_id: Some(user),
        action: "setup.begun",
        resource: ("lightning_setup", &id.to_string()),
        details: json!({ "address": intent.address.to_string(), "node_source": intent.source.name() }),
        origin: ORIGIN,
        now,
    };
    saga.audit.append(&tx, &entry).await.map_err(|error| anyhow::anyhow!("not audited: {error:?}"))?;
    let claimed = saga.take_up_in(&tx, Some(id), ORIGIN).await?.context("a new setup is nobody else's")?;
    db::commit(tx).await?;
    drop(connection);
    let setup = saga.run(claimed, Instant::now() + PATIENCE, ORIGIN).await?;
    ensure!(setup.state == State::Finished, "the setup of {n} is {:?} at {:?}", setup.state, setup.step);
    Ok(())
}
