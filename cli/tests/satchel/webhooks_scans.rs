//! The tables are long: what an operator looks up is found by an index.

use std::time::Duration as Wait;

use shared::db::Type;
use testing::Result;
use time::Duration;
use tokio::time::sleep;

use crate::webhooks_world::{Inbox, Told};

const ROWS: i32 = 30_000;

/// How often a table was read from its beginning to its end, and how many of its rows were read in all.
async fn reads(inbox: &Inbox, table: &str) -> Result<(i64, i64)> {
    let row = inbox
        .admin
        .query_typed_one(
            "SELECT seq_scan, seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_user_tables WHERE relname = $1",
            &[(&table, Type::TEXT)],
        )
        .await?;
    Ok((row.get("seq_scan"), row.get("rows")))
}

/// The tool reads a few of the table's rows, and those by an index.
async fn reads_little(inbox: &Inbox, table: &str, arguments: &[&str]) -> Result<()> {
    // What the test itself read is not to be counted among it.
    inbox.sql("SELECT pg_stat_force_next_flush()").await?;
    let before = reads(inbox, table).await?;
    inbox.tool.run(arguments).await?.ok();
    // What a connection read is counted when it is over.
    while inbox
        .count("pg_stat_activity WHERE datname = current_database() AND usename = 'satchel_jobs'")
        .await?
        > 0
    {
        sleep(Wait::from_millis(20)).await;
    }
    let after = reads(inbox, table).await?;
    let (whole, rows) = (after.0 - before.0, after.1 - before.1);
    assert!(
        whole == 0 && rows < i64::from(ROWS) / 20,
        "{arguments:?}: {table} read {whole} times, {rows} rows"
    );
    Ok(())
}

#[tokio::test]
async fn the_inbox_is_never_read_from_its_beginning_to_its_end() -> Result<()> {
    let inbox = Inbox::start().await?;
    inbox.many(ROWS, "done", Duration::hours(1)).await?;
    inbox.many(100, "dead", Duration::days(2)).await?;
    let id = inbox.told(&Told::default()).await?.to_string();
    inbox.sql("ANALYZE webhook_events").await?;
    let commands: [&[&str]; 14] = [
        &["webhooks", "list"],
        &["webhooks", "list", "--object", "ch_77"],
        &["webhooks", "list", "--object", "ch_77", "--since", "2d", "--limit", "100000"],
        &["webhooks", "list", "--since", "90m", "--until", "80m"],
        &["webhooks", "list", "--state", "dead"],
        &["webhooks", "list", "--type", "charge.updated"],
        &["webhooks", "show", &id],
        &["webhooks", "show", "evt_done77"],
        &["webhooks", "dead"],
        &["webhooks", "replay", "--object", "ch_77"],
        &["webhooks", "replay", "--state", "done", "--since", "90m", "--until", "80m"],
        &["webhooks", "dismiss", "evt_dead77"],
        &["webhooks", "replay", "--state", "dead", "--yes"],
        &["webhooks", "tail", "--for", "1"],
    ];
    for arguments in commands {
        reads_little(&inbox, "webhook_events", arguments).await?;
    }
    Ok(())
}

#[tokio::test]
async fn neither_are_payments() -> Result<()> {
    let inbox = Inbox::start().await?;
    let user = inbox.user().await?;
    inbox
        .sql(&format!(
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
             SELECT CAST(md5(n::text) AS uuid), '{user}', 'stripe', 'acct_' || n % 10, 'eur', 1, now(), now()
             FROM generate_series(1, {ROWS}) n;
             INSERT INTO payment_objects (provider, account, object_id, kind, root_id, payment_id, status, finality,
                 seen_at, rank, created_at, updated_at)
             SELECT provider, account, 'pi_' || n, 'payment_intent', 'pi_' || n, id, 'open', 0, now(), 0, now(), now()
             FROM (SELECT *, row_number() OVER () AS n FROM payments) p;
             INSERT INTO ledger (id, provider, account, source_object, kind, object_id, amount_minor, currency,
                 occurred_at, created_at)
             SELECT gen_random_uuid(), provider, account, object_id, 'payment', object_id, 1, 'eur', now(), now()
             FROM payment_objects;
             INSERT INTO outbox (id, topic, key, version, payload, created_at, next_attempt_at)
             SELECT id, 'entitlement.granted', id::text, 1, '{{}}', now(), now() FROM payments;
             ANALYZE payments; ANALYZE payment_objects; ANALYZE ledger; ANALYZE outbox"
        ))
        .await?;
    inbox.many(ROWS, "done", Duration::hours(1)).await?;
    inbox.sql("ANALYZE webhook_events").await?;
    let id: String = inbox.admin.query_typed_one("SELECT md5('77')::uuid::text", &[]).await?.get(0);
    for name in ["pi_77", &id] {
        for table in ["payments", "payment_objects", "ledger", "outbox", "webhook_events"] {
            reads_little(&inbox, table, &["payments", "show", name]).await?;
        }
    }
    let named = ["payments", "unclaimed", "--naming"];
    let said = inbox.tool.run(&named).await?.ok();
    assert_eq!(said, "nothing is unclaimed\n");
    reads_little(&inbox, "payment_objects", &named).await
}
