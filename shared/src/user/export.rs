//! Everything an account's owner may have of what is kept about them. What is sealed is not among it: those are keys of
//! their wallet and of their sessions, which other endpoints hand over or nobody.
//!
//! The caller has made the transaction see this account's rows. What grows comes in pages, so that the answer stays
//! within what a function may answer: the largest row is an activity of some 9 KB.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Param, Row, Type, query};

/// A place in a list, newest first, and how many rows to read behind it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub rows: i64,
}

/// One of the lists that grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Sessions,
    Activities,
    Invoices,
    Payments,
}

impl Section {
    pub const ALL: [Self; 4] = [Self::Sessions, Self::Activities, Self::Invoices, Self::Payments];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Activities => "activityLogs",
            Self::Invoices => "invoices",
            Self::Payments => "payments",
        }
    }
}

/// A row of a [`Section`], with its place in the list.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub id: Uuid,
    #[serde(rename = "createdAt", with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum What {
    #[serde(rename_all = "camelCase")]
    Session {
        identity_kind: String,
        identity_subject: String,
        pubkey: Option<String>,
        device_id: Option<String>,
        platform: Option<String>,
        ip: Option<IpAddr>,
        user_agent: Option<String>,
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        absolute_expires_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339::option")]
        revoked_at: Option<OffsetDateTime>,
        revoked_reason: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    Activity { session_id: Option<Uuid>, action: String, details: Value, ip: Option<IpAddr> },
    #[serde(rename_all = "camelCase")]
    Invoice { amount_msat: i64, memo: String, state: String, bolt11: Option<String> },
    #[serde(rename_all = "camelCase")]
    Payment {
        provider: String,
        currency: String,
        amount_minor: i64,
        received_minor: i64,
        refunded_minor: i64,
        state: String,
        late: bool,
        entitled: bool,
        #[serde(with = "time::serde::rfc3339")]
        updated_at: OffsetDateTime,
    },
}

/// Reads part of a section.
pub async fn section(
    client: &impl GenericClient,
    (user_id, section): (Uuid, Section),
    part: Part,
) -> Result<Vec<Entry>, DbError> {
    let (at, id) = part.after.unzip();
    let params: [Param<'_>; 4] =
        [(&user_id, Type::UUID), (&at, Type::TIMESTAMPTZ), (&id, Type::UUID), (&part.rows, Type::INT8)];
    let rows = query(client, statement(section), &params).await?;
    let entry = |row: &Row| Entry {
        id: row.get("id"),
        created_at: row.get("created_at"),
        what: match section {
            Section::Sessions => session(row),
            Section::Activities => activity(row),
            Section::Invoices => invoice(row),
            Section::Payments => payment(row),
        },
    };
    Ok(rows.iter().map(entry).collect())
}

/// One page of a table that has an owner, an id and a time.
macro_rules! page_of {
    ($columns:literal, $table:literal) => {
        concat!(
            "SELECT id, created_at, ",
            $columns,
            " FROM ",
            $table,
            " WHERE user_id = $1 AND ($2 IS NULL OR (created_at, id) < ($2, $3))
              ORDER BY created_at DESC, id DESC LIMIT $4"
        )
    };
}

const fn statement(section: Section) -> &'static str {
    match section {
        Section::Sessions => page_of!(
            "identity_kind, identity_subject, pubkey, device_id, platform, ip, user_agent, last_seen_at,
             absolute_expires_at, revoked_at, revoked_reason",
            "sessions"
        ),
        Section::Activities => page_of!("session_id, action, details, ip", "activity_logs"),
        Section::Invoices => page_of!("amount_msat, memo, state, bolt11", "invoices"),
        Section::Payments => page_of!(
            "provider, currency, amount_minor, received_minor, refunded_minor, state, late, entitled, updated_at",
            "payments"
        ),
    }
}

