use std::net::IpAddr;

use time::OffsetDateTime;
use uuid::Uuid;

use super::AuditKey;
use crate::crypto::mac;
use crate::db::Row;

/// A row of `audit_logs`, all but its link.
pub(super) struct LogRow {
    pub(super) chain: String,
    pub(super) seq: i64,
    pub(super) id: Uuid,
    pub(super) user_id: Option<Uuid>,
    pub(super) action: String,
    pub(super) resource_type: String,
    pub(super) resource_id: String,
    pub(super) details: String,
    pub(super) ip: Option<IpAddr>,
    pub(super) request_id: String,
    pub(super) created_at: OffsetDateTime,
}

impl LogRow {
    pub(super) fn link(&self, key: &AuditKey, previous: &[u8]) -> [u8; 32] {
        let user_id = self.user_id.map_or_else(String::new, |id| id.to_string());
        let ip = self.ip.map_or_else(String::new, |ip| ip.to_string());
        let micros = self.created_at.unix_timestamp_nanos() / 1_000;
        mac(
            &key.0,
            &[
                b"row",
                previous,
                self.chain.as_bytes(),
                &self.seq.to_be_bytes(),
                self.id.as_bytes(),
                user_id.as_bytes(),
                self.action.as_bytes(),
                self.resource_type.as_bytes(),
                self.resource_id.as_bytes(),
                self.details.as_bytes(),
                ip.as_bytes(),
                self.request_id.as_bytes(),
                &micros.to_be_bytes(),
            ],
        )
    }
}

impl LogRow {
    /// The row as it stands, or `None` when it holds what [`super::append`] cannot have written.
    pub(super) fn read(row: &Row) -> Option<Self> {
        let ip: Option<&str> = row.try_get("ip").ok()?;
        Some(Self {
            chain: row.try_get("chain").ok()?,
            seq: row.try_get("seq").ok()?,
            id: row.try_get("id").ok()?,
            user_id: row.try_get("user_id").ok()?,
            action: row.try_get("action").ok()?,
            resource_type: row.try_get("resource_type").ok()?,
            resource_id: row.try_get("resource_id").ok()?,
            details: row.try_get("details").ok()?,
            ip: match ip {
                Some(text) => Some(address(text)?),
                None => None,
            },
            request_id: row.try_get("request_id").ok()?,
            // 'infinity' is a time to Postgres and to nobody else.
            created_at: row.try_get("created_at").ok()?,
        })
    }
}

/// One host's address: a network, which `inet` may hold as well, is none.
fn address(text: &str) -> Option<IpAddr> {
    let (host, bits) = text.split_once('/')?;
    let ip: IpAddr = host.parse().ok()?;
    (bits == if ip.is_ipv4() { "32" } else { "128" }).then_some(ip)
}
