//! A look at both accounts for what finished setups made twice: a request that was carried out again after its
//! answer, or long after. One look serves every setup that finished since the last.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::marker::Marked;
use super::row::{Setup, columns};
use super::store::{one_webhook, read_website, store_id};
use super::{Saga, SetupError};
use crate::audit::{Entry, Origin};
use crate::db::{self, Type, execute, query};
use crate::upstream::Provider;
use crate::voltage::NodeStatus;

/// Setups settled in one look.
const MOST: i64 = 1_000;

#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Settled {
    pub setups: usize,
    pub stores_deleted: usize,
    pub nodes_deleted: usize,
}

/// Deletes every store and node that carries the marker of a finished setup and is not the one in use. Setups younger
/// than the ambiguity window wait: what is on its way may still arrive.
pub async fn settle(saga: &Saga, origin: Origin<'_>) -> Result<Settled, SetupError> {
    let now = saga.clock.now();
    let setups = unsettled(saga, now).await?;
    let mut settled = Settled { setups: setups.len(), ..Settled::default() };
    if setups.is_empty() {
        return Ok(settled);
    }
    let markers = saga.markers.get().await?;
    let btcpay = saga.btcpay()?;
    for store in saga.call(Provider::Btcpay, btcpay.list_stores()).await? {
        let Some(Marked { setup_id, .. }) = read_website(&markers, store.website.as_deref()) else {
            continue;
        };
        let Some(setup) = setups.get(&setup_id) else { continue };
        if setup.btcpay_store_id.as_deref() != Some(store.id.as_str()) {
            saga.call(Provider::Btcpay, btcpay.delete_store(&store.id)).await?;
            note(saga, setup, &json!({ "btcpay_store_id": store.id.to_string() }), origin).await?;
            settled.stores_deleted += 1;
        }
    }
    // A name is taken once, so this finds only nodes given up for another's wallet whose deletion did not arrive.
    if setups.values().any(|setup| setup.generation > 1) {
        let voltage = saga.voltage()?;
        for node in saga.call(Provider::Voltage, voltage.list_nodes()).await? {
            let Some(Marked { setup_id, .. }) = markers.read(&node.name) else { continue };
            let Some(setup) = setups.get(&setup_id) else { continue };
            if node.status != NodeStatus::Deleted
                && setup.voltage_node_id.as_deref() != Some(node.id.as_str())
            {
                saga.call(Provider::Voltage, voltage.delete_node(&node.id)).await?;
                note(saga, setup, &json!({ "voltage_node_id": node.id.to_string() }), origin).await?;
                settled.nodes_deleted += 1;
            }
        }
    }
    for setup in setups.values().filter(|setup| setup.runs > 1) {
        one_webhook(saga, &store_id(setup)?).await?;
    }
    done(saga, setups.keys().copied().collect(), now).await?;
    Ok(settled)
}

async fn unsettled(saga: &Saga, now: OffsetDateTime) -> Result<BTreeMap<Uuid, Setup>, SetupError> {
    let connection = saga.db.connection().await?;
    let rows = query(
        connection.client(),
        concat!(
            "SELECT ",
            columns!("s"),
            " FROM lightning_setups s
             WHERE s.state = 'finished' AND s.settled_at IS NULL AND s.finished_at <= $1
             ORDER BY s.finished_at LIMIT $2"
        ),
        &[(&(now - saga.rules.ambiguity_window), Type::TIMESTAMPTZ), (&MOST, Type::INT8)],
    )
    .await?;
    Ok(rows.iter().map(Setup::read).map(|setup| (setup.id, setup)).collect())
}

async fn note(
    saga: &Saga,
    setup: &Setup,
    what: &serde_json::Value,
    origin: Origin<'_>,
) -> Result<(), SetupError> {
    let now = saga.clock.now();
    let mut connection = saga.db.connection().await?;
    let tx = connection.transaction().await?;
    execute(
        &tx,
        "INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, detail, created_at)
         VALUES ($1, $2, 'create_store', 'extra_deleted', 0, $3, $4)",
        &[
            (&setup.id, Type::UUID),
            (&setup.user_id, Type::UUID),
            (&what.to_string(), Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    let id = setup.id.to_string();
    let entry = Entry {
        user_id: Some(setup.user_id),
        action: "setup.extra_deleted",
        resource: ("lightning_setup", &id),
        details: what.clone(),
        origin,
        now,
    };
    saga.audit.append(&tx, &entry).await?;
    Ok(db::commit(tx).await?)
}

async fn done(saga: &Saga, ids: Vec<Uuid>, now: OffsetDateTime) -> Result<(), SetupError> {
    let connection = saga.db.connection().await?;
    execute(
        connection.client(),
        "UPDATE lightning_setups SET settled_at = $2 WHERE id = ANY ($1) AND state = 'finished'",
        &[(&ids, Type::UUID_ARRAY), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}
