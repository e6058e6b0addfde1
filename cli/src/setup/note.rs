//! What the audit log is told of what an operator lets begin. The runs themselves say what they do.

use anyhow::Result;
use serde_json::{Value, json};
use shared::audit::{Entry, Origin};
use shared::db::Transaction;
use shared::setup::{Saga, Setup, row};
use time::OffsetDateTime;
use uuid::Uuid;

/// Lets a failed setup run again. False when it is not a failed one.
pub async fn retry(
    saga: &Saga,
    tx: &Transaction<'_>,
    id: Uuid,
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<bool> {
    if !row::retry(tx, id, now).await? {
        return Ok(false);
    }
    if let Some(setup) = row::find(tx, id).await? {
        let details = json!({ "step": setup.step.name() });
        append(saga, tx, "setup.retried", &setup, details, (origin, now)).await?;
    }
    Ok(true)
}

/// That a setup has begun for somebody who did not ask for it here.
pub async fn begun(
    saga: &Saga,
    tx: &Transaction<'_>,
    id: Uuid,
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<()> {
    if let Some(setup) = row::find(tx, id).await? {
        let details = json!({ "address": setup.address, "node_source": setup.source.name() });
        append(saga, tx, "setup.begun", &setup, details, (origin, now)).await?;
    }
    Ok(())
}

async fn append(
    saga: &Saga,
    tx: &Transaction<'_>,
    action: &'static str,
    setup: &Setup,
    details: Value,
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<()> {
    let id = setup.id.to_string();
    let resource = ("lightning_setup", id.as_str());
    let entry = Entry { user_id: Some(setup.user_id), action, resource, details, origin, now };
    saga.audit.append(tx, &entry).await.map_err(shared::setup::SetupError::from)?;
    Ok(())
}
