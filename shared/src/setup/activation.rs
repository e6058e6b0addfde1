//! The last step: the address, its sealed configurations and the end of the setup, in one transaction.

use serde_json::json;
use time::OffsetDateTime;

use super::SetupError;
use super::keys::{self, BtcpayConfig, NodeConfig};
use super::row::{Setup, State};
use super::run::{Progress, Run};
use super::steps::Move;
use crate::crypto::{KeyRing, Secret};
use crate::db::{self, Transaction, Type, execute, query_one};

/// What is about to be sealed.
pub(super) struct Configurations {
    btcpay: Secret<Vec<u8>>,
    node: Secret<Vec<u8>>,
}

/// Nothing to do outside: the transaction that ends the step is the step.
pub(super) async fn prepare(_: &mut Run<'_>, _: &Setup) -> Result<Move, SetupError> {
    Ok(Move::Done(Box::default()))
}

/// Everything the configurations hold, read before the transaction begins.
pub(super) async fn configurations(
    run: &mut Run<'_>,
    setup: &Setup,
    progress: &Progress,
) -> Result<Configurations, SetupError> {
    let webhook_secret = keys::webhook_secret(run, setup).await?.clone();
    let macaroon = Secret::new(keys::macaroon(run, setup).await?.to_hex().to_string());
    let missing = SetupError::Unusable;
    let btcpay = BtcpayConfig {
        store_id: setup.btcpay_store_id.clone().ok_or(missing("STORE_ID_MISSING"))?,
        webhook_id: progress
            .btcpay_webhook_id
            .clone()
            .or_else(|| setup.btcpay_webhook_id.clone())
            .ok_or(missing("WEBHOOK_ID_MISSING"))?,
        webhook_secret,
    };
    let node = NodeConfig {
        url: setup.node_url.clone().ok_or(missing("NODE_URL_MISSING"))?,
        pubkey: setup.node_pubkey.clone(),
        macaroon,
        certificate_sha256: setup
            .node_certificate
            .as_deref()
            .map(|bytes| data_encoding::HEXLOWER.encode(bytes)),
    };
    let unreadable = |_| missing("CONFIGURATION_UNREADABLE");
    Ok(Configurations {
        btcpay: Secret::new(serde_json::to_vec(&btcpay).map_err(unreadable)?),
        node: Secret::new(serde_json::to_vec(&node).map_err(unreadable)?),
    })
}

/// Makes the setup count, in the caller's transaction.
pub(super) async fn activate(
    run: &Run<'_>,
    tx: &Transaction<'_>,
    setup: &Setup,
    configurations: &Configurations,
    (ring, now): (&KeyRing, OffsetDateTime),
) -> Result<Setup, SetupError> {
    let random = &run.saga.random;
    let btcpay =
        ring.seal(keys::btcpay_config_field(&setup.user_id), configurations.btcpay.expose(), now, random)?;
    let node =
        ring.seal(keys::node_config_field(&setup.user_id), configurations.node.expose(), now, random)?;
    let row = query_one(
        tx,
        "SELECT setup_lightning_atomic($1, $2, $3, $4, $5) AS activated",
        &[
            (&setup.id, Type::UUID),
            (&setup.lease_token, Type::INT8),
            (&btcpay, Type::BYTEA),
            (&node, Type::BYTEA),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    if !row.get::<_, bool>("activated") {
        return Err(SetupError::LeaseLost);
    }
    let details = json!({
        "address": setup.address, "node_source": setup.source.name(), "btcpay_store_id": setup.btcpay_store_id,
        "voltage_node_id": setup.voltage_node_id,
    });
    run.note(tx, setup, "setup.activated", details, now).await?;
    Ok(Setup { state: State::Finished, ..setup.clone() })
}

/// Takes the address out of service. Should the undoing break off behind it, the setup does not say that it is finished.
pub(super) async fn undo(run: &mut Run<'_>, setup: &Setup) -> Result<(), SetupError> {
    let mut connection = run.saga.db.connection().await?;
    let tx = run.begin(&mut connection, setup).await?;
    execute(&tx, "DELETE FROM lightning_addresses WHERE setup_id = $1", &[(&setup.id, Type::UUID)]).await?;
    let failed = "UPDATE lightning_setups SET state = 'failed' WHERE id = $1 AND lease_token = $2";
    let changed = execute(&tx, failed, &[(&setup.id, Type::UUID), (&setup.lease_token, Type::INT8)]).await?;
    if changed != 1 {
        return Err(SetupError::LeaseLost);
    }
    Ok(db::commit(tx).await?)
}
