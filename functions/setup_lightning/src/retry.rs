//! A setup that failed is tried again.

use serde_json::json;
use shared::audit::Entry;
use shared::db;
use shared::http::{ApiError, ErrorCode, Reply};
use shared::setup::row;

use crate::{Asked, Deps, run};

/// Lets a failed setup go on where it stopped. One that runs, or is finished, is only told of: a retry is safe at
/// any time.
pub async fn retry(deps: &Deps, asked: &Asked<'_>) -> Result<Reply, ApiError> {
    let (saga, now) = (&deps.saga, asked.now);
    let mut connection = saga.db.connection().await?;
    let tx = connection.transaction().await?;
    let session = deps.auth.sessions.enter(&tx, &asked.bearer, now).await?;
    let setup = row::find_of(&tx, session.user_id).await?;
    let setup = setup.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "this account has no setup"))?;
    if row::retry(&tx, setup.id, now).await? {
        let entry = Entry {
            user_id: Some(session.user_id),
            action: "setup.retried",
            resource: ("lightning_setup", &setup.id.to_string()),
            details: json!({ "step": setup.step.name() }),
            origin: asked.request.origin(),
            now,
        };
        saga.audit.append(&tx, &entry).await?;
    }
    let claimed = saga.take_up_in(&tx, Some(setup.id), asked.request.origin()).await?;
    db::commit(tx).await?;
    drop(connection);
    run::run(deps, asked, claimed).await
}
