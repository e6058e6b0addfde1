//! A setup that failed is tried again.

use shared::db;
use shared::http::{ApiError, ErrorCode, Reply};
use shared::setup::{ask, row};

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
    ask::retry(&tx, &saga.audit, &setup, (asked.request.origin(), now)).await?;
    let claimed = saga.take_up_in(&tx, Some(setup.id), asked.request.origin()).await?;
    db::commit(tx).await?;
    drop(connection);
    run::run(deps, asked, claimed).await
}
