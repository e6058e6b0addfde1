//! The steps at Voltage: a node of the user's own, named by the marker, ready for its wallet.

use std::time::Duration;

use time::OffsetDateTime;

use super::keys::{self, Made};
use super::marker::{Marked, Marker};
use super::row::Setup;
use super::run::{Progress, Run};
use super::steps::Move;
use super::{Saga, SetupError};
use crate::lnd::Lnd;
use crate::upstream::{Failure, Pins, Provider, UpstreamError, code};
use crate::voltage::{NodeStatus, VoltageNode, VoltageNodeId};

/// A node that is not running is somebody's decision; it may change.
const STOPPED_WAIT: Duration = Duration::from_mins(5);
/// Between making a node and finding out whose wallet it has lie minutes.
const YOUNG: time::Duration = time::Duration::hours(1);

pub(super) async fn marker(saga: &Saga, setup: &Setup) -> Result<Marker, SetupError> {
    Ok(saga.markers.get().await?.mark(Marked { setup_id: setup.id, generation: setup.generation }))
}

/// A name is Voltage's one natural key: it takes each only once, so a second attempt makes no second node, and one
/// may look for it at once.
pub(super) async fn create(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let voltage = run.saga.voltage()?;
    let name = marker(run.saga, setup).await?.to_string();
    let created = run.saga.call(Provider::Voltage, voltage.create_node(&name)).await;
    let id = match created {
        Ok(id) => id,
        Err(SetupError::Upstream(error))
            if error.failure == Failure::Ambiguous || error.code == code::VOLTAGE_NAME_TAKEN =>
        {
            return find(run, setup).await?.ok_or(SetupError::Upstream(error.into_ambiguous()));
        }
        Err(error) => return Err(error),
    };
    // The answer holds an id and no name: an id that is another node's is found out here.
    let node = run.saga.call(Provider::Voltage, voltage.node(&id)).await?;
    if node.name == name {
        Ok(made(&id))
    } else {
        Err(UpstreamError::mistaken_answer(Provider::Voltage).into())
    }
}

pub(super) async fn find(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
    let voltage = run.saga.voltage()?;
    let name = marker(run.saga, setup).await?.to_string();
    let nodes = run.saga.call(Provider::Voltage, voltage.list_nodes()).await?;
    Ok(nodes
        .iter()
        .find(|node| node.name == name && node.status != NodeStatus::Deleted)
        .map(|node| made(&node.id)))
}

fn made(id: &VoltageNodeId) -> Move {
    Move::Done(Box::new(Progress { voltage_node_id: Some(id.to_string()), ..Progress::default() }))
}

/// Waits until the node wants a wallet, and takes the seed it proposes: with our own password and root key, all
/// three are on record before the wallet is.
pub(super) async fn await_init(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let voltage = run.saga.voltage()?;
    let id = node_id(setup)?;
    let node = match run.saga.call(Provider::Voltage, voltage.node(&id)).await {
        Err(SetupError::Upstream(error)) if error.code == code::VOLTAGE_NOT_FOUND => {
            return Ok(Move::StartOver { code: "NODE_GONE" });
        }
        other => other?,
    };
    match node.status {
        NodeStatus::WaitingInit => {}
        NodeStatus::Starting | NodeStatus::Provisioning | NodeStatus::Other(_) => {
            return Ok(Move::Wait { after: run.saga.rules.poll, code: "NODE_STARTING" });
        }
        NodeStatus::Stopping | NodeStatus::Stopped => {
            return Ok(Move::Wait { after: STOPPED_WAIT, code: "NODE_STOPPED" });
        }
        // It has a wallet, and we made none.
        NodeStatus::WaitingUnlock | NodeStatus::Running => {
            return Ok(Move::StartOver { code: "WALLET_TAKEN" });
        }
        NodeStatus::Deleted => return Ok(Move::StartOver { code: "NODE_GONE" }),
    }
    let Some(api_endpoint) = &node.api_endpoint else {
        return Ok(Move::Wait { after: run.saga.rules.poll, code: "NODE_STARTING" });
    };
    let url = voltage.node_url(api_endpoint);
    let pins = run.saga.call(Provider::Voltage, voltage.pins(&id)).await?;
    let certificate = pins.0.first().map(|pin| pin.to_vec());
    let progress = Progress { node_url: Some(url), node_certificate: certificate, ..Progress::default() };
    let ready = Setup {
        node_url: progress.node_url.clone(),
        node_certificate: progress.node_certificate.clone(),
        ..setup.clone()
    };
    let lnd = lnd(run.saga, &ready)?;
    let seed = match run.saga.call(lnd.circuit(), lnd.gen_seed()).await {
        Err(SetupError::Upstream(error)) if error.code == code::LND_WALLET_EXISTS => {
            return Ok(Move::StartOver { code: "WALLET_TAKEN" });
        }
        other => other?,
    };
    let wallet = Some(keys::fresh_wallet(seed, &run.saga.random));
    Ok(Move::Done(Box::new(Progress { made: Made { wallet, ..Made::default() }, ..progress })))
}

/// The setup's node, reached as it must be: with its certificate pinned when nobody vouches for it.
pub(super) fn lnd(saga: &Saga, setup: &Setup) -> Result<Lnd, SetupError> {
    let url = setup.node_url.as_deref().ok_or(SetupError::Unusable("NODE_URL_MISSING"))?;
    let pin = setup.node_certificate.as_deref().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    Ok(Lnd::at(&saga.upstream, url, &Pins(pin.into_iter().collect()))?)
}

pub(super) fn node_id(setup: &Setup) -> Result<VoltageNodeId, SetupError> {
    let id = setup.voltage_node_id.as_deref().ok_or(SetupError::Unusable("NODE_ID_MISSING"))?;
    id.parse().map_err(|_| SetupError::Unusable("NODE_ID_MISSING"))
}

/// A node that holds somebody else's wallet, or is gone: not ours to keep, if it is the one just made.
pub(super) async fn discard(run: &mut Run<'_>, setup: &Setup) -> Result<(), SetupError> {
    if setup.wallet_initialised || setup.voltage_node_id.is_none() {
        return Ok(());
    }
    let voltage = run.saga.voltage()?;
    let node = match run.saga.call(Provider::Voltage, voltage.node(&node_id(setup)?)).await {
        Err(SetupError::Upstream(error)) if error.code == code::VOLTAGE_NOT_FOUND => return Ok(()),
        other => other?,
    };
    if may_go(&node, run.saga.clock.now()) {
        return delete(run, setup).await;
    }
    tracing::error!(target: "setup", setup_id = %setup.id, voltage_node_id = %node.id, "a node given up is too old to be deleted unasked: it may be in use");
    Ok(())
}

/// Whether a node may be deleted without a person's word. To a database that was restored from a backup, a wallet in
/// use is a stranger's: an older node is left to `sweep_orphans` to report.
pub(super) fn may_go(node: &VoltageNode, now: OffsetDateTime) -> bool {
    node.created.is_some_and(|created| now - created < YOUNG)
}

pub(super) async fn delete(run: &mut Run<'_>, setup: &Setup) -> Result<(), SetupError> {
    if setup.voltage_node_id.is_none() {
        return Ok(());
    }
    let voltage = run.saga.voltage()?;
    run.saga.call(Provider::Voltage, voltage.delete_node(&node_id(setup)?)).await
}