fn session(row: &Row) -> What {
    What::Session {
        identity_kind: row.get("identity_kind"),
        identity_subject: row.get("identity_subject"),
        pubkey: row.get("pubkey"),
        device_id: row.get("device_id"),
        platform: row.get("platform"),
        ip: row.get("ip"),
        user_agent: row.get("user_agent"),
        last_seen_at: row.get("last_seen_at"),
        absolute_expires_at: row.get("absolute_expires_at"),
        revoked_at: row.get("revoked_at"),
        revoked_reason: row.get("revoked_reason"),
    }
}

fn activity(row: &Row) -> What {
    What::Activity {
        session_id: row.get("session_id"),
        action: row.get("action"),
        details: row.get("details"),
        ip: row.get("ip"),
    }
}

fn invoice(row: &Row) -> What {
    What::Invoice {
        amount_msat: row.get("amount_msat"),
        memo: row.get("memo"),
        state: row.get("state"),
        bolt11: row.get("bolt11"),
    }
}

fn payment(row: &Row) -> What {
    What::Payment {
        provider: row.get("provider"),
        currency: row.get("currency"),
        amount_minor: row.get("amount_minor"),
        received_minor: row.get("received_minor"),
        refunded_minor: row.get("refunded_minor"),
        state: row.get("state"),
        late: row.get("late"),
        entitled: row.get("entitled"),
        updated_at: row.get("updated_at"),
    }
}

/// A way the account is, or was, signed in to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub kind: String,
    pub subject: String,
    pub label: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub verified_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub retired_at: Option<OffsetDateTime>,
}

/// The node the account registered, and the address it is paid at.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lightning {
    pub node_id: Option<String>,
    pub node_pubkey: Option<String>,
    pub node_endpoint: Option<String>,
    pub address: Option<String>,
    pub store_id: Option<String>,
}

/// A subscription the account bought.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    pub provider: String,
    pub id: String,
    pub status: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub current_period_end_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// So many rows of what does not grow by itself stand in one answer at most.
const FEW: i64 = 200;

pub async fn identities(client: &impl GenericClient, user_id: Uuid) -> Result<Vec<Identity>, DbError> {
    let rows = query(
        client,
        "SELECT kind, subject, label, created_at, verified_at, retired_at FROM identities
         WHERE user_id = $1 ORDER BY created_at, kind, subject LIMIT $2",
        &[(&user_id, Type::UUID), (&FEW, Type::INT8)],
    )
    .await?;
    let read = |row: &Row| Identity {
        kind: row.get("kind"),
        subject: row.get("subject"),
        label: row.get("label"),
        created_at: row.get("created_at"),
        verified_at: row.get("verified_at"),
        retired_at: row.get("retired_at"),
    };
    Ok(rows.iter().map(read).collect())
}

pub async fn subscriptions(client: &impl GenericClient, user_id: Uuid) -> Result<Vec<Subscription>, DbError> {
    let rows = query(
        client,
        "SELECT provider, subscription_id, status, current_period_end_at, created_at FROM subscriptions
         WHERE user_id = $1 ORDER BY created_at DESC, subscription_id LIMIT $2",
        &[(&user_id, Type::UUID), (&FEW, Type::INT8)],
    )
    .await?;
    let read = |row: &Row| Subscription {
        provider: row.get("provider"),
        id: row.get("subscription_id"),
        status: row.get("status"),
        current_period_end_at: row.get("current_period_end_at"),
        created_at: row.get("created_at"),
    };
    Ok(rows.iter().map(read).collect())
}

pub async fn lightning(client: &impl GenericClient, user_id: Uuid) -> Result<Option<Lightning>, DbError> {
    let rows = query(
        client,
        "SELECT n.node_id, n.pubkey, n.endpoint, a.address, a.btcpay_store_id
         FROM (SELECT user_id, node_id, pubkey, endpoint FROM nodes WHERE user_id = $1) n
         FULL JOIN (SELECT user_id, address, btcpay_store_id FROM lightning_addresses WHERE user_id = $1) a
             ON a.user_id = n.user_id",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(rows.first().map(|row| Lightning {
        node_id: row.get("node_id"),
        node_pubkey: row.get("pubkey"),
        node_endpoint: row.get("endpoint"),
        address: row.get("address"),
        store_id: row.get("btcpay_store_id"),
    }))
}
