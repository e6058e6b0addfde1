//! The steps at BTCPay: a store that carries the marker, connected to the node, telling us what is paid.

use serde_json::json;

use super::intent::NodeSource;
use super::keys::{self, Made};
use super::marker::{Marked, MarkerMaker};
use super::node::marker;
use super::row::Setup;
use super::run::{Progress, Run};
use super::steps::{Move, Step};
use super::{Saga, SetupError};
use crate::btcpay::{LightningNode, Store, StoreId, WebhookId};
use crate::upstream::{Failure, Provider, UpstreamError};

/// BTCPay takes no longer name, and users may have longer ones. It is for people to read; the marker tells stores apart.
const STORE_NAME_CHARS: usize = 50;

/// Where a store carries its marker: behind the `#` of its website, which no payer is ever sent to.
fn website(saga: &Saga, marker: &super::Marker) -> String {
    format!("https://{}/#{marker}", saga.rules.app_domain)
}

/// Only the marker counts: what stands before it, an operator may change.
fn is_of(markers: &MarkerMaker<'_>, store: &Store, setup: &Setup) -> bool {
    read_website(markers, store.website.as_deref()).is_some_and(|mark| mark.setup_id == setup.id)
}

/// What a store's website says of whose it is.
pub(super) fn read_website(markers: &MarkerMaker<'_>, website: Option<&str>) -> Option<Marked> {
    markers.read(website?.rsplit_once('#')?.1)
}

pub(super) async fn create(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let saga = run.saga;
    if setup.btcpay_store_id.is_some() {
        return adopt(run, setup).await;
    }
    let website = website(saga, &store_marker(saga, setup).await?);
    let name: String = setup.username.chars().take(STORE_NAME_CHARS).collect();
    let store = saga.call(Provider::Btcpay, saga.btcpay()?.create_store(&name, &website)).await?;
    // An answer about another store is no answer: ours may be there, and is looked for.
    if is_of(&saga.markers.get().await?, &store, setup) {
        Ok(made(saga, &store))
    } else {
        Err(UpstreamError::mistaken_answer(Provider::Btcpay).into())
    }
}

/// A store brought over from another system keeps its id, if it is there.
async fn adopt(run: &Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let (saga, id) = (run.saga, store_id(setup)?);
    let stores = saga.call(Provider::Btcpay, saga.btcpay()?.list_stores()).await?;
    let found = stores.iter().find(|store| store.id == id).ok_or(SetupError::Unusable("STORE_GONE"))?;
    // Whoever served it at this address before us signed with another secret.
    let webhooks = our_webhooks(saga, &id).await?;
    run.still_holds(setup, &webhooks).await?;
    delete_all(saga, &id, &webhooks).await?;
    Ok(made(saga, found))
}

/// The store an earlier attempt made. Should there be several, one stays and the others go.
pub(super) async fn find(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
    let saga = run.saga;
    if setup.btcpay_store_id.is_some() {
        return Ok(None);
    }
    let (markers, btcpay) = (saga.markers.get().await?, saga.btcpay()?);
    let mut ours = saga.call(Provider::Btcpay, btcpay.list_stores()).await?;
    ours.retain(|store| is_of(&markers, store, setup));
    // BTCPay promises no order, and two runs must not each keep another.
    ours.sort_by(|one, other| one.id.cmp(&other.id));
    let Some((kept, extras)) = ours.split_first() else { return Ok(None) };
    run.still_holds(setup, extras).await?;
    for extra in extras {
        saga.call(Provider::Btcpay, btcpay.delete_store(&extra.id)).await?;
        let what = json!({ "btcpay_store_id": extra.id.to_string() });
        run.note_extra(setup, Step::CreateStore, &what).await?;
    }
    Ok(Some(made(saga, kept)))
}

/// A store is not replaced when the node is: its marker is the first generation's.
async fn store_marker(saga: &Saga, setup: &Setup) -> Result<super::Marker, SetupError> {
    marker(saga, &Setup { generation: 1, ..setup.clone() }).await
}

/// With the secret of its webhook, so that it is on record before BTCPay hears of it.
fn made(saga: &Saga, store: &Store) -> Move {
    let webhook_secret = Some(keys::fresh_webhook_secret(&saga.random));
    Move::Done(Box::new(Progress {
        btcpay_store_id: Some(store.id.to_string()),
        made: Made { webhook_secret, ..Made::default() },
        ..Progress::default()
    }))
}

pub(super) async fn delete(run: &mut Run<'_>, setup: &Setup) -> Result<(), SetupError> {
    if setup.btcpay_store_id.is_none() {
        return Ok(());
    }
    let (saga, id) = (run.saga, store_id(setup)?);
    let (markers, btcpay) = (saga.markers.get().await?, saga.btcpay()?);
    let stores = saga.call(Provider::Btcpay, btcpay.list_stores()).await?;
    match stores.iter().find(|store| store.id == id) {
        Some(store) if is_of(&markers, store, setup) => {
            saga.call(Provider::Btcpay, btcpay.delete_store(&id)).await
        }
        // Whatever the import says by now: without our marker it is not ours to delete.
        Some(_) => {
            tracing::warn!(target: "setup", setup_id = %setup.id, btcpay_store_id = %id, "a store without our marker is left where it is");
            Ok(())
        }
        None => Ok(()),
    }
}

