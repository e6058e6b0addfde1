//! The steps at BTCPay: a store that carries the marker, connected to the node, telling us what is paid.

use super::intent::NodeSource;
use super::keys::{self, Made};
use super::marker::{Marked, MarkerMaker};
use super::node::marker;
use super::row::Setup;
use super::run::{Progress, Run};
use super::steps::Move;
use super::{Saga, SetupError};
use crate::btcpay::{LightningNode, Store, StoreId};
use crate::upstream::{Failure, Provider, UpstreamError, code};

/// BTCPay takes no longer name, and users may have longer ones. It is for people to read; the marker tells stores apart.
const STORE_NAME_CHARS: usize = 50;

/// Where a store carries its marker: behind the `#` of its website, which no payer is ever sent to.
fn website(saga: &Saga, marker: &super::Marker) -> String {
    format!("https://{}/#{marker}", saga.rules.app_domain)
}

/// What a store's website says of whose it is.
pub(super) fn read_website(markers: &MarkerMaker<'_>, website: Option<&str>) -> Option<Marked> {
    markers.read(website?.rsplit_once('#')?.1)
}

pub(super) async fn create(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let saga = run.saga;
    if setup.btcpay_store_id.is_some() {
        return adopt(saga, setup).await;
    }
    let website = website(saga, &store_marker(saga, setup).await?);
    let name: String = setup.username.chars().take(STORE_NAME_CHARS).collect();
    let store = saga.call(Provider::Btcpay, saga.btcpay()?.create_store(&name, &website)).await?;
    // An answer about another store is no answer: ours may be there, and is looked for.
    if store.website.as_deref() == Some(website.as_str()) {
        Ok(made(saga, &store))
    } else {
        Err(UpstreamError::mistaken_answer(Provider::Btcpay).into())
    }
}

/// A store brought over from another system keeps its id, if it is there.
async fn adopt(saga: &Saga, setup: &Setup) -> Result<Move, SetupError> {
    let id = store_id(setup)?;
    let stores = saga.call(Provider::Btcpay, saga.btcpay()?.list_stores()).await?;
    let found = stores.iter().find(|store| store.id == id);
    found.map(|store| made(saga, store)).ok_or(SetupError::Unusable("STORE_GONE"))
}

/// The store an earlier attempt made. Should there be several, the first stays and the others go.
pub(super) async fn find(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
    let saga = run.saga;
    if setup.btcpay_store_id.is_some() {
        return Ok(None);
    }
    let website = website(saga, &store_marker(saga, setup).await?);
    let btcpay = saga.btcpay()?;
    let stores = saga.call(Provider::Btcpay, btcpay.list_stores()).await?;
    let mut ours = stores.iter().filter(|store| store.website.as_deref() == Some(website.as_str()));
    let kept = ours.next();
    for extra in ours {
        saga.call(Provider::Btcpay, btcpay.delete_store(&extra.id)).await?;
    }
    Ok(kept.map(|store| made(saga, store)))
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
    run.saga.call(Provider::Btcpay, run.saga.btcpay()?.delete_store(&store_id(setup)?)).await
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

pub(super) async fn find_webhook(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
    let store = store_id(setup)?;
    let kept = one_webhook(run.saga, &store).await?;
    Ok(kept.map(|id| Move::Done(Box::new(Progress { btcpay_webhook_id: Some(id), ..Progress::default() }))))
}

/// The store's webhook to us: the first there is, with every other one deleted.
pub(super) async fn one_webhook(saga: &Saga, store: &StoreId) -> Result<Option<String>, SetupError> {
    let btcpay = saga.btcpay()?;
    let url = webhook_url(saga, store);
    let webhooks = saga.call(Provider::Btcpay, btcpay.list_webhooks(store)).await?;
    let mut ours = webhooks.iter().filter(|webhook| webhook.url == url);
    let kept = ours.next();
    for extra in ours {
        saga.call(Provider::Btcpay, btcpay.delete_webhook(store, &extra.id)).await?;
    }
    Ok(kept.map(|webhook| webhook.id.to_string()))
}

/// Every webhook of the store that calls us, of a store that stays.
pub(super) async fn delete_webhooks(saga: &Saga, setup: &Setup) -> Result<(), SetupError> {
    let (btcpay, store) = (saga.btcpay()?, store_id(setup)?);
    let url = webhook_url(saga, &store);
    let webhooks = match saga.call(Provider::Btcpay, btcpay.list_webhooks(&store)).await {
        Err(SetupError::Upstream(error)) if error.code == code::BTCPAY_NOT_FOUND => return Ok(()),
        other => other?,
    };
    for webhook in webhooks.iter().filter(|webhook| webhook.url == url) {
        saga.call(Provider::Btcpay, btcpay.delete_webhook(&store, &webhook.id)).await?;
    }
    Ok(())
}

fn webhook_url(saga: &Saga, store: &StoreId) -> String {
    format!("{}/v1/webhooks/btcpay/{store}", saga.rules.webhook_base_url)
}

pub(super) fn store_id(setup: &Setup) -> Result<StoreId, SetupError> {
    let id = setup.btcpay_store_id.as_deref().ok_or(SetupError::Unusable("STORE_ID_MISSING"))?;
    id.parse().map_err(|_| SetupError::Unusable("STORE_ID_MISSING"))
}
