use serde_json::json;
use shared::account::{self, IdentityKind, Unlinked};
use shared::audit::Entry;
use shared::db;
use shared::email::Email;
use shared::http::vouched::provider;
use shared::http::{ApiError, ErrorCode, Reply, Request, auth};
use shared::mail::{Kind, NewMail};

use crate::{Deps, list};

/// Answers with what is left.
pub async fn unlink(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let kind: IdentityKind = request
        .path_parameter("kind")
        .parse()
        .map_err(|_| ApiError::new(ErrorCode::NotFound, "there is no such way to sign in"))?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    let user_id = session.user_id;
    let Unlinked { identity, sessions_ended } =
        account::unlink(&tx, (user_id, session.id), kind, now).await?;
    let entry = Entry {
        user_id: Some(user_id),
        action: "identity.unlinked",
        resource: ("user", &user_id.to_string()),
        // An address is personal, and this row outlives the account.
        details: json!({ "kind": kind, "session": session.id, "sessionsEnded": sessions_ended }),
        origin: request.origin(),
        now,
    };
    deps.linker.audit.append(&tx, &entry).await?;
    let about = Some(provider(kind));
    let mails = &deps.sender.mails;
    // Whoever loses the address is told at it: no other is proven to be theirs.
    let former: Option<Email> = identity
        .subject
        .parse()
        .ok()
        .filter(|_| kind == IdentityKind::Email && identity.verified_at.is_some());
    let written = match &former {
        Some(to) => {
            let mail = NewMail { user_id, kind: Kind::IdentityUnlinked, to, token: None, about };
            mails.put(&tx, &mail, now).await?
        }
        None => mails.tell(&tx, (user_id, Kind::IdentityUnlinked, about), now).await?,
    };
    let left = list::items(&tx, user_id).await?;
    db::commit(tx).await?;
    drop(connection);
    deps.sender.send_now(&deps.db, written).await;
    Ok(Reply::ok(&left))
}
