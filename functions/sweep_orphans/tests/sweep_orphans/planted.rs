//! What lies about in the two accounts.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::json;
use shared::random::Random;
use shared::setup::orphans::Kind;
use shared::setup::{Intent, Marked, Markers, row};
use shared::upstream::Upstream;
use shared::voltage::{NodeStatus, Voltage};
use testing::world::{DOMAIN, LIGHTNING_ADDRESS_DOMAIN};
use testing::{Result, World};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::NAME;

pub type Thing = (Kind, String);
/// BTCPay takes no longer one.
const LONGEST_STORE_NAME: usize = 50;

/// Both accounts, and this deployment's markers.
pub struct Account<'a> {
    world: &'a World,
    markers: Markers,
    voltage: Voltage,
}

impl<'a> Account<'a> {
    pub async fn new(world: &'a World) -> Result<Self> {
        let markers = world.wire(NAME, Markers::wire).await?;
        let voltage = world
            .wire(NAME, |config| {
                let upstream = Upstream::wire(config);
                Voltage::wire(config, &upstream)
            })
            .await?;
        Ok(Self { world, markers, voltage: voltage.context("Voltage is not configured")? })
    }

    pub async fn marker(&self, setup_id: Uuid, generation: i32) -> Result<String> {
        Ok(self.markers.get().await?.mark(Marked { setup_id, generation }).to_string())
    }

    /// As another deployment of ours, or of anybody, would mark it.
    async fn foreign_marker(&self, deployment: &str, key: Option<[u8; 32]>) -> Result<String> {
        if let Some(key) = key {
            let document = json!({ "key": data_encoding::BASE64.encode(&key) });
            self.world.sandbox.secrets().put("satchel/other-marker", &document.to_string());
        }
        let secret = if key.is_some() { "satchel/other-marker" } else { "satchel/marker" };
        let changed = [("DEPLOYMENT_ID", deployment), ("MARKER_SECRET", secret)];
        let markers = self.world.wire_with(NAME, &changed, Markers::wire).await?;
        let marked = Marked { setup_id: id(self.world), generation: 1 };
        Ok(markers.get().await?.mark(marked).to_string())
    }

    pub fn store(&self, marker: &str) -> Result<String> {
        self.world.sandbox.btcpay().add_store("a store", Some(&format!("https://{DOMAIN}/#{marker}")))
    }

    pub async fn node(&self, name: &str) -> Result<String> {
        Ok(self.voltage.create_node(name).await?.to_string())
    }

    /// With the marker of a setup that this database does not know.
    pub fn store_of_nobody(&self) -> Result<String> {
        let marker = futures_util::FutureExt::now_or_never(self.marker(id(self.world), 1));
        self.store(&marker.context("the key was not fetched")??)
    }

    pub async fn node_of_nobody(&self) -> Result<String> {
        self.node(&self.marker(id(self.world), 1).await?).await
    }

