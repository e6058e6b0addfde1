use serde::Deserialize;
use shared::audit::Entry;
use shared::db;
use shared::http::auth;
use shared::http::{ApiError, Reply, Request, account_deleted, version};
use shared::user;

use crate::{Deps, answer, not_found, parse};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    /// `null` takes the name away.
    #[serde(deserialize_with = "Option::deserialize")]
    display_name: Option<String>,
    version: Option<i64>,
}

pub async fn update(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("id")?;
    let body: Body = request.json()?;
    let display_name = body.display_name.as_deref().map(parse::display_name).transpose()?;
    // Whoever does not say what they read would overwrite what they have not seen.
    let expected = version::expected(request, body.version)?.ok_or_else(|| {
        ApiError::invalid("version", "is missing: send the version that was read, or its ETag as If-Match")
    })?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    auth::owner_or_admin(&session, user_id)?;
    user::act_for(&tx, user_id).await?;
    let renamed = user::rename(&tx, (user_id, expected), display_name, now).await?;
    let user = user::find(&tx, user_id).await?.ok_or_else(not_found)?;
    // What somebody does to their own name is nobody's to check.
    if renamed && session.user_id != user_id {
        let entry = Entry {
            user_id: Some(user_id),
            action: "user.renamed",
            resource: ("user", &user_id.to_string()),
            details: serde_json::json!({ "by": session.user_id }),
            origin: request.origin(),
            now,
        };
        deps.audit.append(&tx, &entry).await?;
    }
    db::commit(tx).await?;

    if renamed {
        Ok(answer(Reply::ok, &user))
    } else if user.deleted_at.is_some() {
        Err(account_deleted())
    } else {
        Err(version::conflict("User"))
    }
}
