//! What our accounts hold and no setup owns. Finding is one thing and deleting another: a report is written first, and
//! only what a report a day old named, and is an orphan still, may go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::marker::Marked;
use super::row::{Setup, State, columns};
use super::store::read_website;
use super::{Saga, SetupError};
use crate::audit::{Entry, Origin};
use crate::btcpay::StoreId;
use crate::db::{self, DbError, GenericClient, Type, execute, query, query_opt};
use crate::metrics;
use crate::upstream::Provider;
use crate::voltage::{NodeStatus, VoltageNodeId};

/// How old a report must be before what it names may be deleted.
pub const LEAST_AGE: Duration = Duration::days(1);
const SETUPS_AT_A_TIME: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    BtcpayStore,
    VoltageNode,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::BtcpayStore => "btcpay_store",
            Self::VoltageNode => "voltage_node",
        }
    }

    const fn provider(self) -> Provider {
        match self {
            Self::BtcpayStore => Provider::Btcpay,
            Self::VoltageNode => Provider::Voltage,
        }
    }
}

/// One thing at a provider that carries our marker and belongs to no setup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    pub kind: Kind,
    pub id: String,
    pub setup_id: Uuid,
    /// A node with a wallet may hold money.
    pub has_wallet: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub id: Uuid,
    pub orphans: Vec<Orphan>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Lists what is there and keeps what no setup of this deployment owns. A thing without our marker is never in it, nor
/// one that an unfinished setup may yet find.
pub async fn find(saga: &Saga) -> Result<Vec<Orphan>, SetupError> {
    let markers = saga.markers.get().await?;
    let mut marked = Vec::new();
    if let Ok(btcpay) = saga.btcpay() {
        for store in saga.call(Provider::Btcpay, btcpay.list_stores()).await? {
            if let Some(mark) = read_website(&markers, store.website.as_deref()) {
                let orphan = Orphan {
                    kind: Kind::BtcpayStore,
                    id: store.id.to_string(),
                    setup_id: mark.setup_id,
                    has_wallet: false,
                };
                marked.push((mark, orphan));
            }
        }
    }
    if let Ok(voltage) = saga.voltage() {
        for node in saga.call(Provider::Voltage, voltage.list_nodes()).await? {
            if let Some(mark) = markers.read(&node.name).filter(|_| node.status != NodeStatus::Deleted) {
                // One that starts may have been stopped with its wallet.
                let has_wallet = !matches!(node.status, NodeStatus::WaitingInit | NodeStatus::Provisioning);
                let orphan = Orphan {
                    kind: Kind::VoltageNode,
                    id: node.id.to_string(),
                    setup_id: mark.setup_id,
                    has_wallet,
                };
                marked.push((mark, orphan));
            }
        }
    }
    let setups = setups_of(saga, &marked).await?;
    let orphaned = |(mark, orphan): &(Marked, Orphan)| !is_owned(setups.get(&mark.setup_id), *mark, orphan);
    Ok(marked.into_iter().filter(orphaned).map(|(_, orphan)| orphan).collect())
}

async fn setups_of(saga: &Saga, marked: &[(Marked, Orphan)]) -> Result<BTreeMap<Uuid, Setup>, SetupError> {
    let connection = saga.db.connection().await?;
    let ids: Vec<Uuid> = marked.iter().map(|(mark, _)| mark.setup_id).collect();
    let mut setups = BTreeMap::new();
    for some in ids.chunks(SETUPS_AT_A_TIME) {
        let rows = query(
            connection.client(),
            concat!("SELECT ", columns!(), " FROM lightning_setups s WHERE s.id = ANY ($1)"),
            &[(&some, Type::UUID_ARRAY)],
        )
        .await?;
        setups.extend(rows.iter().map(Setup::read).map(|setup| (setup.id, setup)));
    }
    Ok(setups)
}

fn is_owned(setup: Option<&Setup>, mark: Marked, thing: &Orphan) -> bool {
    let Some(setup) = setup.filter(|setup| setup.state != State::Undone) else { return false };
    let recorded = match thing.kind {
        Kind::BtcpayStore => &setup.btcpay_store_id,
        Kind::VoltageNode => &setup.voltage_node_id,
    };
    match recorded {
        Some(id) => *id == thing.id,
        // Its making may be on record and its id not yet: the next run finds it.
        None => thing.kind == Kind::BtcpayStore || mark.generation == setup.generation,
    }
}

