//! A setup is asked for.

use serde::Deserialize;
use shared::db::{self, Transaction};
use shared::http::{ApiError, ErrorCode, Reply};
use shared::session::Session;
use shared::setup::{Claimed, Intent, NodeSource, SetupError, ask, row};
use shared::{metrics, node};

use crate::{Asked, Deps, run};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    username: String,
    lightning_address: Option<String>,
    node_source: Option<String>,
}

/// Writes the intent down, unless it is, and runs it. An account has one setup, so a repeat makes no second one.
pub async fn begin(deps: &Deps, asked: &Asked<'_>) -> Result<Reply, ApiError> {
    let body: Body = asked.request.json()?;
    let fields = (body.username.as_str(), body.lightning_address.as_deref(), body.node_source.as_deref());
    let intent = Intent::parse(fields, &deps.saga.switch.domain)
        .map_err(|(field, why)| ApiError::invalid(field, why))?;
    let claimed = match write_down(deps, asked, &intent).await {
        // Perhaps this very request's twin, which was quicker by a moment.
        Err(error) if error.code == ErrorCode::SetupExists => write_down(deps, asked, &intent).await?,
        other => other?,
    };
    run::run(deps, asked, claimed).await
}

/// One commit: the setup, its audit row, and whose turn it is.
async fn write_down(deps: &Deps, asked: &Asked<'_>, intent: &Intent) -> Result<Option<Claimed>, ApiError> {
    let (saga, now) = (&deps.saga, asked.now);
    let mut connection = saga.db.connection().await?;
    let tx = connection.transaction().await?;
    let session = deps.auth.sessions.enter(&tx, &asked.bearer, now).await?;
    let found = row::find_of(&tx, session.user_id).await?;
    let id = match &found {
        Some(setup) if intent.is_of(setup) => setup.id,
        Some(_) => return Err(row::BeginError::HasOther.into()),
        None => {
            check_offered(deps, &tx, &session, intent).await?;
            let id = saga.random.id(now);
            row::begin(&tx, (id, session.user_id), intent, now).await?;
            let (ids, what) = ((id, session.user_id), (&*intent.address.to_string(), intent.source));
            ask::note_begun(&tx, &saga.audit, ids, what, (asked.request.origin(), now)).await?;
            id
        }
    };
    let claimed = saga.take_up_in(&tx, Some(id), asked.request.origin()).await?;
    db::commit(tx).await?;
    if found.is_none() {
        metrics::count("SetupStarted");
    }
    Ok(claimed)
}

/// Nothing begins that could not end.
async fn check_offered(
    deps: &Deps,
    tx: &Transaction<'_>,
    session: &Session,
    intent: &Intent,
) -> Result<(), ApiError> {
    if !deps.saga.switch.enabled {
        let message = "Lightning setup is switched off in this deployment";
        return Err(ApiError::not_offered(ErrorCode::SetupDisabled, message));
    }
    if let Some(provider) = deps.saga.missing_provider(intent.source) {
        return Err(SetupError::NotConfigured(provider).into());
    }
    if intent.source == NodeSource::Registered && !node::is_connectable(tx, session.user_id).await? {
        let message = "register your node with its address and an invoice macaroon first";
        return Err(ApiError::new(ErrorCode::NodeNotRegistered, message));
    }
    Ok(())
}
