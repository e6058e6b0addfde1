use serde_json::json;
use shared::audit::Entry;
use shared::db::{self, GenericClient};
use shared::email::Email;
use shared::http::signed_in::SignedIn;
use shared::http::{ApiError, Request, limit};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

pub async fn succeeded(
    deps: &Deps,
    client: &impl GenericClient,
    (request, signed_in): (&Request, &SignedIn),
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let entry = Entry {
        user_id: Some(signed_in.user_id),
        action: "session.created",
        resource: ("session", &signed_in.session_id.to_string()),
        details: json!({ "by": "email" }),
        origin: request.origin(),
        now,
    };
    Ok(deps.vouched.linker.audit.append(client, &entry).await?)
}

/// Writes down that somebody tried an account that is there: the first of each minute. For an account that is not, the
/// same is done and taken back, so that the statements tell nothing.
pub async fn failed(
    deps: &Deps,
    request: &Request,
    (email, user_id): (&Email, Option<Uuid>),
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let mut connection = deps.db.connection().await?;
    if !limit::is_noted(connection.client(), ("login:failed", email.as_str()), now).await? {
        return Ok(());
    }
    let tx = connection.transaction().await?;
    let nobody = deps.random.id(now);
    let entry = Entry {
        user_id: Some(user_id.unwrap_or(nobody)),
        action: "login.failed",
        resource: ("user", &user_id.unwrap_or(nobody).to_string()),
        details: json!({ "by": "email" }),
        origin: request.origin(),
        now,
    };
    deps.vouched.linker.audit.append(&tx, &entry).await?;
    if user_id.is_some() {
        db::commit(tx).await?;
    }
    Ok(())
}