/// Finds, writes the report down, and tells of it. An empty one is not kept.
pub async fn report(saga: &Saga, origin: Origin<'_>) -> Result<Report, SetupError> {
    let orphans = find(saga).await?;
    metrics::level("OrphansFound", u64::try_from(orphans.len()).unwrap_or(u64::MAX));
    let now = saga.clock.now();
    let report = Report { id: saga.random.id(now), orphans, created_at: now };
    if report.orphans.is_empty() {
        return Ok(report);
    }
    let mut connection = saga.db.connection().await?;
    let tx = connection.transaction().await?;
    execute(
        &tx,
        "INSERT INTO orphan_reports (id, items, created_at) VALUES ($1, $2, $3)",
        &[(&report.id, Type::UUID), (&json!(report.orphans), Type::JSONB), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let id = report.id.to_string();
    let entry = Entry {
        user_id: None,
        action: "orphans.found",
        resource: ("orphan_report", &id),
        details: json!({ "orphans": report.orphans.len() }),
        origin,
        now,
    };
    saga.audit.append(&tx, &entry).await?;
    db::commit(tx).await?;
    for Orphan { kind, id, setup_id, has_wallet } in &report.orphans {
        tracing::warn!(target: "orphan", report_id = %report.id, kind = kind.name(), id, %setup_id, has_wallet, "no setup owns this");
    }
    Ok(report)
}

/// A report by its id.
pub async fn read(client: &impl GenericClient, id: Uuid) -> Result<Option<Report>, DbError> {
    let row =
        query_opt(client, "SELECT items, created_at FROM orphan_reports WHERE id = $1", &[(&id, Type::UUID)])
            .await?;
    let Some(row) = row else { return Ok(None) };
    let unreadable = |_| DbError::Other("orphan_reports holds a report that this build cannot read".into());
    let orphans = serde_json::from_value(row.get("items")).map_err(unreadable)?;
    Ok(Some(Report { id, orphans, created_at: row.get("created_at") }))
}

/// What became of an orphan of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Deleted,
    /// It has a wallet, and nobody said that it may go with what it holds.
    MayHoldFunds,
    /// It belongs to a setup by now, carries another name, or is gone.
    NoOrphan,
    /// The provider refused, or is away: applied again, the report goes on there.
    Failed {
        code: &'static str,
    },
}

/// Why nothing of a report was deleted.
#[derive(Debug)]
pub enum ApplyError {
    NoSuchReport,
    TooYoung,
    Setup(SetupError),
}

impl<E: Into<SetupError>> From<E> for ApplyError {
    fn from(error: E) -> Self {
        Self::Setup(error.into())
    }
}

/// Deletes what a report named a day ago or more and is an orphan still; nodes with a wallet only if named.
pub async fn apply(
    saga: &Saga,
    report_id: Uuid,
    with_funds: &[String],
    origin: Origin<'_>,
) -> Result<Vec<(Orphan, Fate)>, ApplyError> {
    let now = saga.clock.now();
    let found = {
        let connection = saga.db.connection().await?;
        read(connection.client(), report_id).await?
    };
    let report = found.ok_or(ApplyError::NoSuchReport)?;
    if now - report.created_at < LEAST_AGE {
        return Err(ApplyError::TooYoung);
    }
    let orphans = find(saga).await?;
    let mut fates = Vec::new();
    for named in report.orphans {
        // One that carries another name by now is not the one that was reported.
        let same = |orphan: &&Orphan| {
            (orphan.kind, &orphan.id, orphan.setup_id) == (named.kind, &named.id, named.setup_id)
        };
        let still = orphans.iter().find(same);
        let fate = match still {
            // Nobody looked whether it is there.
            None if !saga.is_configured(named.kind.provider()) => {
                Fate::Failed { code: SetupError::not_configured(named.kind.provider()) }
            }
            None => Fate::NoOrphan,
            Some(orphan) if orphan.has_wallet && !with_funds.contains(&orphan.id) => Fate::MayHoldFunds,
            Some(orphan) => match delete(saga, orphan).await {
                Ok(()) => {
                    note(saga, report_id, orphan, origin).await?;
                    Fate::Deleted
                }
                // One that cannot be deleted must not keep the others.
                Err(SetupError::Upstream(error)) => Fate::Failed { code: error.code },
                Err(error) => return Err(error.into()),
            },
        };
        fates.push((named, fate));
    }
    let connection = saga.db.connection().await?;
    execute(
        connection.client(),
        "UPDATE orphan_reports SET applied_at = $2 WHERE id = $1",
        &[(&report_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(fates)
}

async fn delete(saga: &Saga, orphan: &Orphan) -> Result<(), SetupError> {
    let odd = SetupError::Unusable("ORPHAN_ID_ODD");
    match orphan.kind {
        Kind::BtcpayStore => {
            let id: StoreId = orphan.id.parse().map_err(|_| odd)?;
            saga.call(Provider::Btcpay, saga.btcpay()?.delete_store(&id)).await
        }
        Kind::VoltageNode => {
            let id: VoltageNodeId = orphan.id.parse().map_err(|_| odd)?;
            saga.call(Provider::Voltage, saga.voltage()?.delete_node(&id)).await
        }
    }
}

async fn note(saga: &Saga, report: Uuid, orphan: &Orphan, origin: Origin<'_>) -> Result<(), SetupError> {
    let mut connection = saga.db.connection().await?;
    let tx = connection.transaction().await?;
    let entry = Entry {
        user_id: None,
        action: "orphan.deleted",
        resource: ("orphan", &orphan.id),
        details: json!({ "report": report, "kind": orphan.kind, "setup_id": orphan.setup_id }),
        origin,
        now: saga.clock.now(),
    };
    saga.audit.append(&tx, &entry).await?;
    Ok(db::commit(tx).await?)
}
