//! A setup taken back, step by step from the last to the first. Nothing does this by itself: it runs when an operator
//! says so. What it made goes; a store brought over from another system was there before, and stays.

use serde_json::json;
use uuid::Uuid;

use super::row::{LEASE, Setup, State, columns};
use super::run::Run;
use super::steps::{Move, Step};
use super::store::delete_webhooks;
use super::{Saga, SetupError};
use crate::audit::Origin;
use crate::db::{self, DbError, GenericClient, Type, execute, query_opt};

/// Whether a node that has a wallet may go, and all it holds with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funds {
    Keep,
    Abandon,
}

#[derive(Debug)]
pub enum UndoError {
    /// There is none of that id that is not undone, or one runs at this moment.
    NotNow,
    /// Its node has a wallet.
    MayHoldFunds,
    Setup(SetupError),
}

impl<E: Into<SetupError>> From<E> for UndoError {
    fn from(error: E) -> Self {
        Self::Setup(error.into())
    }
}

/// Undoes a setup that is not running. What broke off is simply undone again.
pub async fn undo(saga: &Saga, id: Uuid, funds: Funds, origin: Origin<'_>) -> Result<(), UndoError> {
    let mut setup = take(saga, id).await?.ok_or(UndoError::NotNow)?;
    if setup.wallet_initialised && funds == Funds::Keep {
        give_back(saga, &setup).await?;
        return Err(UndoError::MayHoldFunds);
    }
    let mut run = Run::new(saga, origin);
    // What was asked for last may be there without its id being known.
    if matches!(setup.step, Step::CreateNode | Step::CreateStore) {
        match setup.step.find(&mut run, &setup).await {
            Ok(Some(Move::Done(found))) => {
                setup.voltage_node_id = setup.voltage_node_id.or(found.voltage_node_id);
                setup.btcpay_store_id = setup.btcpay_store_id.or(found.btcpay_store_id);
            }
            // Nor can it be looked for. Should it be there, `sweep_orphans` finds it.
            Ok(_) | Err(SetupError::NotConfigured(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let keeps_store = {
        let connection = saga.db.connection().await?;
        keeps_store(connection.client(), &setup).await?
    };
    // Out of service first: an address that takes payments nobody is told of is worse than none.
    Step::Activate.undo(&mut run, &setup).await?;
    if keeps_store {
        delete_webhooks(saga, &setup).await?;
        setup.btcpay_store_id = None;
    }
    for step in Step::ALL.into_iter().rev().filter(|step| *step != Step::Activate) {
        step.undo(&mut run, &setup).await?;
    }
    let now = saga.clock.now();
    let mut connection = saga.db.connection().await?;
    let tx = run.begin(&mut connection, &setup).await?;
    let changed = execute(
        &tx,
        "WITH secrets AS (
             UPDATE lightning_setup_secrets
             SET password_sealed = NULL, root_key_sealed = NULL, seed_sealed = NULL, macaroon_sealed = NULL,
                 webhook_secret_sealed = NULL
             WHERE setup_id = $1),
         steps AS (UPDATE lightning_setup_steps SET state = 'undone' WHERE setup_id = $1),
         logged AS (
             INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
             VALUES ($1, $2, $4, 'undone', 0, $5))
         UPDATE lightning_setups
         SET state = 'undone', updated_at = $5, btcpay_store_id = CASE WHEN $6 THEN NULL ELSE btcpay_store_id END
         WHERE id = $1 AND lease_token = $3",
        &[
            (&setup.id, Type::UUID),
            (&setup.user_id, Type::UUID),
            (&setup.lease_token, Type::INT8),
            (&setup.step.name(), Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&keeps_store, Type::BOOL),
        ],
    )
    .await?;
    if changed != 1 {
        return Err(UndoError::NotNow);
    }
    let details = json!({ "address": setup.address, "with_funds": funds == Funds::Abandon });
    run.note(&tx, &setup, "setup.undone", details, now).await?;
    Ok(db::commit(tx).await?)
}

/// Whether the setup's store was brought over from another system.
pub async fn keeps_store(client: &impl GenericClient, setup: &Setup) -> Result<bool, DbError> {
    let sql = "SELECT FROM imported_lightning_addresses WHERE user_id = $1 AND btcpay_store_id = $2";
    let parameters = [(&setup.user_id as _, Type::UUID), (&setup.btcpay_store_id as _, Type::TEXT)];
    Ok(query_opt(client, sql, &parameters).await?.is_some())
}

/// The lease of a setup nobody runs.
async fn take(saga: &Saga, id: Uuid) -> Result<Option<Setup>, SetupError> {
    let now = saga.clock.now();
    let connection = saga.db.connection().await?;
    let row = query_opt(
        connection.client(),
        concat!(
            "UPDATE lightning_setups s SET lease_token = s.lease_token + 1, due_at = $3, updated_at = $2
             WHERE s.id = $1 AND s.state <> 'undone' AND (s.state <> 'running' OR s.due_at <= $2)
             RETURNING ",
            columns!()
        ),
        &[(&id, Type::UUID), (&now, Type::TIMESTAMPTZ), (&(now + LEASE), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.as_ref().map(Setup::read).filter(|setup| setup.state != State::Undone))
}

async fn give_back(saga: &Saga, setup: &Setup) -> Result<(), SetupError> {
    let connection = saga.db.connection().await?;
    execute(
        connection.client(),
        "UPDATE lightning_setups SET due_at = $3 WHERE id = $1 AND lease_token = $2",
        &[(&setup.id, Type::UUID), (&setup.lease_token, Type::INT8), (&saga.clock.now(), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}
