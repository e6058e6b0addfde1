//! What somebody asks for, in the audit log: a setup begun, a failed one tried again. The runs themselves say what they do.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::SetupError;
use super::intent::NodeSource;
use super::row::{self, Setup};
use crate::audit::{AuditError, Auditor, Entry, Origin};
use crate::db::GenericClient;

/// Lets a failed setup run again, due at once. False when it is not a failed one.
pub async fn retry(
    client: &impl GenericClient,
    audit: &Auditor,
    setup: &Setup,
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<bool, SetupError> {
    if !row::retry(client, setup.id, now).await? {
        return Ok(false);
    }
    let details = json!({ "step": setup.step.name() });
    append(client, audit, "setup.retried", (setup.id, setup.user_id), details, (origin, now)).await?;
    Ok(true)
}

/// That a setup was written down, in the transaction in which it was.
pub async fn note_begun(
    client: &impl GenericClient,
    audit: &Auditor,
    ids: (Uuid, Uuid),
    (address, source): (&str, NodeSource),
    asked: (Origin<'_>, OffsetDateTime),
) -> Result<(), AuditError> {
    let details = json!({ "address": address, "node_source": source.name() });
    append(client, audit, "setup.begun", ids, details, asked).await
}

async fn append(
    client: &impl GenericClient,
    audit: &Auditor,
    action: &'static str,
    (id, user_id): (Uuid, Uuid),
    details: Value,
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<(), AuditError> {
    let resource = ("lightning_setup", &*id.to_string());
    audit.append(client, &Entry { user_id: Some(user_id), action, resource, details, origin, now }).await
}
