//! Money arriving, and operators who decide that it did or will not.

use std::sync::Arc;

use anyhow::Context;
use data_encoding::HEXLOWER;

use super::{
    delivery::emit,
    invoice::{Payment, Status},
    invoices::{age, prompt},
    node::Node,
    state::BtcpayState,
};
use crate::{
    clock,
    lnd::{in_process::settle_invoice, invoices::Invoice},
    world::{World, lock},
};

/// A node of this sandbox was paid; perhaps for an invoice of ours. The nodes must not be locked.
pub(crate) fn lightning_paid(world: &Arc<World>, paid: &Invoice) {
    let state = &mut *lock(&world.btcpay);
    let Some(id) = state.by_hash.get(&paid.payment_hash).cloned() else { return };
    let asked = state.invoices.get(&id).and_then(|invoice| invoice.msat);
    let msat = if paid.new.amount_msat > 0 { paid.new.amount_msat } else { asked.unwrap_or_default() };
    let payment = Payment {
        id: HEXLOWER.encode(&paid.payment_hash),
        received: clock::now().unix_timestamp(),
        msat,
        destination: paid.bolt11.clone(),
    };
    receive(world, state, &id, payment);
}

/// Through the node when it can be, so that the two agree; else, or for another amount, only here.
pub(crate) fn pay(world: &Arc<World>, store: &str, id: &str, msat: Option<u64>) -> anyhow::Result<()> {
    let (node, hash) = {
        let state = &mut *lock(&world.btcpay);
        known(state, store, id)?;
        age(world, state, id);
        // Without a node that can be used there is still somebody who pays.
        let _ = prompt(world, state, id);
        let invoice = state.invoices.get(id).context("the invoice is gone")?;
        let hash = invoice.prompt.as_ref().map(|prompt| prompt.payment_hash);
        let method = state.store(store).and_then(|store| store.method.as_ref());
        let node = method.and_then(|method| Node::of(world, method).ok()).map(Node::name);
        let whole = msat.is_none() && invoice.status == Status::New && invoice.payments.is_empty();
        (node.filter(|_| whole), hash)
    };
    if let Some((node, hash)) = node.zip(hash)
        && settle_invoice(world, &node, &hash).is_ok()
    {
        return Ok(());
    }
    let state = &mut *lock(&world.btcpay);
    let invoice = known(state, store, id)?;
    let prompt = invoice.prompt.as_ref();
    let payment = Payment {
        id: format!("{id}-{}", invoice.payments.len() + 1),
        received: clock::now().unix_timestamp(),
        msat: msat.or(invoice.msat).unwrap_or_default(),
        destination: prompt.map(|prompt| prompt.bolt11.clone()).unwrap_or_default(),
    };
    receive(world, state, id, payment);
    Ok(())
}

fn receive(world: &Arc<World>, state: &mut BtcpayState, id: &str, payment: Payment) {
    if let Some(invoice) = state.invoices.get_mut(id) {
        let happenings = invoice.pay(payment);
        emit(world, state, id, happenings);
    }
}

/// Its time is over, whatever the clock says.
pub(crate) fn expire(world: &Arc<World>, store: &str, id: &str) -> anyhow::Result<()> {
    let state = &mut *lock(&world.btcpay);
    known(state, store, id)?;
    let now = clock::now().unix_timestamp();
    let invoice = state.invoices.get_mut(id).context("the invoice is gone")?;
    let happening = invoice.expire().context("the invoice no longer waits for money")?;
    invoice.expires = invoice.expires.min(now);
    cancel(world, state, id);
    emit(world, state, id, vec![happening]);
    Ok(())
}

/// By hand, as an operator does it in the server's pages.
pub(crate) fn mark(world: &Arc<World>, store: &str, id: &str, status: Status) -> anyhow::Result<()> {
    let state = &mut *lock(&world.btcpay);
    known(state, store, id)?;
    age(world, state, id);
    let invoice = state.invoices.get_mut(id).context("the invoice is gone")?;
    let happening = invoice.mark(status).context("the invoice cannot be marked so any more")?;
    cancel(world, state, id);
    emit(world, state, id, vec![happening]);
    Ok(())
}

/// The node's invoice, if there is one that can be reached, takes no money any more.
fn cancel(world: &Arc<World>, state: &BtcpayState, id: &str) {
    let Some(invoice) = state.invoices.get(id) else { return };
    let method = state.store(&invoice.store).and_then(|store| store.method.as_ref());
    let node = method.and_then(|method| Node::of(world, method).ok());
    if let Some((node, prompt)) = node.zip(invoice.prompt.as_ref()) {
        node.cancel(&prompt.payment_hash);
    }
}

fn known<'a>(
    state: &'a BtcpayState,
    store: &str,
    id: &str,
) -> anyhow::Result<&'a super::invoice::StoredInvoice> {
    let invoice = state.invoices.get(id).filter(|invoice| invoice.store == store);
    invoice.context("the store has no such invoice")
}
