//! A node's methods for another service of the sandbox, without a request. Described in [`super::invoices`].

use std::sync::Arc;

use super::{
    errors::{Code, LndError},
    invoices::{Invoice, NewInvoice},
    macaroon::{Need, authorise, decode_hex},
    rpc,
    state::StoredNode,
};
use crate::{
    Service, btcpay,
    world::{World, lock},
};

/// Where a node answers: which node, and whether over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) node: String,
    pub(crate) https: bool,
}

/// `None` for an address that is not the sandbox's.
pub(crate) fn node_at(world: &World, url: &str) -> Option<Location> {
    let below = |base: &str, https: bool| {
        let node = url.strip_prefix(base)?.strip_prefix('/')?.split('/').next()?;
        (!node.is_empty()).then(|| Location { node: node.to_owned(), https })
    };
    below(&world.base_url, false).or_else(|| below(world.tls.base_url(), true))
}

#[derive(Debug, Clone)]
pub(crate) struct NodeInfo {
    pub(crate) alias: String,
}

pub(crate) fn get_info(world: &Arc<World>, node: &str, macaroon: &str) -> Result<NodeInfo, LndError> {
    with(world, node, Some((macaroon, rpc::GET_INFO)), |node| Ok(NodeInfo { alias: node.name.clone() }))
}

pub(crate) fn add_invoice(
    world: &Arc<World>,
    node: &str,
    macaroon: &str,
    new: NewInvoice,
) -> Result<Invoice, LndError> {
    let added =
        with(world, node, Some((macaroon, rpc::ADD_INVOICE)), |node| node.add_invoice(new, world.seed))?;
    lock(&world.counts).created(Service::Lnd, "invoice");
    Ok(added)
}

pub(crate) fn lookup_invoice(
    world: &Arc<World>,
    node: &str,
    macaroon: &str,
    payment_hash: &[u8; 32],
) -> Result<Invoice, LndError> {
    with(world, node, Some((macaroon, rpc::LOOKUP_INVOICE)), |node| node.invoices.get(payment_hash))
}

pub(crate) fn cancel_invoice(
    world: &Arc<World>,
    node: &str,
    macaroon: &str,
    payment_hash: &[u8; 32],
) -> Result<(), LndError> {
    with(world, node, Some((macaroon, rpc::CANCEL_INVOICE)), |node| node.invoices.cancel(payment_hash))
}

/// Somebody pays: nobody needs a macaroon for that.
pub(crate) fn settle_invoice(
    world: &Arc<World>,
    node: &str,
    payment_hash: &[u8; 32],
) -> Result<Invoice, LndError> {
    let paid = with(world, node, None, |node| node.invoices.settle(payment_hash))?;
    btcpay::lightning_paid(world, &paid);
    Ok(paid)
}

/// From its hex, in a node's words when it is none.
pub(crate) fn payment_hash(hex: &str) -> Result<[u8; 32], LndError> {
    let bytes = decode_hex(hex.as_bytes()).map_err(LndError::unknown)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| LndError::unknown(format!("invalid hash length of {length}, want 32")))
}

fn with<T>(
    world: &World,
    node: &str,
    permission: Option<(&str, Need)>,
    act: impl FnOnce(&mut StoredNode) -> Result<T, LndError>,
) -> Result<T, LndError> {
    let unreachable = || LndError { code: Code::Unavailable, message: "the node cannot be reached".into() };
    let mut nodes = lock(&world.nodes);
    let node = nodes.at_mut(node).filter(|n| n.power.is_on() && !n.blackholed).ok_or_else(unreachable)?;
    node.life.check(false)?;
    if let Some((macaroon, need)) = permission {
        authorise(node, &[macaroon.as_bytes()], need)?;
    }
    act(node)
}
