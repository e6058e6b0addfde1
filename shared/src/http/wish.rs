//! The wish for a Lightning setup that may come with a sign-in or with a new account. It is written down with the
//! session, and nothing is called from here: `resume_lightning_setups` takes it up within a minute.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiError, ErrorCode};
use crate::audit::{Auditor, Origin};
use crate::config::Config;
use crate::db::{self, DbError, Transaction};
use crate::metrics;
use crate::random::Random;
use crate::setup::status::Summary;
use crate::setup::{BeginError, Intent, Setup, State, Switch, ask, row};

/// What setups can be wished for here.
pub struct Wishes {
    switch: Switch,
    /// There are accounts at BTCPay and Voltage, which this kind of setup needs both.
    offered: bool,
    random: Random,
}

/// What came of a wish. It never fails what it came with.
#[derive(Debug, Serialize)]
pub struct Granted {
    status: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip)]
    begun: bool,
}

impl Wishes {
    /// Wires `BTCPAY_ACCOUNT`, `VOLTAGE_ACCOUNT`, empty where there is none, and the [`Switch`].
    pub fn wire(config: &mut Config) -> Self {
        let accounts = ["BTCPAY_ACCOUNT", "VOLTAGE_ACCOUNT"];
        let offered = accounts.iter().all(|name| config.optional(name).is_some());
        Self { switch: Switch::wire(config), offered, random: config.random() }
    }

    /// The setup these names ask for; `None` without names. The error calls the address's field `address_field`, as
    /// the endpoint does.
    pub fn parse(
        &self,
        username: Option<&str>,
        (address_field, address): (&'static str, Option<&str>),
    ) -> Result<Option<Intent>, ApiError> {
        let username = match (username, address) {
            (Some(username), _) => username,
            (None, Some(_)) => return Err(ApiError::invalid("username", "is missing")),
            (None, None) => return Ok(None),
        };
        let intent = Intent::parse((username, address, None), &self.switch.domain);
        let spelt = |field| if field == "lightningAddress" { address_field } else { field };
        intent.map(Some).map_err(|(field, why)| ApiError::invalid(spelt(field), why))
    }

    /// Writes the wish down in the transaction of what it came with, unless it stands there already.
    pub async fn grant(
        &self,
        tx: &mut Transaction<'_>,
        (user_id, intent): (Uuid, &Intent),
        audit: &Auditor,
        (origin, now): (Origin<'_>, OffsetDateTime),
    ) -> Result<Granted, ApiError> {
        if let Some(setup) = row::find_of(tx, user_id).await? {
            return Ok(Granted::found(&setup, intent));
        }
        if !self.switch.enabled {
            return Ok(Granted::new(Summary::Disabled));
        }
        if !self.offered {
            return Ok(Granted::refused(ErrorCode::ProviderNotConfigured));
        }
        let id = self.random.id(now);
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
        ask::note_begun(tx, audit, (id, user_id), what, (origin, now)).await?;
        Ok(Granted { begun: true, ..Granted::new(Summary::InProgress) })
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

    /// Counts a setup that was begun, once that is committed.
    pub fn count(&self) {
        if self.begun {
            metrics::count("SetupStarted");
        }
    }
}
