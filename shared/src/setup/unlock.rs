//! Nodes that were restarted: LND comes up locked, and nobody but us has the password.

use serde_json::json;

use super::keys;
use super::node::lnd;
use super::row::{Setup, columns};
use super::run::Run;
use super::steps::Step;
use super::{Saga, SetupError};
use crate::audit::Origin;
use crate::db::{GenericClient, Type, query, query_one};
use crate::lnd::WalletState;
use crate::metrics;
use crate::upstream::Provider;
use crate::voltage::NodeStatus;

/// Nodes opened in one look, one after the other.
const MOST: i64 = 50;

/// Opens the nodes of finished setups that Voltage says wait for their password, and returns how many. Those of other
/// setups their own runs open.
pub async fn unlock(saga: &Saga, origin: Origin<'_>) -> Result<usize, SetupError> {
    let Ok(voltage) = saga.voltage() else { return Ok(0) };
    let has_nodes = {
        let connection = saga.db.connection().await?;
        has_nodes(connection.client()).await?
    };
    if !has_nodes {
        return Ok(0);
    }
    let mut locked = saga.call(Provider::Voltage, voltage.list_nodes()).await?;
    locked.retain(|node| node.status == NodeStatus::WaitingUnlock);
    let ids: Vec<String> = locked.iter().map(|node| node.id.to_string()).collect();
    let mut opened = 0;
    for setup in setups_of(saga, &ids).await? {
        match open(saga, &setup, origin).await {
            Ok(true) => opened += 1,
            Ok(false) => {}
            Err(error @ (SetupError::Db(_) | SetupError::Audit(_) | SetupError::Secret(_))) => {
                return Err(error);
            }
            // One that does not open must not keep the others closed.
            Err(error) => {
                metrics::count("NodeUnlockFailed");
                tracing::error!(target: "setup", setup_id = %setup.id, cause = %error, "a restarted node cannot be opened");
            }
        }
    }
    Ok(opened)
}

async fn open(saga: &Saga, setup: &Setup, origin: Origin<'_>) -> Result<bool, SetupError> {
    let lnd = lnd(saga, setup)?;
    // Voltage learns later than the node itself that it is open.
    if saga.call(lnd.circuit(), lnd.state()).await? != WalletState::Locked {
        return Ok(false);
    }
    let mut run = Run::new(saga, origin);
    let Some(keys) = keys::wallet(&mut run, setup).await? else { return Ok(false) };
    saga.call(lnd.circuit(), lnd.unlock(&keys.password)).await?;
    metrics::count("NodeUnlocked");
    let what = json!({ "voltage_node_id": setup.voltage_node_id });
    run.log(setup, (Step::InitWallet, "unlocked", "wallet.unlocked"), &what).await?;
    Ok(true)
}

async fn has_nodes(client: &impl GenericClient) -> Result<bool, SetupError> {
    let sql = "SELECT EXISTS (SELECT FROM lightning_addresses WHERE voltage_node_id IS NOT NULL) AS found";
    Ok(query_one(client, sql, &[]).await?.get("found"))
}

async fn setups_of(saga: &Saga, ids: &[String]) -> Result<Vec<Setup>, SetupError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let connection = saga.db.connection().await?;
    let sql = concat!(
        "SELECT ",
        columns!(),
        // In no order, so that no node that stalls is always in the way of the same others.
        " FROM lightning_setups s WHERE s.voltage_node_id = ANY ($1) AND s.state = 'finished'
          ORDER BY random() LIMIT $2"
    );
    let rows = query(connection.client(), sql, &[(&ids, Type::TEXT_ARRAY), (&MOST, Type::INT8)]).await?;
    Ok(rows.iter().map(Setup::read).collect())
}