pub(super) async fn connect_node(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let saga = run.saga;
    let store = store_id(setup)?;
    let mut progress = Progress::default();
    let (url, certificate) = match setup.source {
        NodeSource::Voltage => {
            let url = setup.node_url.clone().ok_or(SetupError::Unusable("NODE_URL_MISSING"))?;
            (url, setup.node_certificate.clone())
        }
        NodeSource::Registered => {
            let node = keys::registered_node(run, setup).await?;
            run.held.macaroon = Some(node.macaroon);
            // The address as it is connected now: the user may register another later.
            progress.node_url = Some(node.url.clone());
            progress.node_certificate.clone_from(&node.certificate);
            progress.node_pubkey = Some(node.pubkey);
            (node.url, node.certificate)
        }
    };
    let macaroon = keys::macaroon(run, setup).await?;
    let certificate_sha256 = certificate.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let node = LightningNode { url: &url, macaroon, certificate_sha256 };
    saga.call(Provider::Btcpay, saga.btcpay()?.connect_lightning(&store, &node)).await?;
    if setup.source == NodeSource::Registered {
        progress.made.macaroon = run.held.macaroon.take();
    }
    Ok(Move::Done(Box::new(progress)))
}

/// A webhook has a natural key too, its address: after an answer that says nothing one may look at once.
pub(super) async fn create_webhook(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let saga = run.saga;
    let store = store_id(setup)?;
    let url = webhook_url(saga, &store);
    let secret = keys::webhook_secret(run, setup).await?;
    let created = saga.call(Provider::Btcpay, saga.btcpay()?.create_webhook(&store, &url, secret)).await;
    match created {
        Err(SetupError::Upstream(error)) if error.failure == Failure::Ambiguous => {
            find_webhook(run, setup).await?.ok_or(SetupError::Upstream(error))
        }
        Err(error) => Err(error),
        // What the store holds, rather than what the answer says it holds.
        Ok(_) => find_webhook(run, setup)
            .await?
            .ok_or_else(|| UpstreamError::mistaken_answer(Provider::Btcpay).into()),
    }
}

/// The store's webhook to us. Should there be several, one stays and the others go.
pub(super) async fn find_webhook(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
    let store = store_id(setup)?;
    let ours = our_webhooks(run.saga, &store).await?;
    let Some((kept, extras)) = ours.split_first() else { return Ok(None) };
    run.still_holds(setup, extras).await?;
    delete_all(run.saga, &store, extras).await?;
    let progress = Progress { btcpay_webhook_id: Some(kept.to_string()), ..Progress::default() };
    Ok(Some(Move::Done(Box::new(progress))))
}

/// Deletes what webhooks a finished setup's store has besides the one on record.
pub(super) async fn delete_extra_webhooks(saga: &Saga, setup: &Setup) -> Result<(), SetupError> {
    let store = store_id(setup)?;
    let (kept, extras): (Vec<_>, Vec<_>) = our_webhooks(saga, &store)
        .await?
        .into_iter()
        .partition(|webhook| Some(webhook.as_str()) == setup.btcpay_webhook_id.as_deref());
    // Without the one on record any other is better than none, and the list may be mistaken.
    if kept.is_empty() && !extras.is_empty() {
        return Err(UpstreamError::mistaken_answer(Provider::Btcpay).into());
    }
    delete_all(saga, &store, &extras).await
}

/// The store's webhooks to us, always in the same order: BTCPay promises none.
async fn our_webhooks(saga: &Saga, store: &StoreId) -> Result<Vec<WebhookId>, SetupError> {
    let url = webhook_url(saga, store);
    let webhooks = saga.call(Provider::Btcpay, saga.btcpay()?.list_webhooks(store)).await?;
    let mut ours: Vec<_> =
        webhooks.into_iter().filter(|webhook| webhook.url == url).map(|webhook| webhook.id).collect();
    ours.sort();
    Ok(ours)
}

async fn delete_all(saga: &Saga, store: &StoreId, webhooks: &[WebhookId]) -> Result<(), SetupError> {
    for webhook in webhooks {
        saga.call(Provider::Btcpay, saga.btcpay()?.delete_webhook(store, webhook)).await?;
    }
    Ok(())
}

/// Every webhook of the store that calls us, of a store that stays.
pub(super) async fn delete_webhooks(saga: &Saga, setup: &Setup) -> Result<(), SetupError> {
    let store = store_id(setup)?;
    // BTCPay answers for a store that is gone as for one that is another's.
    let stores = saga.call(Provider::Btcpay, saga.btcpay()?.list_stores()).await?;
    if !stores.iter().any(|found| found.id == store) {
        return Ok(());
    }
    delete_all(saga, &store, &our_webhooks(saga, &store).await?).await
}

fn webhook_url(saga: &Saga, store: &StoreId) -> String {
    format!("{}/v1/webhooks/btcpay/{store}", saga.rules.webhook_base_url)
}

pub(super) fn store_id(setup: &Setup) -> Result<StoreId, SetupError> {
    let id = setup.btcpay_store_id.as_deref().ok_or(SetupError::Unusable("STORE_ID_MISSING"))?;
    id.parse().map_err(|_| SetupError::Unusable("STORE_ID_MISSING"))
}
