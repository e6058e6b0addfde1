use serde::Serialize;
use time::OffsetDateTime;

use super::AuditKey;
use super::verify::walk_chain;
use crate::crypto::mac;
use crate::db::{DbError, GenericClient, Type, execute, query};
use crate::metrics;

/// Chains looked at at a time.
const PAGE: i64 = 1_000;

/// What one round of sealing found.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Sealed {
    /// Chains that had grown, were found whole, and have a new head.
    pub sealed: u64,
    /// Chains that are not what was written. They keep their last head.
    pub broken: u64,
}

pub(super) fn head_seal(key: &AuditKey, chain: &str, count: i64, link: &[u8]) -> [u8; 32] {
    mac(&key.0, &[b"head", chain.as_bytes(), &count.to_be_bytes(), link])
}

/// Checks every chain that grew since its last seal, from there to its end, and seals its new head.
pub async fn seal_heads(
    client: &impl GenericClient,
    key: &AuditKey,
    now: OffsetDateTime,
) -> Result<Sealed, DbError> {
    let mut done = Sealed::default();
    let mut after = String::new();
    loop {
        let grown = query(
            client,
            "SELECT c.chain, c.count, c.link, COALESCE(h.count, 0) AS sealed_count
             FROM (
                 -- A chain that has heads and is gone counts as one that shrank to nothing.
                 SELECT chain, count, link FROM audit_chains
                 UNION ALL
                 SELECT DISTINCT h.chain, 0::bigint, ''::bytea FROM audit_heads h
                 WHERE NOT EXISTS (SELECT FROM audit_chains c WHERE c.chain = h.chain)
             ) c
             LEFT JOIN LATERAL (
                 SELECT count FROM audit_heads h WHERE h.chain = c.chain ORDER BY count DESC LIMIT 1
             ) h ON true
             WHERE c.chain > $1 AND c.count <> COALESCE(h.count, 0)
             ORDER BY c.chain LIMIT $2",
            &[(&after, Type::TEXT), (&PAGE, Type::INT8)],
        )
        .await?;
        let Some(last) = grown.last() else { return Ok(done) };
        after = last.get("chain");
        for row in &grown {
            let (chain, count, link): (&str, i64, &[u8]) =
                (row.get("chain"), row.get("count"), row.get("link"));
            match walk_chain(client, key, chain, row.get("sealed_count")).await? {
                Ok(_) => {
                    insert_head(client, key, (chain, count, link), now).await?;
                    done.sealed += 1;
                }
                Err(broken) => {
                    tracing::error!(target: "audit", %broken, "the audit log is not what was written");
                    metrics::count("AuditGap");
                    done.broken += 1;
                }
            }
        }
    }
}

async fn insert_head(
    client: &impl GenericClient,
    key: &AuditKey,
    (chain, count, link): (&str, i64, &[u8]),
    now: OffsetDateTime,
) -> Result<(), DbError> {
    execute(
        client,
        "INSERT INTO audit_heads (chain, count, link, sealed_at, seal) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT audit_heads_pkey DO NOTHING",
        &[
            (&chain, Type::TEXT),
            (&count, Type::INT8),
            (&link, Type::BYTEA),
            (&now, Type::TIMESTAMPTZ),
            (&head_seal(key, chain, count, link).as_slice(), Type::BYTEA),
        ],
    )
    .await?;
    Ok(())
}
