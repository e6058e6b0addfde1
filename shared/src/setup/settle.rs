//! A look at both accounts for what finished setups made twice: a request that was carried out again after its
//! answer, or long after. One look serves every setup that finished since the last.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::marker::Marked;
use super::node::may_go;
use super::row::{Setup, columns};
use super::run::Run;
use super::steps::Step;
use super::store::{delete_extra_webhooks, read_website};
use super::{Saga, SetupError};
use crate::audit::Origin;
use crate::db::{Type, execute, query};
use crate::upstream::Provider;
use crate::voltage::NodeStatus;

/// Setups settled in one look.
const MOST: i64 = 1_000;
const PATIENCE: Duration = Duration::days(1);

#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Settled {
    pub setups: usize,
    pub stores_deleted: usize,
    pub nodes_deleted: usize,
}

/// Deletes every store and node that carries the marker of a finished setup and is not the one in use. Setups younger
/// than the ambiguity window wait: what is on its way may still arrive. One whose extras cannot be deleted keeps nobody
/// else's; it is looked at again for [`PATIENCE`], and then left to `sweep_orphans`.
pub async fn settle(saga: &Saga, origin: Origin<'_>) -> Result<Settled, SetupError> {
    let now = saga.clock.now();
    let setups = unsettled(saga, now).await?;
    if setups.is_empty() {
        return Ok(Settled::default());
    }
    let mut look = Look {
        run: Run::new(saga, origin),
        setups: &setups,
        troubled: BTreeSet::new(),
        settled: Settled::default(),
    };
    let stores = look.through_stores().await?;
    // A name is taken once, so this finds only nodes given up for another's wallet whose deletion did not arrive.
    if setups.values().any(|setup| setup.generation > 1) {
        let looked = look.through_nodes(now).await;
        look.without_voltage(looked)?;
    }
    for setup in setups.values().filter(|setup| setup.runs > 1) {
        // A store that its owner deleted has no webhooks left over.
        if setup.btcpay_store_id.as_ref().is_some_and(|store| stores.contains(store)) {
            let deleted = delete_extra_webhooks(saga, setup).await;
            look.outcome(setup, deleted)?;
        }
    }
    let Look { troubled, mut settled, .. } = look;
    settled.setups = setups.len() - troubled.len();
    done(saga, setups.keys().copied().collect(), troubled.into_iter().collect(), now).await?;
    Ok(settled)
}

/// One look at both accounts.
struct Look<'a> {
    run: Run<'a>,
    setups: &'a BTreeMap<Uuid, Setup>,
    /// Setups whose extras could not be deleted this time.
    troubled: BTreeSet<Uuid>,
    settled: Settled,
}

impl<'a> Look<'a> {
    /// Returns the ids of all stores there are.
    async fn through_stores(&mut self) -> Result<BTreeSet<String>, SetupError> {
        let saga = self.run.saga;
        let (markers, btcpay) = (saga.markers.get().await?, saga.btcpay()?);
        let mut all = BTreeSet::new();
        for store in saga.call(Provider::Btcpay, btcpay.list_stores()).await? {
            let mark = read_website(&markers, store.website.as_deref());
            if let Some(setup) = self.setup_of(mark)
                && setup.btcpay_store_id.as_deref() != Some(store.id.as_str())
            {
                let deleted = saga.call(Provider::Btcpay, btcpay.delete_store(&store.id)).await;
                if self.outcome(setup, deleted)? {
                    let what = json!({ "btcpay_store_id": store.id.to_string() });
                    self.run.note_extra(setup, Step::CreateStore, &what).await?;
                    self.settled.stores_deleted += 1;
                }
            }
            all.insert(store.id.to_string());
        }
        Ok(all)
    }

    async fn through_nodes(&mut self, now: OffsetDateTime) -> Result<(), SetupError> {
        let saga = self.run.saga;
        let (markers, voltage) = (saga.markers.get().await?, saga.voltage()?);
        for node in saga.call(Provider::Voltage, voltage.list_nodes()).await? {
            let Some(setup) = self.setup_of(markers.read(&node.name)) else { continue };
            let is_extra = setup.voltage_node_id.as_deref() != Some(node.id.as_str());
            if is_extra && node.status != NodeStatus::Deleted && may_go(&node, now) {
                let deleted = saga.call(Provider::Voltage, voltage.delete_node(&node.id)).await;
                if self.outcome(setup, deleted)? {
                    let what = json!({ "voltage_node_id": node.id.to_string() });
                    self.run.note_extra(setup, Step::CreateNode, &what).await?;
                    self.settled.nodes_deleted += 1;
                }
            }
        }
        Ok(())
    }

    /// Voltage is away, or switched off: those that wait for it wait, and nobody else.
    fn without_voltage(&mut self, looked: Result<(), SetupError>) -> Result<(), SetupError> {
        match looked {
            Err(SetupError::Upstream(_) | SetupError::NotConfigured(_)) => {
                let waiting = self.setups.values().filter(|setup| setup.generation > 1);
                self.troubled.extend(waiting.map(|setup| setup.id));
                Ok(())
            }
            other => other,
        }
    }

    fn setup_of(&self, mark: Option<Marked>) -> Option<&'a Setup> {
        self.setups.get(&mark?.setup_id)
    }

    /// Whether it was deleted. A provider's trouble is this setup's alone.
    fn outcome(&mut self, setup: &Setup, deleted: Result<(), SetupError>) -> Result<bool, SetupError> {
        match deleted {
            Ok(()) => Ok(true),
            Err(SetupError::Upstream(error)) => {
                tracing::warn!(target: "setup", setup_id = %setup.id, code = error.code, cause = %error, "what it made twice could not be deleted");
                self.troubled.insert(setup.id);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

async fn unsettled(saga: &Saga, now: OffsetDateTime) -> Result<BTreeMap<Uuid, Setup>, SetupError> {
    let connection = saga.db.connection().await?;
    let rows = query(
        connection.client(),
        concat!(
            "SELECT ",
            columns!(),
            " FROM lightning_setups s
             WHERE s.state = 'finished' AND s.settled_at IS NULL AND s.finished_at <= $1
             ORDER BY s.finished_at LIMIT $2"
        ),
        &[(&(now - saga.rules.ambiguity_window), Type::TIMESTAMPTZ), (&MOST, Type::INT8)],
    )
    .await?;
    Ok(rows.iter().map(Setup::read).map(|setup| (setup.id, setup)).collect())
}

/// All of them, but for those in trouble that are young enough to be looked at again.
async fn done(
    saga: &Saga,
    ids: Vec<Uuid>,
    troubled: Vec<Uuid>,
    now: OffsetDateTime,
) -> Result<(), SetupError> {
    let connection = saga.db.connection().await?;
    execute(
        connection.client(),
        "UPDATE lightning_setups SET settled_at = $2
         WHERE id = ANY ($1) AND state = 'finished' AND (id <> ALL ($3) OR finished_at < $4)",
        &[
            (&ids, Type::UUID_ARRAY),
            (&now, Type::TIMESTAMPTZ),
            (&troubled, Type::UUID_ARRAY),
            (&(now - PATIENCE), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}
