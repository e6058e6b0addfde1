//! A setup's rows, and the only ways they change. Whoever changes one holds its lease: every statement names the
//! token, and one that changes no row means that the lease is another's by now.

mod begin;
mod change;

pub(super) use begin::take_up;
pub use begin::{BeginError, begin, retry};
pub(super) use change::{Stop, advance, start_over, stop};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::intent::NodeSource;
use super::steps::Step;
use crate::db::{DbError, GenericClient, Row, Type, query_opt};

/// How long a run may be silent before another takes over. A step that takes longer, each call at its last try, is
/// broken off and made again.
pub const LEASE: Duration = Duration::seconds(90);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Failed,
    Finished,
    Undone,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Undone => "undone",
        }
    }

    fn from_name(name: &str) -> Self {
        // The column's constraint knows these four.
        match name {
            "running" => Self::Running,
            "finished" => Self::Finished,
            "undone" => Self::Undone,
            _ => Self::Failed,
        }
    }
}

/// A setup as it is written down.
#[derive(Clone, Debug)]
pub struct Setup {
    pub id: Uuid,
    pub user_id: Uuid,
    pub username: String,
    pub address: String,
    pub source: NodeSource,
    pub state: State,
    pub step: Step,
    pub generation: i32,
    pub voltage_node_id: Option<String>,
    pub node_url: Option<String>,
    pub node_certificate: Option<Vec<u8>>,
    pub node_pubkey: Option<String>,
    pub wallet_initialised: bool,
    pub btcpay_store_id: Option<String>,
    pub btcpay_webhook_id: Option<String>,
    pub due_at: OffsetDateTime,
    pub(super) lease_token: i64,
    pub runs: i32,
    /// Since a step last went well.
    pub failures: i32,
    /// Runs that found something not ready, at this step.
    pub(super) waits: i32,
    pub created_at: OffsetDateTime,
}

/// A setup whose lease is ours until it is due again.
#[derive(Debug)]
pub struct Claimed {
    pub setup: Setup,
    /// An attempt at its step is on record from before.
    pub(super) earlier: bool,
}

/// What [`Setup::read`] reads of `lightning_setups s`.
macro_rules! columns {
    () => {
        "s.id, s.user_id, s.username, s.address, s.node_source, s.state, s.step, s.generation, \
         s.voltage_node_id, s.node_url, s.node_certificate, s.node_pubkey, s.wallet_initialised, \
         s.btcpay_store_id, s.btcpay_webhook_id, s.due_at, s.lease_token, s.runs, s.failures, \
         s.waits, s.created_at"
    };
}
pub(super) use columns;

/// The account's setup, undone ones aside.
pub async fn find_of(client: &impl GenericClient, user_id: Uuid) -> Result<Option<Setup>, DbError> {
    let row = query_opt(
        client,
        concat!(
            "SELECT ",
            columns!(),
            " FROM lightning_setups s WHERE s.user_id = $1 AND s.state <> 'undone'"
        ),
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(row.as_ref().map(Setup::read))
}

/// The setup of that id, whatever its state.
pub async fn find(client: &impl GenericClient, id: Uuid) -> Result<Option<Setup>, DbError> {
    let row = query_opt(
        client,
        concat!("SELECT ", columns!(), " FROM lightning_setups s WHERE s.id = $1"),
        &[(&id, Type::UUID)],
    )
    .await?;
    Ok(row.as_ref().map(Setup::read))
}

impl Setup {
    pub(super) fn read(row: &Row) -> Self {
        let source = row.get::<_, &str>("node_source").parse();
        Self {
            id: row.get("id"),
            user_id: row.get("user_id"),
            username: row.get("username"),
            address: row.get("address"),
            // Constraints keep both columns to what is known here.
            source: source.unwrap_or_default(),
            step: Step::from_name(row.get("step")).unwrap_or(Step::Activate),
            state: State::from_name(row.get("state")),
            generation: row.get("generation"),
            voltage_node_id: row.get("voltage_node_id"),
            node_url: row.get("node_url"),
            node_certificate: row.get("node_certificate"),
            node_pubkey: row.get("node_pubkey"),
            wallet_initialised: row.get("wallet_initialised"),
            btcpay_store_id: row.get("btcpay_store_id"),
            btcpay_webhook_id: row.get("btcpay_webhook_id"),
            due_at: row.get("due_at"),
            lease_token: row.get("lease_token"),
            runs: row.get("runs"),
            failures: row.get("failures"),
            waits: row.get("waits"),
            created_at: row.get("created_at"),
        }
    }

    /// The lease must not outlive what it guards: a run that was asleep past it makes no more calls.
    pub(super) fn is_leased(&self, now: OffsetDateTime) -> bool {
        now < self.due_at
    }
}
