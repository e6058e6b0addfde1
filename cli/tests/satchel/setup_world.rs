//! A deployment with Lightning setups in it, and with addresses of another system.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use shared::audit::Origin;
use shared::crypto::{KeyRing, SealingKeys};
use shared::node;
use shared::random::Random;
use shared::setup::{Intent, Marked, Saga, Setup, State, WalletAccess, row};
use shared::upstream::Upstream;
use shared::voltage::{NodeStatus, Voltage};
use testing::world::{DOMAIN, LIGHTNING_ADDRESS_DOMAIN};
use testing::{Result, World, deployment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::tool::{Ran, Tool, world_of_today};

/// Whose variables the tool needs.
pub const FUNCTION: &str = "resume_lightning_setups";
const A_RUN: Duration = Duration::from_mins(1);

pub struct Setups {
    pub world: World,
    pub tool: Tool,
    pub admin: Client,
    saga: Saga,
    voltage: Voltage,
}

impl Setups {
    pub async fn start() -> Result<Self> {
        Self::of(world_of_today().await?).await
    }

    pub async fn of(world: World) -> Result<Self> {
        let (tool, admin) = (Tool::of(&world, FUNCTION)?, world.db.admin().await?);
        let saga = world.wire(FUNCTION, |config| Saga::wire(config, WalletAccess::Read)).await?;
        let voltage = world.wire(FUNCTION, |config| {
            let upstream = Upstream::wire(config);
            Voltage::wire(config, &upstream)
        });
        let voltage = voltage.await?.context("Voltage is not configured")?;
        Ok(Self { world, tool, admin, saga, voltage })
    }

    /// `satchel setup …`
    pub async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.tool.run(&[&["setup"], arguments].concat()).await
    }

    pub fn id(&self) -> Uuid {
        Random::system().id(self.world.now())
    }

    /// An account.
    pub async fn user(&self) -> Result<Uuid> {
        let id = self.id();
        self.sql(&format!("INSERT INTO users (id, created_at, updated_at) VALUES ('{id}', now(), now())"))
            .await?;
        Ok(id)
    }

    /// An account that has asked for a setup, and no more.
    pub async fn begin(&self, name: &str) -> Result<Uuid> {
        let (id, user_id) = (self.id(), self.user().await?);
        let intent = Intent::parse((name, None, None), LIGHTNING_ADDRESS_DOMAIN);
        let intent = intent.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
        let begun = row::begin(&self.admin, (id, user_id), &intent, self.world.now()).await;
        begun.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(id)
    }

    /// One that was run until it stopped.
    pub async fn begin_and_run(&self, name: &str) -> Result<Setup> {
        let id = self.begin(name).await?;
        let origin = Origin { ip: None, request_id: "a-run" };
        let claimed = self.saga.take_up(Some(id), origin).await?.context("it is not due")?;
        Ok(self.saga.run(claimed, Instant::now() + A_RUN, origin).await?)
    }

    pub async fn finished(&self, name: &str) -> Result<Setup> {
        let setup = self.begin_and_run(name).await?;
        ensure!(setup.state == State::Finished, "{setup:?}");
        self.setup(setup.id).await
    }

    /// One that has a node with a wallet, and stopped at its store: BTCPay refused our key, which it takes again.
    pub async fn failed(&self, name: &str) -> Result<Setup> {
        let btcpay = self.world.sandbox.btcpay();
        btcpay.revoke_key(deployment::BTCPAY_KEY);
        let setup = self.begin_and_run(name).await?;
        btcpay.add_key(deployment::BTCPAY_KEY, &["unrestricted"])?;
        ensure!(setup.state == State::Failed, "{setup:?}");
        self.setup(setup.id).await
    }

    pub async fn setup(&self, id: Uuid) -> Result<Setup> {
        row::find(&self.admin, id).await?.with_context(|| format!("there is no setup {id}"))
    }

    pub async fn set(&self, id: Uuid, set: &str) -> Result<()> {
        self.sql(&format!("UPDATE lightning_setups SET {set} WHERE id = '{id}'")).await
    }

    pub async fn sql(&self, sql: &str) -> Result<()> {
        Ok(self.admin.batch_execute(sql).await?)
    }

    pub async fn count(&self, from: &str) -> Result<i64> {
        Ok(self.admin.query_typed_one(&format!("SELECT count(*) FROM {from}"), &[]).await?.get(0))
    }

    /// An address of the other system; `name` is put on our domain unless it has one.
    pub async fn import(&self, name: &str, store: Option<&str>, node: Option<&str>) -> Result<Uuid> {
        let user_id = self.user().await?;
        let address =
            if name.contains('@') { name.to_owned() } else { format!("{name}@{LIGHTNING_ADDRESS_DOMAIN}") };
        let text = |value: Option<&str>| value.map_or("NULL".to_owned(), |value| format!("'{value}'"));
        let (store, node) = (text(store), text(node));
        let row = format!(
            "INSERT INTO imported_lightning_addresses (user_id, address, btcpay_store_id, voltage_node_id, imported_at)
             VALUES ('{user_id}', '{address}', {store}, {node}, now())"
        );
        self.sql(&row).await?;
        Ok(user_id)
    }

    /// Gives the account a node of its own, registered with an invoice macaroon.
    pub async fn register_node(&self, user_id: Uuid, name: &str) -> Result<()> {
        let own = self.world.node(name)?;
        let ring =
            self.world.wire(FUNCTION, |config| config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"));
        let (ring, field) = (ring.await?.get().await?, node::macaroon_field(&user_id));
        let sealed =
            ring.seal(field, own.invoice_macaroon.as_bytes(), self.world.now(), &Random::system())?;
        let (sealed, endpoint, pubkey) = (HEXLOWER.encode(&sealed), own.base_url, own.pubkey);
        let row = format!(
            "INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, macaroon_sealed, created_at, updated_at)
             VALUES ('{user_id}', 'x', '{name}', '{pubkey}', '{endpoint}', '\\x{sealed}', now(), now())"
        );
        self.sql(&row).await
    }

    /// What we put on whatever we make for a setup.
    pub async fn marker(&self, setup_id: Uuid, generation: i32) -> Result<String> {
        Ok(self.saga.markers.get().await?.mark(Marked { setup_id, generation }).to_string())
    }

    /// A store that carries the marker.
    pub fn store(&self, marker: &str) -> Result<String> {
        self.world.sandbox.btcpay().add_store("a store", Some(&format!("https://{DOMAIN}/#{marker}")))
    }

    /// A node of that name, waiting for its wallet.
    pub async fn node(&self, name: &str) -> Result<String> {
        let id = self.voltage.create_node(name).await?;
        while self.voltage.node(&id).await?.status != NodeStatus::WaitingInit {}
        Ok(id.to_string())
    }

    /// Somebody makes a wallet on it.
    pub fn give_wallet(&self, node: &str) -> Result<()> {
        let nodes = self.world.sandbox.voltage().nodes();
        let node = nodes.iter().find(|found| found.node_id == node).context("no such node")?;
        self.world.sandbox.nodes().get(&node.lnd).context("no LND on it")?.init_by_stranger()
    }

    /// What somebody does by hand to a node.
    pub async fn switch(&self, node: &str, path: &str) -> Result<()> {
        let header = format!("x-voltage-auth: {}", deployment::VOLTAGE_KEY);
        self.call("POST", &format!("/voltage{path}"), &header, &json!({ "node_id": node })).await
    }

    /// What somebody does by hand to a store.
    pub async fn change(&self, store: &str, method: &str, body: &Value) -> Result<()> {
        let header = format!("authorization: token {}", deployment::BTCPAY_KEY);
        self.call(method, &format!("/btcpay/api/v1/stores/{store}"), &header, body).await
    }

    async fn call(&self, method: &str, path: &str, header: &str, body: &Value) -> Result<()> {
        let host = self.world.sandbox.base_url().trim_start_matches("http://").to_owned();
        let (mut stream, body) = (TcpStream::connect(&host).await?, body.to_string());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{header}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        Ok(())
    }

    /// Every one of these is finished and has a store and a node of its own, connected, with one webhook.
    pub async fn are_whole(&self, setups: &[Uuid]) -> Result<()> {
        let stores = self.world.sandbox.btcpay().stores();
        for id in setups {
            let setup = self.setup(*id).await?;
            ensure!(setup.state == State::Finished, "{setup:?}");
            let store = stores.iter().find(|store| Some(&store.id) == setup.btcpay_store_id.as_ref());
            let store = store.with_context(|| format!("its store is not there: {setup:?}"))?;
            ensure!(store.payment_method.as_ref().is_some_and(|method| method.enabled), "{store:?}");
            ensure!(store.webhooks.len() == 1, "{store:?}");
            let address = "lightning_addresses WHERE setup_id";
            ensure!(self.count(&format!("{address} = '{id}'")).await? == 1, "no address: {setup:?}");
        }
        Ok(())
    }

    /// How many stores and nodes there are.
    pub fn held(&self) -> (usize, usize) {
        (self.world.sandbox.btcpay().stores().len(), self.world.sandbox.voltage().nodes().len())
    }
}
