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

impl From<&Row> for LogRow {
    fn from(row: &Row) -> Self {
        Self {
            chain: row.get("chain"),
            seq: row.get("seq"),
            id: row.get("id"),
            user_id: row.get("user_id"),
            action: row.get("action"),
            resource_type: row.get("resource_type"),
            resource_id: row.get("resource_id"),
            details: row.get("details"),
            ip: row.get("ip"),
            request_id: row.get("request_id"),
            created_at: row.get("created_at"),
        }
    }
}
