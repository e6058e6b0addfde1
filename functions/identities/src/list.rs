use serde::Serialize;
use shared::account::{self, Identity};
use shared::db::{self, GenericClient};
use shared::http::page::Items;
use shared::http::{ApiError, Reply, Request, auth};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

/// An identity, as its account sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    kind: String,
    /// The DID, the node's key, the address, or the id at the provider.
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    verified: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Identity> for Item {
    fn from(identity: Identity) -> Self {
        let Identity { kind, subject, label, created_at, verified_at } = identity;
        // What is signed for with a key is proven each time.
        let verified = verified_at.is_some() || kind != "email";
        Self { kind, subject, label, verified, created_at }
    }
}

pub async fn list(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &bearer, now).await?;
    let items = items(&tx, session.user_id).await?;
    db::commit(tx).await?;
    Ok(Reply::ok(&items))
}

/// All of them: nobody has more than fit on a page.
pub async fn items(client: &impl GenericClient, user_id: Uuid) -> Result<Items<Item>, ApiError> {
    let identities = account::list(client, user_id).await?;
    Ok(Items { items: identities.into_iter().map(Item::from).collect(), next_cursor: None })
}
