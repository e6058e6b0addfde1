//! Setups as they stand in the database after a while, written there in bulk.

use anyhow::Result;
use std::ops::Range;
use tokio_postgres::Client;

/// Numbers of the finished, out of the others' way.
const FINISHED: u64 = 2_000_000_000;
/// Of the finished, how many have all their rows.
const WHOLE: u64 = 100_000;
/// Whose rows the statements are about, in place of each account and setup.
const ID: &str = "lpad(n::text, 32, '0')::uuid";

/// Without the look-ups of foreign keys, which nobody measures here.
async fn write(admin: &Client, numbers: &Range<u64>, statements: &[&str]) -> Result<()> {
    if numbers.is_empty() {
        return Ok(());
    }
    let series = format!("generate_series({}, {}) AS n", numbers.start, numbers.end - 1);
    let sql = statements.iter().map(|sql| sql.replace("$numbers", &series).replace("$id", ID));
    let sql = sql.collect::<Vec<_>>().join(";");
    Ok(admin
        .batch_execute(&format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT"))
        .await?)
}

/// Begun a moment ago, and left to the resumer.
pub async fn due(admin: &Client, numbers: Range<u64>) -> Result<()> {
    write(
        admin,
        &numbers,
        &[
            "INSERT INTO lightning_setups (id, user_id, username, address, node_source, state, step, due_at, created_at,
                 updated_at)
             SELECT $id, $id, 'u' || n, 'u' || n || '@pay.example.com', 'voltage', 'running', 'create_node',
                    now() - interval '1 second' * (n % 50), now(), now()
             FROM $numbers",
            "INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
             SELECT $id, $id, 'create_node', 'begun', 0, now() FROM $numbers",
        ],
    )
    .await
}

/// Long finished and looked through; the first [`WHOLE`] with everything a setup leaves behind, the others with what
/// is asked for when one looks for work.
pub async fn finished(admin: &Client, count: u64) -> Result<()> {
    for first in (0..count).step_by(usize::try_from(WHOLE)?) {
        let numbers = FINISHED + first..FINISHED + count.min(first + WHOLE);
        write(admin, &numbers, &FINISHED_SETUPS).await?;
        if first == 0 {
            write(admin, &numbers, &FINISHED_REST).await?;
        }
    }
    Ok(())
}

const FINISHED_SETUPS: [&str; 2] = [
    "INSERT INTO lightning_setups (id, user_id, username, address, node_source, state, step, voltage_node_id,
         node_url, node_pubkey, wallet_initialised, btcpay_store_id, btcpay_webhook_id, due_at, lease_token, runs,
         created_at, updated_at, finished_at, settled_at)
     SELECT $id, $id, 'u' || n, 'u' || n || '@pay.example.com', 'voltage', 'finished', 'activate', 'node ' || n,
            'https://node.example.com:8080', '02' || encode(sha256(n::text::bytea), 'hex'), true, 'store ' || n,
            'webhook ' || n, now() - interval '2 days', 1, 1, now(), now(), now() - interval '2 days',
            now() - interval '1 day'
     FROM $numbers",
    "INSERT INTO lightning_addresses (user_id, setup_id, username, address, btcpay_store_id, voltage_node_id,
         btcpay_config_sealed, node_config_sealed, created_at, updated_at)
     SELECT $id, $id, 'u' || n, 'u' || n || '@pay.example.com', 'store ' || n, 'node ' || n,
            decode(repeat('5a', 200), 'hex'), decode(repeat('5a', 600), 'hex'), now(), now()
     FROM $numbers",
];

const FINISHED_REST: [&str; 3] = [
    "INSERT INTO lightning_setup_steps (setup_id, user_id, name, state, attempts, begun_at, ended_at)
     SELECT $id, $id, step, 'done', 1, now(), now()
     FROM $numbers, unnest('{create_node,await_node,init_wallet,bake_macaroon,create_store,connect_node,
                             create_webhook,activate}'::text[]) AS step",
    "INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
     SELECT $id, $id, step, event, 1, now()
     FROM $numbers, (VALUES ('create_node', 'begun'), ('create_node', 'taken_up'), ('create_node', 'done'),
         ('await_node', 'done'), ('init_wallet', 'done'), ('bake_macaroon', 'done'), ('create_store', 'done'),
         ('connect_node', 'done'), ('create_webhook', 'done'), ('activate', 'activated')) AS l (step, event)",
    "INSERT INTO lightning_setup_secrets (setup_id, user_id, password_sealed, root_key_sealed, seed_handed_over_at)
     SELECT $id, $id, decode(repeat('5a', 80), 'hex'), decode(repeat('5a', 68), 'hex'), now()
     FROM $numbers",
];

/// As if those that somebody has had in hand had never been.
pub async fn forget_what_ran(admin: &Client) -> Result<()> {
    let ran = format!(
        "CREATE TEMPORARY TABLE ran AS SELECT id FROM lightning_setups
         WHERE lease_token > 0 AND id < {}",
        ID.replace('n', &FINISHED.to_string())
    );
    let of =
        |table: &str, column: &str| format!("DELETE FROM {table} WHERE {column} IN (SELECT id FROM ran)");
    let statements = [
        "SET LOCAL session_replication_role = replica".to_owned(),
        ran,
        of("lightning_setup_log", "setup_id"),
        of("lightning_setup_steps", "setup_id"),
        of("lightning_setup_secrets", "setup_id"),
        of("lightning_addresses", "setup_id"),
        of("lightning_setups", "id"),
        "DROP TABLE ran".to_owned(),
    ];
    Ok(admin.batch_execute(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await?)
}

pub const COUNT_DUE: &str =
    "SELECT count(*) FROM lightning_setups WHERE state = 'running' AND due_at <= now()";

/// So that nobody pays for what another left to write.
pub async fn settle(admin: &Client) -> Result<()> {
    let tables = "lightning_setups, lightning_setup_steps, lightning_setup_log, lightning_setup_secrets,
                  lightning_addresses";
    admin.batch_execute(&format!("VACUUM ANALYZE {tables}")).await?;
    Ok(admin.batch_execute("CHECKPOINT").await?)
}
