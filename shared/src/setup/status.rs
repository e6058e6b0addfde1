//! What a user is told of their setup.

use serde::Serialize;
use uuid::Uuid;

use super::intent::NodeSource;
use super::row::{self, Setup, State};
use super::steps::Step;
use crate::db::{DbError, GenericClient, Type, query};

/// A setup in its owner's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    FullyConfigured,
    InProgress,
    /// Something is there, and what is missing needs a provider that is switched off.
    PartiallyConfigured,
    Failed,
    Disabled,
    None,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the answer is what callers were promised, word for word")]
pub struct Status {
    pub status: Summary,
    pub lightning_address: Option<String>,
    pub has_lightning_address: bool,
    #[serde(rename = "hasBTCPayStore")]
    pub has_btcpay_store: bool,
    pub has_voltage_node: bool,
    pub can_retry: bool,
    pub steps: Vec<StepStatus>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    pub name: &'static str,
    /// `pending`, `running`, `done`, `failed` or `undone`.
    pub state: String,
    pub attempts: i32,
    pub last_error_code: Option<String>,
}

/// The status of the account this transaction acts for. Without a setup it says whether one could be had.
pub async fn read(client: &impl GenericClient, user_id: Uuid, enabled: bool) -> Result<Status, DbError> {
    match row::find_of(client, user_id).await? {
        Some(setup) => of(client, &setup).await,
        None => Ok(Status::without_setup(enabled)),
    }
}

/// The status of a setup.
pub async fn of(client: &impl GenericClient, setup: &Setup) -> Result<Status, DbError> {
    let rows = query(
        client,
        "SELECT name, state, attempts, last_error_code FROM lightning_setup_steps WHERE setup_id = $1",
        &[(&setup.id, Type::UUID)],
    )
    .await?;
    let step = |step: Step| match rows.iter().find(|row| row.get::<_, &str>("name") == step.name()) {
        Some(row) => StepStatus {
            name: step.name(),
            state: row.get("state"),
            attempts: row.get("attempts"),
            last_error_code: row.get("last_error_code"),
        },
        None => StepStatus { name: step.name(), state: "pending".into(), attempts: 0, last_error_code: None },
    };
    let steps: Vec<StepStatus> = Step::all_for(setup.source).map(step).collect();
    let switched_off = steps.iter().any(|step| {
        step.state == "failed"
            && step.last_error_code.as_deref().is_some_and(|code| code.ends_with("_NOT_CONFIGURED"))
    });
    let something = setup.btcpay_store_id.is_some() || setup.voltage_node_id.is_some();
    let status = match setup.state {
        State::Finished => Summary::FullyConfigured,
        State::Running => Summary::InProgress,
        State::Failed if switched_off && something => Summary::PartiallyConfigured,
        State::Failed => Summary::Failed,
        State::Undone => Summary::None,
    };
    Ok(Status {
        status,
        lightning_address: (setup.state == State::Finished).then(|| setup.address.clone()),
        has_lightning_address: setup.state == State::Finished,
        has_btcpay_store: setup.btcpay_store_id.is_some(),
        has_voltage_node: setup.source == NodeSource::Voltage && setup.voltage_node_id.is_some(),
        can_retry: setup.state == State::Failed,
        steps,
    })
}

impl Status {
    pub fn without_setup(enabled: bool) -> Self {
        Self {
            status: if enabled { Summary::None } else { Summary::Disabled },
            lightning_address: None,
            has_lightning_address: false,
            has_btcpay_store: false,
            has_voltage_node: false,
            can_retry: false,
            steps: Vec::new(),
        }
    }
}
