//! The seed goes to its owner, once.

use serde::Serialize;
use shared::db;
use shared::http::{ApiError, Reply};
use shared::setup::handover;
use time::OffsetDateTime;

use crate::{Asked, Deps};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    seed: &'a [String],
    #[serde(with = "time::serde::rfc3339")]
    erased_at: OffsetDateTime,
}

/// Whoever has the words has the money, so a session alone does not do: the node must have signed a short while ago.
pub async fn hand_over(deps: &Deps, asked: &Asked<'_>) -> Result<Reply, ApiError> {
    let (saga, now) = (&deps.saga, asked.now);
    let ring = saga.sealing.get().await?;
    let mut connection = saga.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &asked.bearer, now).await?;
    let handed = handover::take(&tx, &session, (&ring, &saga.audit), (asked.request.origin(), now)).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&Answer { seed: handed.words.expose(), erased_at: handed.erased_at }))
}
