//! Events as they stand in the inbox after a while, written there in bulk: ids that begin with their time, of several
//! types and several accounts, over the 90 days for which they are kept.

use super::events::DIGITS;
use super::ground::Ground;
use anyhow::Result;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows of one statement.
const AT_ONCE: u64 = 100_000;
/// Accounts connected to ours, and stores, that also have events.
pub const SENDERS: u64 = 500;
pub const DUE: u64 = 200;
pub const DEAD: u64 = 100;

/// The inbox holds so many rows, of about 100 bytes that were told. `DUE` wait and `DEAD` were given up.
pub async fn fill(ground: &Ground, count: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    let some = async || -> Result<()> {
        let admin = ground.db.admin().await?;
        admin.batch_execute("SET synchronous_commit = off").await?;
        loop {
            let first = next.fetch_add(AT_ONCE, Ordering::Relaxed);
            if first >= count {
                return Ok(());
            }
            admin.batch_execute(&rows(first, count.min(first + AT_ONCE), count)).await?;
        }
    };
    // One for each core of a small machine.
    tokio::try_join!(some(), some())?;
    ground.settle().await
}

/// Every hundredth is a connected account's, and every hundredth a store's.
fn rows(first: u64, end: u64, count: u64) -> String {
    let digit = |power: u64| format!("substr('{DIGITS}', (s / {power} % 62 + 1)::int, 1)");
    let time = [916_132_832, 14_776_336, 238_328, 3_844, 62, 1].map(digit).join(" || ");
    let (waits, dead) = (count - DUE, count - DUE - DEAD);
    format!(
        "INSERT INTO webhook_events
             (id, provider, account, webhook_id, event_id, type, object_id, livemode, api_version, occurred_at,
              body_sealed, state, attempts, due_at, last_error_code, finished_at, received_at)
         SELECT (lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0') || '7' || substr(lot, 1, 3) || '8'
                     || substr(lot, 4, 15))::uuid,
                CASE WHEN n % 100 = 1 THEN 'btcpay' ELSE 'stripe' END,
                CASE n % 100 WHEN 0 THEN 'acct_1Bench' || n / 100 % {SENDERS} WHEN 1 THEN 'store' || n / 100 % {SENDERS}
                    ELSE '' END,
                CASE WHEN n % 100 = 1 THEN 'hook' || n / 100 % {SENDERS} ELSE '' END,
                CASE WHEN n % 100 = 1 THEN lot ELSE 'evt_1' || id END,
                CASE WHEN n % 100 = 1 THEN 'InvoiceSettled' ELSE
                    (ARRAY['payment_intent.succeeded', 'charge.succeeded', 'checkout.session.completed', 'refund.created',
                           'customer.subscription.updated', 'product.updated'])[1 + n % 6] END,
                CASE WHEN n % 100 = 1 THEN substr(lot, 1, 22) ELSE
                    (ARRAY['pi_3', 'ch_3', 'cs_1', 're_3', 'sub_1', 'prod_'])[1 + n % 6] || id END,
                CASE WHEN n % 100 <> 1 THEN false END, CASE WHEN n % 100 <> 1 THEN '2026-10-28.endive' END, t,
                decode(repeat('5a', 133), 'hex'),
                CASE WHEN n >= {waits} THEN 'received' WHEN n >= {dead} THEN 'dead' WHEN n % 6 = 5 THEN 'ignored'
                    ELSE 'done' END,
                0, CASE WHEN n >= {waits} THEN t END,
                CASE WHEN n >= {waits} THEN NULL WHEN n >= {dead} THEN 'UNREADABLE' WHEN n % 6 = 5 THEN 'UNKNOWN_TYPE' END,
                CASE WHEN n < {waits} THEN t END, t
         FROM (SELECT n, t, lot, {time} || 'BenchAcct' || substr(lot, 20, 8) AS id
               FROM (SELECT n, t, extract(epoch FROM t)::bigint AS s, replace(gen_random_uuid()::text, '-', '') AS lot
                     FROM (SELECT n, now() - interval '1 hour' - interval '90 days' * (1 - n / {count}.0::float8) AS t
                           FROM generate_series({first}::bigint, {}) AS n) AS numbered OFFSET 0) AS drawn OFFSET 0) AS named",
        end - 1
    )
}
