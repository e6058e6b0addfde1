//! `GET /v1/sessions/{id}`, `GET /v1/sessions/user/{userId}` and what is under it.

use shared::db::{self, Transaction};
use shared::http::page::{Cursor, Page};
use shared::http::{ApiError, Reply};
use shared::session::own::{self, Reach};
use shared::session::statistics;
use uuid::Uuid;

use crate::{Call, not_found};

pub async fn one(call: &Call<'_>, tx: Transaction<'_>, id: Uuid) -> Result<Reply, ApiError> {
    let found = own::find(&tx, id, Reach::of(call.session), call.now).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&call.shown(found.ok_or_else(not_found)?)))
}

pub async fn list(
    call: &Call<'_>,
    tx: Transaction<'_>,
    (user_id, page): (Uuid, Page),
) -> Result<Reply, ApiError> {
    call.may_reach(&tx, user_id).await?;
    let after = page.after.map(|cursor| (cursor.created_at, cursor.id));
    let rows = own::list(&tx, user_id, (after, page.rows()), call.now).await?;
    db::commit(tx).await?;
    let shown = rows.into_iter().map(|session| call.shown(session)).collect();
    let place = |shown: &crate::Shown| Cursor { created_at: shown.session.created_at, id: shown.session.id };
    Ok(Reply::ok(&page.cut(shown, place)))
}

pub async fn last_used(call: &Call<'_>, tx: Transaction<'_>, user_id: Uuid) -> Result<Reply, ApiError> {
    call.may_reach(&tx, user_id).await?;
    let found = own::last_used(&tx, user_id, call.now).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&call.shown(found.ok_or_else(not_found)?)))
}

pub async fn counts(call: &Call<'_>, tx: Transaction<'_>, user_id: Uuid) -> Result<Reply, ApiError> {
    call.may_reach(&tx, user_id).await?;
    let statistics = statistics::of_account(&tx, user_id, call.now).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&statistics))
}
