use shared::audit::Entry;
use shared::db;
use shared::http::auth;
use shared::http::{ApiError, Reply, Request};
use shared::mail::Kind;
use shared::user;

use crate::{Deps, answer, not_found};

/// A repeat by an administrator gets the account as it was deleted. Its owner has no session left to repeat it with.
pub async fn delete(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("id")?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    auth::owner_or_admin(&session, user_id)?;
    user::act_for(&tx, user_id).await?;
    let deleted = user::delete(&tx, user_id, now).await?;
    let user = user::find(&tx, user_id).await?.ok_or_else(not_found)?;
    if deleted {
        let entry = Entry {
            user_id: Some(user_id),
            action: "user.deleted",
            resource: ("user", &user_id.to_string()),
            details: serde_json::json!({ "by": session.user_id }),
            origin: request.origin(),
            now,
        };
        deps.audit.append(&tx, &entry).await?;
        // Sent by the job: what is deleted stays so, and the owner need not know it this very second.
        deps.mails.tell(&tx, (user_id, Kind::AccountDeleted, None), now).await?;
    }
    db::commit(tx).await?;
    Ok(answer(Reply::ok, &user))
}
