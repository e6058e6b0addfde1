use std::fmt;
use std::iter::Peekable;

use super::AuditKey;
use super::row::LogRow;
use super::seal::head_seal;
use crate::db::{DbError, GenericClient, Row, Type, query};

/// Rows read at a time.
const PAGE: i64 = 1_000;

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

/// Walks every chain from its first row, and every sealed head.
pub async fn verify(
    client: &impl GenericClient,
    key: &AuditKey,
) -> Result<Result<Verified, Broken>, DbError> {
    let mut verified = Verified::default();
    let chains = query(
        client,
        "SELECT chain FROM audit_chains UNION SELECT chain FROM audit_heads UNION SELECT chain FROM audit_logs
         ORDER BY chain",
        &[],
    )
    .await?;
    for row in chains {
        match walk_chain(client, key, row.get("chain"), 0).await? {
            Ok(walked) => {
                verified.chains += 1;
                verified.rows += walked.rows;
                verified.heads += walked.heads;
            }
            Err(broken) => return Ok(Err(broken)),
        }
    }
    Ok(Ok(verified))
}

/// What was found whole of one chain.
pub(super) struct Walked {
    rows: u64,
    heads: u64,
}

/// Walks one chain after row `sealed`, a row with a sealed head (or 0, the beginning), to its end.
pub(super) async fn walk_chain(
    client: &impl GenericClient,
    key: &AuditKey,
    chain: &str,
    sealed: i64,
) -> Result<Result<Walked, Broken>, DbError> {
    let broken = |seq, problem| Ok(Err(Broken { chain: chain.to_owned(), seq, problem }));
    let heads = query(
        client,
        "SELECT count, link, seal FROM audit_heads WHERE chain = $1 AND count >= $2
         UNION ALL SELECT count, link, NULL FROM audit_chains WHERE chain = $1
         ORDER BY count",
        &[(&chain, Type::TEXT), (&sealed, Type::INT8)],
    )
    .await?;
    let mut heads = heads.iter().filter(|head| head.get::<_, i64>("count") > 0).peekable();
    let (mut seq, mut previous, mut walked) = (sealed, Vec::new(), Walked { rows: 0, heads: 0 });
    // From the very first row there can be: one numbered 0 or less was put in.
    let mut page = read_page(client, chain, if sealed > 0 { sealed } else { i64::MIN }).await?;
    if sealed > 0 {
        // The row the sealed head names was checked when it was sealed; only that it is still that row matters.
        match page.first() {
            Some((found, _, link)) if *found == sealed => previous.clone_from(link),
            _ => return broken(sealed, "is missing"),
        }
        page.remove(0);
        if let Some(problem) = check_heads(&mut heads, key, (chain, sealed, &previous), &mut walked) {
            return broken(sealed, problem);
        }
    }
    while !page.is_empty() {
        for (found, row, link) in &page {
            seq += 1;
            if *found < seq {
                return broken(*found, "was put in");
            }
            if *found > seq {
                return broken(seq, "is missing");
            }
            if row.as_ref().is_none_or(|row| row.link(key, &previous) != link.as_slice()) {
                return broken(seq, "is not what was written");
            }
            previous.clone_from(link);
            if let Some(problem) = check_heads(&mut heads, key, (chain, seq, &previous), &mut walked) {
                return broken(seq, problem);
            }
            walked.rows += 1;
        }
        page = read_page(client, chain, seq + 1).await?;
    }
    match heads.next() {
        Some(_) => broken(seq + 1, "is missing from the end"),
        None => Ok(Ok(walked)),
    }
}

/// Compares every head at this row with it; a row past the last head has none.
fn check_heads<'a>(
    heads: &mut Peekable<impl Iterator<Item = &'a Row>>,
    key: &AuditKey,
    (chain, seq, link): (&str, i64, &[u8]),
    walked: &mut Walked,
) -> Option<&'static str> {
    while let Some(head) = heads.next_if(|head| head.get::<_, i64>("count") == seq) {
        if head.get::<_, &[u8]>("link") != link {
            return Some("is not the row its head names");
        }
        if let Some(seal) = head.get::<_, Option<&[u8]>>("seal") {
            if seal != head_seal(key, chain, seq, link) {
                return Some("has a head that was not sealed by us");
            }
            walked.heads += 1;
        }
    }
    None
}

/// The next rows from number `from` on: number, row (if it can be one of ours), link.
async fn read_page(
    client: &impl GenericClient,
    chain: &str,
    from: i64,
) -> Result<Vec<(i64, Option<LogRow>, Vec<u8>)>, DbError> {
    let rows = query(
        client,
        "SELECT chain, seq, id, user_id, action, resource_type, resource_id, details::text AS details,
                text(ip) AS ip, request_id, created_at, link
         FROM audit_logs WHERE chain = $1 AND seq >= $2 ORDER BY seq LIMIT $3",
        &[(&chain, Type::TEXT), (&from, Type::INT8), (&PAGE, Type::INT8)],
    )
    .await?;
    Ok(rows.iter().map(|row| (row.get("seq"), LogRow::read(row), row.get("link"))).collect())
}
