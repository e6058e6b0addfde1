//! The wish for a Lightning setup that may come with a sign-in. It is written down with the session, and nothing is
//! called from here: `resume_lightning_setups` takes it up within a minute.

use serde::Serialize;
use shared::audit::Origin;
use shared::config::Config;
use shared::db::{self, DbError, Transaction};
use shared::http::{ApiError, ErrorCode};
use shared::setup::status::Summary;
use shared::setup::{BeginError, Intent, Setup, State, Switch, ask, row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

/// What setups can be wished for here.
pub struct Wishes {
    switch: Switch,
    /// There are accounts at BTCPay and Voltage, which this kind of setup needs both.
    offered: bool,
}

/// What came of a wish. It never fails the sign-in it came with.
#[derive(Debug, Serialize)]
pub struct Granted {
    status: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip)]
    pub begun: bool,
}

impl Wishes {
    /// Wires `BTCPAY_ACCOUNT`, `VOLTAGE_ACCOUNT`, empty where there is none, and the [`Switch`].
    pub fn wire(config: &mut Config) -> Self {
        let accounts = ["BTCPAY_ACCOUNT", "VOLTAGE_ACCOUNT"];
        let offered = accounts.iter().all(|name| config.optional(name).is_some());
        Self { switch: Switch::wire(config), offered }
    }

    /// The setup these names ask for; `None` without names.
    pub fn parse(&self, username: Option<&str>, address: Option<&str>) -> Result<Option<Intent>, ApiError> {
        let username = match (username, address) {
            (Some(username), _) => username,
            (None, Some(_)) => return Err(ApiError::invalid("username", "is missing")),
            (None, None) => return Ok(None),
        };
        let intent = Intent::parse((username, address, None), &self.switch.domain);
        // This endpoint's names are in snake case.
        let spelt = |field| if field == "lightningAddress" { "lightning_address" } else { field };
        intent.map(Some).map_err(|(field, why)| ApiError::invalid(spelt(field), why))
    }
}

impl Granted {
    fn new(status: Summary) -> Self {
        Self { status, error: None, begun: false }
    }

    fn refused(code: ErrorCode) -> Self {
        Self { error: Some(code.parts().0), ..Self::new(Summary::Failed) }
    }

    /// Steps are for the account's own eyes, at `GET /v1/lightning/setup`.
    fn found(setup: &Setup, intent: &Intent) -> Self {
        if !intent.is_of(setup) {
            return Self::refused(ErrorCode::SetupExists);
        }
        Self::new(match setup.state {
            State::Finished => Summary::FullyConfigured,
            State::Running => Summary::InProgress,
            State::Failed => Summary::Failed,
            State::Undone => Summary::None,
        })
    }
}

/// Writes the wish down in the transaction of the sign-in, unless it stands there already.
pub async fn grant(
    deps: &Deps,
    tx: &mut Transaction<'_>,
    (user_id, intent): (Uuid, &Intent),
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<Granted, ApiError> {
    if let Some(setup) = row::find_of(tx, user_id).await? {
        return Ok(Granted::found(&setup, intent));
    }
    if !deps.wishes.switch.enabled {
        return Ok(Granted::new(Summary::Disabled));
    }
    if !deps.wishes.offered {
        return Ok(Granted::refused(ErrorCode::ProviderNotConfigured));
    }
    let id = deps.random.id(now);
    // A refusal by the database must not take the sign-in along.
    let savepoint = tx.transaction().await.map_err(DbError::from)?;
    match row::begin(&savepoint, (id, user_id), intent, now).await {
        Ok(()) => db::commit(savepoint).await?,
        Err(BeginError::Db(error)) => return Err(error.into()),
        Err(refused) => {
            savepoint.rollback().await.map_err(DbError::from)?;
            let twin = row::find_of(tx, user_id).await?;
            return Ok(match (refused, twin) {
                (BeginError::HasOther, Some(setup)) => Granted::found(&setup, intent),
                (BeginError::HasOther, None) => Granted::refused(ErrorCode::SetupExists),
                _ => Granted::refused(ErrorCode::AddressTaken),
            });
        }
    }
    let what = (&*intent.address.to_string(), intent.source);
    ask::note_begun(tx, &deps.audit, (id, user_id), what, (origin, now)).await?;
    Ok(Granted { begun: true, ..Granted::new(Summary::InProgress) })
}
