//! The audit log: append-only rows in chains, one chain per account and [`SYSTEM_CHAINS`] for the rest.
//!
//! A row's link is an HMAC over the link before it and all the row says, so a row changed, taken out or put in
//! breaks its chain there. Heads sealed now and then say how long a chain was, so a tail cut off shows too.

mod row;
mod seal;
mod verify;

pub use seal::{Sealed, seal_heads};
pub use verify::{Broken, Verified, verify};

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::Config;
use crate::crypto::{Secret, sha256};
use crate::db::{DbError, GenericClient, Type, execute, query_one};
use crate::random::Random;
use crate::secrets::{SecretError, SecretHandle};
use row::LogRow;

const SYSTEM_CHAINS: u8 = 64;

/// The secret document `satchel/audit`.
#[derive(Deserialize)]
pub struct AuditDocument {
    key: Secret<[u8; 32]>,
}

/// The key that links rows. Whoever lacks it cannot make a chain that verifies.
pub struct AuditKey(Secret<[u8; 32]>);

impl TryFrom<AuditDocument> for AuditKey {
    type Error = &'static str;

    fn try_from(document: AuditDocument) -> Result<Self, Self::Error> {
        let key = document.key.expose();
        if key.iter().all(|byte| *byte == key[0]) {
            Err("is one repeated byte")
        } else {
            Ok(Self(document.key))
        }
    }
}

/// What happened, to be written in the transaction in which it happens.
pub struct Entry<'a> {
    /// The account it happened to; its chain takes the row.
    pub user_id: Option<Uuid>,
    pub action: &'static str,
    pub resource: (&'static str, &'a str),
    /// Nothing secret: the log is read by people.
    pub details: Value,
    pub origin: Origin<'a>,
    pub now: OffsetDateTime,
}

/// The request that made it happen.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub ip: Option<IpAddr>,
    pub request_id: &'a str,
}

/// Why a row was not written. The transaction it belongs to must not be committed.
#[derive(Debug)]
pub enum AuditError {
    Secret(SecretError),
    Db(DbError),
}

/// Writes audit rows for a function.
pub struct Auditor {
    key: SecretHandle<AuditKey>,
    random: Random,
}

impl Auditor {
    /// Wires `AUDIT_SECRET`.
    pub fn wire(config: &mut Config) -> Self {
        Self { key: config.secret::<AuditDocument, AuditKey>("AUDIT_SECRET"), random: config.random() }
    }

    /// Appends one row, in the transaction of what it tells of.
    pub async fn append(&self, client: &impl GenericClient, entry: &Entry<'_>) -> Result<(), AuditError> {
        let key = self.key.get().await.map_err(AuditError::Secret)?;
        append(client, &key, entry, &self.random).await.map_err(AuditError::Db)
    }
}

/// Appends one row. The chain stays locked until the transaction ends.
pub async fn append(
    client: &impl GenericClient,
    key: &AuditKey,
    entry: &Entry<'_>,
    random: &Random,
) -> Result<(), DbError> {
    let chain = entry.user_id.map_or_else(|| system_chain(entry.resource.1), |id| id.to_string());
    let head = query_one(
        client,
        "INSERT INTO audit_chains AS c (chain) VALUES ($1)
         ON CONFLICT (chain) DO UPDATE SET count = c.count
         RETURNING count, link",
        &[(&chain, Type::TEXT)],
    )
    .await?;
    let row = LogRow {
        chain,
        seq: head.get::<_, i64>("count") + 1,
        id: random.id(entry.now),
        user_id: entry.user_id,
        action: entry.action.to_owned(),
        resource_type: entry.resource.0.to_owned(),
        resource_id: entry.resource.1.to_owned(),
        details: entry.details.to_string(),
        ip: entry.origin.ip,
        request_id: entry.origin.request_id.to_owned(),
        created_at: entry.now,
    };
    let link = row.link(key, head.get("link"));
    execute(
        client,
        "WITH grown AS (UPDATE audit_chains SET count = $2, link = $12 WHERE chain = $1)
         INSERT INTO audit_logs
             (chain, seq, id, user_id, action, resource_type, resource_id, details, ip, request_id, created_at, link)
         VALUES ($1, $2, $3, $4, $5, $6, $7, CAST($8 AS json), $9, $10, $11, $12)",
        &[
            (&row.chain, Type::TEXT),
            (&row.seq, Type::INT8),
            (&row.id, Type::UUID),
            (&row.user_id, Type::UUID),
            (&row.action, Type::TEXT),
            (&row.resource_type, Type::TEXT),
            (&row.resource_id, Type::TEXT),
            (&row.details, Type::TEXT),
            (&row.ip, Type::INET),
            (&row.request_id, Type::TEXT),
            (&row.created_at, Type::TIMESTAMPTZ),
            (&link.as_slice(), Type::BYTEA),
        ],
    )
    .await?;
    Ok(())
}

fn system_chain(resource_id: &str) -> String {
    format!("system:{:02}", sha256(resource_id.as_bytes())[0] % SYSTEM_CHAINS)
}