    /// A wallet that somebody made on the node, once it was ready for one.
    pub async fn give_wallet(&self, node: &str) -> Result<()> {
        let id = node.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
        while self.voltage.node(&id).await?.status != NodeStatus::WaitingInit {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let nodes = self.world.sandbox.voltage().nodes();
        let node = nodes.iter().find(|found| found.node_id == node).context("no such node")?;
        self.world.sandbox.nodes().get(&node.lnd).context("no LND on it")?.init_by_stranger()
    }

    /// A setup that is under way.
    pub async fn running(&self, name: &str) -> Result<Uuid> {
        let (setup_id, user_id, now) = (id(self.world), id(self.world), self.world.now());
        let admin = self.world.db.admin().await?;
        let insert = "INSERT INTO users (id, created_at, updated_at) VALUES ($1, $2, $2)";
        admin.execute_typed(insert, &[(&user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)]).await?;
        let intent = Intent::parse((name, None, None), LIGHTNING_ADDRESS_DOMAIN);
        let intent = intent.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
        let begun = row::begin(&admin, (setup_id, user_id), &intent, now).await;
        begun.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(setup_id)
    }

    pub async fn set(&self, setup: Uuid, set: &str) -> Result<()> {
        let sql = format!("UPDATE lightning_setups SET {set} WHERE id = '{setup}'");
        Ok(self.world.db.admin().await?.batch_execute(&sql).await?)
    }

    /// A setup that ended, with its own store and node.
    async fn finished(&self, name: &str, generation: i32) -> Result<Uuid> {
        let setup = self.running(name).await?;
        let store = self.store(&self.marker(setup, 1).await?)?;
        let node = self.node(&self.marker(setup, generation).await?).await?;
        let set = format!(
            "state = 'finished', step = 'activate', finished_at = due_at, btcpay_webhook_id = 'w',
             generation = {generation}, btcpay_store_id = '{store}', voltage_node_id = '{node}'"
        );
        self.set(setup, &set).await?;
        Ok(setup)
    }
}

fn id(world: &World) -> Uuid {
    Random::system().id(world.now())
}

/// Puts a hundred orphans and as many things that are none; returns the orphans, and how many the others are.
pub async fn plant(account: &Account<'_>) -> Result<(BTreeSet<Thing>, usize)> {
    let mut orphans = BTreeSet::new();
    for at in 0..30 {
        let nobody = account.marker(id(account.world), 1 + at % 3).await?;
        orphans.insert((Kind::BtcpayStore, account.store(&account.marker(id(account.world), 1).await?)?));
        orphans.insert((Kind::VoltageNode, account.node(&nobody).await?));
    }
    let mut look_alikes = 0;
    for at in 0..10 {
        // What a setup made twice, or gave up for another: 10 stores, 10 nodes, beside the 10 and 10 in use.
        let whole = account.finished(&format!("whole-{at}"), 2).await?;
        orphans.insert((Kind::BtcpayStore, account.store(&account.marker(whole, 1).await?)?));
        orphans.insert((Kind::VoltageNode, account.node(&account.marker(whole, 1).await?).await?));
        // What an operator took back, and what stayed all the same.
        let undone = account.running(&format!("undone-{at}")).await?;
        account.set(undone, "state = 'undone'").await?;
        orphans.insert((Kind::BtcpayStore, account.store(&account.marker(undone, 1).await?)?));
        orphans.insert((Kind::VoltageNode, account.node(&account.marker(undone, 1).await?).await?));
        look_alikes += 2;
    }
    look_alikes += unfinished(account).await?;
    look_alikes += others(account).await?;
    Ok((orphans, look_alikes))
}

/// Things whose making is on record while their ids are not, and things of setups that failed.
async fn unfinished(account: &Account<'_>) -> Result<usize> {
    for at in 0..5 {
        let running = account.running(&format!("running-{at}")).await?;
        account.store(&account.marker(running, 1).await?)?;
        account.node(&account.marker(running, 1).await?).await?;
        let failed = account.running(&format!("failed-{at}")).await?;
        let node = account.node(&account.marker(failed, 1).await?).await?;
        account.store(&account.marker(failed, 1).await?)?;
        account
            .set(failed, &format!("state = 'failed', step = 'create_store', voltage_node_id = '{node}'"))
            .await?;
    }
    Ok(20)
}

/// Things of other people, some of whom would like them to be ours.
async fn others(account: &Account<'_>) -> Result<usize> {
    let mut planted = 0;
    for at in 0..5_u8 {
        let ours = account.marker(id(account.world), 1).await?;
        let mut forged = ours.clone();
        let last = forged.pop().unwrap_or_default();
        forged.push(if last == 'a' { 'b' } else { 'a' });
        let cut = &ours[..ours.len() - 1];
        let names = [
            account.foreign_marker("other", None).await?,
            account.foreign_marker("test2", None).await?,
            account
                .foreign_marker(
                    "test",
                    Some([at + 1, 2, 3, 4, 5, 6, 7, 8].repeat(4).try_into().unwrap_or_default()),
                )
                .await?,
            forged,
            cut.to_owned(),
            format!("satchel-test-{at}"),
        ];
        for name in &names {
            account.node(name).await?;
            account.store(name)?;
            planted += 2;
        }
    }
    let btcpay = account.world.sandbox.btcpay();
    let ours = account.marker(id(account.world), 1).await?;
    for website in [None, Some("https://shop.example"), Some("https://app.example.com/")] {
        btcpay.add_store(&ours[..LONGEST_STORE_NAME], website)?;
        planted += 1;
    }
    // With no name in common with ours at all, and one that is ours no more.
    for _ in 0..2 {
        let gone = account.node_of_nobody().await?;
        let gone = gone.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
        account.voltage.delete_node(&gone).await?;
    }
    Ok(planted)
}
