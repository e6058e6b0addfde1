//! The audit log: append-only rows in chains, one chain per account and [`SYSTEM_CHAINS`] for the rest.
//!
//! A row's link is an HMAC over the link before it and all the row says, so a row changed, taken out or put in
//! breaks its chain there. Heads sealed now and then say how long a chain was, so a tail cut off shows too.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::crypto::{Secret, mac, sha256};
use crate::db::{DbError, GenericClient, Row, Type, execute, query, query_one};
use crate::metrics;
use crate::random::Random;

const SYSTEM_CHAINS: u8 = 64;
/// Rows read at a time by the verifier.
const PAGE: i64 = 1_000;

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
        if key.iter().all(|byte| *byte == key[0]) { Err("is one repeated byte") } else { Ok(Self(document.key)) }
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
    pub ip: Option<IpAddr>,
    pub request_id: &'a str,
    pub now: OffsetDateTime,
}

struct LogRow {
    chain: String,
    seq: i64,
    id: Uuid,
    user_id: Option<Uuid>,
    action: String,
    resource_type: String,
    resource_id: String,
    details: String,
    ip: Option<IpAddr>,
    request_id: String,
    created_at: OffsetDateTime,
}

impl LogRow {
    fn link(&self, key: &AuditKey, previous: &[u8]) -> [u8; 32] {
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
        ip: entry.ip,
        request_id: entry.request_id.to_owned(),
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

fn head_seal(key: &AuditKey, chain: &str, count: i64, link: &[u8]) -> [u8; 32] {
    mac(&key.0, &[b"head", chain.as_bytes(), &count.to_be_bytes(), link])
}

/// Seals the head of every chain that grew since its last seal, and returns how many.
pub async fn seal_heads(
    client: &impl GenericClient,
    key: &AuditKey,
    now: OffsetDateTime,
) -> Result<usize, DbError> {
    let mut sealed = 0;
    loop {
        let grown = query(
            client,
            "SELECT c.chain, c.count, c.link FROM audit_chains c
             WHERE c.count > 0
               AND NOT EXISTS (SELECT FROM audit_heads h WHERE h.chain = c.chain AND h.count = c.count)
             LIMIT $1",
            &[(&PAGE, Type::INT8)],
        )
        .await?;
        for head in &grown {
            let (chain, count, link): (&str, i64, &[u8]) = (head.get(0), head.get(1), head.get(2));
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
        }
        sealed += grown.len();
        if grown.is_empty() {
            return Ok(sealed);
        }
    }
}

/// The first place where the log is not what was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub chain: String,
    pub seq: i64,
    pub problem: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {}, row {}: {}", self.chain, self.seq, self.problem)
    }
}

/// How much of the log was found to be as written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub chains: u64,
    pub rows: u64,
    pub heads: u64,
}

/// Walks every chain and every sealed head.
pub async fn verify(client: &impl GenericClient, key: &AuditKey) -> Result<Result<Verified, Broken>, DbError> {
    let outcome = walk(client, key).await?;
    if outcome.is_err() {
        metrics::count("AuditGap");
    }
    Ok(outcome)
}

async fn walk(client: &impl GenericClient, key: &AuditKey) -> Result<Result<Verified, Broken>, DbError> {
    let mut verified = Verified::default();
    let chains = query(
        client,
        "SELECT chain FROM audit_chains UNION SELECT chain FROM audit_heads UNION SELECT chain FROM audit_logs
         ORDER BY chain",
        &[],
    )
    .await?;
    for row in chains {
        let chain: &str = row.get("chain");
        match walk_chain(client, key, chain, &mut verified).await? {
            Ok(()) => verified.chains += 1,
            Err(broken) => return Ok(Err(broken)),
        }
    }
    Ok(Ok(verified))
}

async fn walk_chain(
    client: &impl GenericClient,
    key: &AuditKey,
    chain: &str,
    verified: &mut Verified,
) -> Result<Result<(), Broken>, DbError> {
    let broken = |seq, problem| Ok(Err(Broken { chain: chain.to_owned(), seq, problem }));
    let heads = query(
        client,
        "SELECT count, link, seal FROM audit_heads WHERE chain = $1
         UNION ALL SELECT count, link, NULL FROM audit_chains WHERE chain = $1
         ORDER BY count",
        &[(&chain, Type::TEXT)],
    )
    .await?;
    let mut heads = heads.iter().peekable();
    let mut previous: Vec<u8> = Vec::new();
    let mut seq = 0;
    loop {
        let page = read_page(client, chain, seq).await?;
        for (row, link) in &page {
            seq += 1;
            if row.seq != seq {
                return broken(seq, "is missing");
            }
            if row.link(key, &previous) != link.as_slice() {
                return broken(seq, "is not what was written");
            }
            previous.clone_from(link);
            while let Some(head) = heads.next_if(|head| head.get::<_, i64>("count") == seq) {
                if head.get::<_, &[u8]>("link") != previous {
                    return broken(seq, "is not the row its head names");
                }
                if let Some(seal) = head.get::<_, Option<&[u8]>>("seal") {
                    if seal != head_seal(key, chain, seq, &previous) {
                        return broken(seq, "has a head that was not sealed by us");
                    }
                    verified.heads += 1;
                }
            }
            verified.rows += 1;
        }
        if page.is_empty() {
            break;
        }
    }
    match heads.find(|head| head.get::<_, i64>("count") > 0) {
        Some(_) => broken(seq + 1, "is missing from the end"),
        None => Ok(Ok(())),
    }
}

async fn read_page(
    client: &impl GenericClient,
    chain: &str,
    after: i64,
) -> Result<Vec<(LogRow, Vec<u8>)>, DbError> {
    let rows = query(
        client,
        "SELECT chain, seq, id, user_id, action, resource_type, resource_id, details::text AS details,
                ip, request_id, created_at, link
         FROM audit_logs WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        &[(&chain, Type::TEXT), (&after, Type::INT8), (&PAGE, Type::INT8)],
    )
    .await?;
    Ok(rows.into_iter().map(|row| (LogRow::from(&row), row.get("link"))).collect())
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
