//! `DELETE /v1/sessions/{id}` and `DELETE /v1/sessions/user/{userId}/all`

use serde::Serialize;
use serde_json::json;
use shared::db::{self, Transaction};
use shared::http::{ApiError, Reply};
use shared::session::Ended;
use shared::session::own::{self, Reach};
use uuid::Uuid;

use crate::{Call, not_found};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    user_id: Uuid,
    /// How many sessions stood until then.
    ended: u64,
}

fn reason(call: &Call<'_>, user_id: Uuid) -> Ended {
    if call.session.user_id == user_id { Ended::ByOwner } else { Ended::ByAdmin }
}

/// Ended twice is ended: the second time changes nothing and answers the same.
pub async fn one(call: &Call<'_>, tx: Transaction<'_>, id: Uuid) -> Result<Reply, ApiError> {
    let reach = Reach::of(call.session);
    let user_id = own::find(&tx, id, reach, call.now).await?.ok_or_else(not_found)?.user_id;
    if own::end(&tx, id, reach, (reason(call, user_id), call.now)).await? {
        let details = json!({ "userId": user_id, "reason": reason(call, user_id) });
        call.note(&tx, "session.ended", ("session", id), details).await?;
    }
    let found = own::find(&tx, id, reach, call.now).await?.ok_or_else(not_found)?;
    db::commit(tx).await?;
    Ok(Reply::ok(&call.shown(found)))
}

pub async fn all(call: &Call<'_>, tx: Transaction<'_>, user_id: Uuid) -> Result<Reply, ApiError> {
    call.may_reach(&tx, user_id).await?;
    let ended = own::end_all(&tx, user_id, reason(call, user_id), call.now).await?;
    if ended > 0 {
        let details = json!({ "ended": ended, "reason": reason(call, user_id) });
        call.note(&tx, "session.all_ended", ("user", user_id), details).await?;
    }
    db::commit(tx).await?;
    Ok(Reply::ok(&Answer { user_id, ended }))
}
