//! Every row of a log, tampered with alone: the verifier finds each and names it.

use shared::audit::{self, Broken};
use testing::Result;
use tokio_postgres::{Client, Transaction};

use crate::audit::{Log, copy, cut, insert_after, swap};

/// One change to each column that says something, or that holds the chain together.
const ALTERATIONS: [&str; 15] = [
    "id = gen_random_uuid()",
    "user_id = gen_random_uuid()",
    "action = action || ' '",
    "resource_type = 'payment'",
    "resource_id = ''",
    "details = CAST(replace(details::text, 'as written', 'rewritten') AS json)",
    "details = CAST(details::text || ' ' AS json)",
    "ip = '203.0.113.8'",
    "ip = set_masklen(COALESCE(ip, '203.0.113.7'), 24)",
    "request_id = 'another'",
    "created_at = created_at + interval '1 microsecond'",
    "created_at = 'infinity'",
    "created_at = '-infinity'",
    "link = decode(md5(link::text) || md5(link::text), 'hex')",
    "link = ''",
];

async fn found(transaction: &Transaction<'_>, log: &Log) -> Result<Option<Broken>> {
    Ok(audit::verify(transaction, &log.key).await?.err())
}

/// Tampers in a transaction that is taken back, and expects the verifier to name this very row.
macro_rules! finds {
    ($client:expr, $log:expr, $chain:expr, $seq:expr, $what:expr, |$transaction:ident| $tamper:expr) => {{
        let $transaction = $client.transaction().await?;
        $tamper;
        let named = found(&$transaction, $log).await?.map(|broken| (broken.chain, broken.seq));
        assert_eq!(named, Some(($chain.to_owned(), $seq)), "{}", $what);
        $transaction.rollback().await?;
    }};
}

async fn log_and_administrator() -> Result<(Log, Client)> {
    let log = Log::write().await?;
    let client = log.world.db.admin().await?;
    assert!(log.rows.len() >= 300, "{}", log.rows.len());
    Ok((log, client))
}

#[tokio::test]
async fn any_one_row_taken_out_is_named() -> Result<()> {
    let (log, mut client) = log_and_administrator().await?;
    for (chain, seq) in &log.rows {
        let delete = format!("DELETE FROM audit_logs WHERE chain = '{chain}' AND seq = {seq}");
        finds!(client, &log, chain, *seq, delete, |tx| tx.batch_execute(&delete).await?);
    }
    Ok(())
}

#[tokio::test]
async fn any_one_row_changed_is_named() -> Result<()> {
    let (log, mut client) = log_and_administrator().await?;
    for (at, (chain, seq)) in log.rows.iter().enumerate() {
        let change = ALTERATIONS[at % ALTERATIONS.len()];
        let alter = format!("UPDATE audit_logs SET {change} WHERE chain = '{chain}' AND seq = {seq}");
        finds!(client, &log, chain, *seq, alter, |tx| tx.batch_execute(&alter).await?);
    }
    Ok(())
}

#[tokio::test]
async fn any_one_row_put_in_is_named() -> Result<()> {
    let (log, mut client) = log_and_administrator().await?;
    for (chain, seq) in &log.rows {
        let what = format!("a copy behind row {seq} of {chain}");
        finds!(client, &log, chain, seq + 1, what, |tx| insert_after(&tx, chain, *seq).await?);
    }
    let (chain, _) = log.long_chain();
    for outside in [0, -1, i64::MIN] {
        let what = format!("a copy at {outside}");
        finds!(client, &log, chain, outside, what, |tx| copy(&tx, chain, 1, outside).await?);
    }
    Ok(())
}

#[tokio::test]
async fn any_two_neighbours_swapped_are_named_by_the_first() -> Result<()> {
    let (log, mut client) = log_and_administrator().await?;
    for pair in log.rows.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let [(chain, one), (_, other)] = pair else { continue };
        let what = format!("rows {one} and {other} of {chain}");
        finds!(client, &log, chain, *one, what, |tx| swap(&tx, chain, *one, *other).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_tail_cut_off_with_its_chains_count_is_named_by_its_first_row() -> Result<()> {
    let (log, mut client) = log_and_administrator().await?;
    for (chain, seq) in &log.rows {
        // The chain's own last row and count agree with each other: a sealed head remembers more.
        let last = log.rows.iter().filter(|(of, _)| of == chain).map(|(_, seq)| *seq).max();
        if Some(*seq) == last {
            continue;
        }
        let what = format!("{chain} after row {seq}");
        finds!(client, &log, chain, seq + 1, what, |tx| cut(&tx, chain, *seq).await?);
    }
    let (chain, _) = log.long_chain();
    finds!(client, &log, chain, 1, "a whole chain", |tx| {
        let whole = format!("DELETE FROM audit_logs WHERE chain = '{chain}';");
        tx.batch_execute(&format!("{whole} DELETE FROM audit_chains WHERE chain = '{chain}'")).await?;
    });
    Ok(())
}
