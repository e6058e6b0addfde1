use serde::Serialize;
use shared::audit;
use shared::db::{self, DbError, Transaction};
use shared::http::auth;
use shared::http::page::{Cursor, Items, Page};
use shared::http::{ApiError, Reply, Request};
use shared::preferences::{self, Preferences};
use shared::user::export::{self, Entry, Identity, Lightning, Part, Section, Subscription};
use shared::user::{self, User};
use uuid::Uuid;

use crate::{Deps, not_found};

/// As many rows of each list as a page may have.
const WHOLE: Page = Page { limit: 200, after: None };

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    user: User,
    identities: Vec<Identity>,
    preferences: Option<Preferences>,
    lightning: Option<Lightning>,
    subscriptions: Vec<Subscription>,
    sessions: Items<Entry>,
    activity_logs: Items<Entry>,
    invoices: Items<Entry>,
    payments: Items<Entry>,
}

/// Everything, with the first page of what grows; or one more page of one list, `?section=` and `?cursor=`.
pub async fn export(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let user_id = request.path_id("id")?;
    let section = section(request)?;
    let page = Page::of(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    auth::owner_or_admin(&session, user_id)?;
    user::act_for(&tx, user_id).await?;
    let user = user::find(&tx, user_id).await?.ok_or_else(not_found)?;
    let reply = match section {
        Some(section) => Reply::ok(&items(&tx, (user_id, section), page).await?),
        None => Reply::ok(&whole(&tx, user).await?),
    };
    let entry = audit::Entry {
        user_id: Some(user_id),
        action: "user.exported",
        resource: ("user", &user_id.to_string()),
        details: serde_json::json!({ "by": session.user_id, "section": section.map(Section::name) }),
        origin: request.origin(),
        now,
    };
    deps.audit.append(&tx, &entry).await?;
    db::commit(tx).await?;
    Ok(reply)
}

fn section(request: &Request) -> Result<Option<Section>, ApiError> {
    let Some(name) = request.query_parameter("section") else {
        return match request.query_parameter("cursor") {
            None => Ok(None),
            Some(_) => Err(ApiError::invalid("section", "is missing: a cursor is of one section")),
        };
    };
    let found = Section::ALL.into_iter().find(|section| section.name() == name);
    let names = || Section::ALL.map(Section::name).join(", ");
    found.map(Some).ok_or_else(|| ApiError::invalid("section", format!("must be one of {}", names())))
}

async fn whole(tx: &Transaction<'_>, user: User) -> Result<Export, DbError> {
    let user_id = user.id;
    Ok(Export {
        identities: export::identities(tx, user_id).await?,
        preferences: preferences::find(tx, user_id).await?,
        lightning: export::lightning(tx, user_id).await?,
        subscriptions: export::subscriptions(tx, user_id).await?,
        sessions: items(tx, (user_id, Section::Sessions), WHOLE).await?,
        activity_logs: items(tx, (user_id, Section::Activities), WHOLE).await?,
        invoices: items(tx, (user_id, Section::Invoices), WHOLE).await?,
        payments: items(tx, (user_id, Section::Payments), WHOLE).await?,
        user,
    })
}

async fn items(
    tx: &Transaction<'_>,
    (user_id, section): (Uuid, Section),
    page: Page,
) -> Result<Items<Entry>, DbError> {
    let part = Part { after: page.after.map(|place| (place.created_at, place.id)), rows: page.rows() };
    let entries = export::section(tx, (user_id, section), part).await?;
    Ok(page.cut(entries, |entry| Cursor { created_at: entry.created_at, id: entry.id }))
}
