//! The schema from nothing, twice, at once, and on databases that are not what they should be.

use std::time::Duration;

use shared::db::roles::Role;
use shared::migrations::{self, MigrationError};
use testing::{Result, TestDb};
use tokio_postgres::Client;

use crate::{NOW, number};

const STEPS: [&str; 16] = [
    "accounts",
    "challenges",
    "nodes",
    "audit",
    "signing_keys",
    "limits_and_idempotency",
    "lightning_setups",
    "provider_breakers",
    "reseal",
    "invoices_and_webhooks",
    "payments",
    "identities_and_passwords",
    "sessions",
    "wallets_and_locks",
    "preferences_and_private_beta",
    "activity_logs",
];

/// A database as `satchel init` leaves it: nothing in it yet.
async fn empty() -> Result<(TestDb, Client)> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    admin
        .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        .await?;
    Ok((db, admin))
}

#[tokio::test]
async fn every_step_runs_once_from_nothing_and_never_again() -> Result<()> {
    let (db, admin) = empty().await?;
    let mut owner = db.connect(Role::Owner).await?;

    assert_eq!(migrations::run(&mut owner, NOW).await?, STEPS);
    assert_eq!(migrations::run(&mut owner, NOW).await?, [""; 0]);

    let applied = "SELECT count(*) FROM schema_migrations WHERE applied_at = '2026-01-09 12:00 UTC'";
    assert_eq!(number(&admin, applied).await?, i64::try_from(STEPS.len())?);
    Ok(())
}

#[tokio::test]
async fn two_runners_at_once_run_each_step_once() -> Result<()> {
    let (db, admin) = empty().await?;
    let (mut one, mut two) = (db.connect(Role::Owner).await?, db.connect(Role::Owner).await?);

    let (first, second) = tokio::join!(migrations::run(&mut one, NOW), migrations::run(&mut two, NOW));

    let mut steps = first?;
    let others = second?;
    assert!(steps.is_empty() || others.is_empty(), "the second waits for the first to end");
    steps.extend(others);
    assert_eq!(steps, STEPS);
    assert_eq!(number(&admin, "SELECT count(*) FROM schema_migrations").await?, i64::try_from(STEPS.len())?);
    Ok(())
}

#[tokio::test]
async fn a_step_edited_after_it_ran_stops_everything() -> Result<()> {
    let db = TestDb::create().await?;
    let mut owner = db.connect(Role::Owner).await?;
    owner
        .batch_execute(
            "DELETE FROM schema_migrations WHERE version > 5;
             UPDATE schema_migrations SET checksum = sha256(checksum) WHERE version = 3",
        )
        .await?;

    let refused = migrations::run(&mut owner, NOW).await.err();

    assert!(matches!(refused, Some(MigrationError::Edited { version: 3 })), "{refused:?}");
    let said = refused.map(|error| error.to_string());
    assert_eq!(said.as_deref(), Some("migration 3 was edited after it ran"));
    assert_eq!(number(&owner, "SELECT count(*) FROM schema_migrations").await?, 5, "nothing was run");
    Ok(())
}

#[tokio::test]
async fn an_older_build_does_not_run_on_a_newer_database() -> Result<()> {
    let db = TestDb::create().await?;
    let mut owner = db.connect(Role::Owner).await?;
    owner.batch_execute("INSERT INTO schema_migrations VALUES (1000, 'tomorrow', '', now())").await?;
    let refused = migrations::run(&mut owner, NOW).await.err();
    assert!(matches!(refused, Some(MigrationError::Newer { version: 1000 })), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_step_that_fails_is_rolled_back_and_taken_up_again() -> Result<()> {
    let (db, _) = empty().await?;
    let mut owner = db.connect(Role::Owner).await?;
    // In the way of the last thing step 4 makes.
    owner.batch_execute("CREATE TABLE audit_heads ()").await?;

    let failed = migrations::run(&mut owner, NOW).await.err();
    assert!(matches!(failed, Some(MigrationError::Step { version: 4, .. })), "{failed:?}");
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename IN ('nodes', 'audit_chains', 'audit_logs')";
    assert_eq!(number(&owner, tables).await?, 1, "step 3 stands, step 4 left nothing");

    owner.batch_execute("DROP TABLE audit_heads").await?;
    // Another connection: the failed run left no lock behind.
    let mut other = db.connect(Role::Owner).await?;
    let resumed = tokio::time::timeout(Duration::from_secs(20), migrations::run(&mut other, NOW)).await??;
    assert_eq!(resumed, STEPS[3..]);
    Ok(())
}

/// A database as the tenth step left it, with what was in it then.
async fn before_payments() -> Result<(TestDb, Client)> {
    let (db, admin) = empty().await?;
    let mut owner = db.connect(Role::Owner).await?;
    // In the way of the first thing step 11 makes.
    owner.batch_execute("CREATE TABLE payments ()").await?;
    let stopped = migrations::run(&mut owner, NOW).await.err();
    assert!(matches!(stopped, Some(MigrationError::Step { version: 11, .. })), "{stopped:?}");
    owner.batch_execute("DROP TABLE payments").await?;
    admin
        .batch_execute(
            "INSERT INTO users (id, created_at, updated_at) VALUES (gen_random_uuid(), now(), now());
             INSERT INTO invoices (id, user_id, btcpay_store_id, amount_msat, memo, expiry_seconds, state,
                 btcpay_invoice_id, bolt11, payment_hash, expires_at, leased_until, lease_token, created_at, updated_at)
             SELECT gen_random_uuid(), users.id, 'the store', 250000, '', 600, state,
                    CASE state WHEN 'open' THEN 'x' END, CASE state WHEN 'open' THEN 'x' END,
                    CASE state WHEN 'open' THEN sha256('x') END, CASE state WHEN 'open' THEN now() END,
                    now(), 1, '2026-01-09 11:00 UTC', now()
             FROM users, (VALUES ('creating'), ('open'), ('refused')) AS s (state);
             INSERT INTO webhook_events (id, provider, account, webhook_id, event_id, type, body, state, received_at)
             SELECT gen_random_uuid(), 'btcpay', 'the store', 'x', state, 'InvoiceSettled', '{}', state,
                    '2026-01-09 11:00 UTC'
             FROM (VALUES ('received'), ('ignored'), ('done'), ('dead')) AS s (state);",
        )
        .await?;
    Ok((db, admin))
}

#[tokio::test]
async fn invoices_from_before_become_payments_that_are_asked_about() -> Result<()> {
    let (db, admin) = before_payments().await?;

    migrations::run(&mut db.connect(Role::Owner).await?, NOW).await?;

    let begun = "SELECT count(*) FROM payments p JOIN invoices i USING (id, user_id)
                 WHERE i.state IN ('creating', 'open') AND p.provider = 'btcpay' AND p.account = 'the store'
                   AND p.currency = 'btc' AND p.amount_minor = 250000 AND p.state = 'created'
                   AND p.poll_at <= now() AND p.expires_at = '2026-01-09 11:10 UTC'";
    assert_eq!(number(&admin, begun).await?, 2);
    assert_eq!(number(&admin, "SELECT count(*) FROM payments").await?, 2, "what was refused nobody can pay");
    Ok(())
}

#[tokio::test]
async fn events_from_before_wait_or_are_finished_as_they_were() -> Result<()> {
    let (db, admin) = before_payments().await?;

    migrations::run(&mut db.connect(Role::Owner).await?, NOW).await?;

    let waits = "SELECT count(*) FROM webhook_events
                 WHERE state = 'received' AND due_at <= now() AND finished_at IS NULL AND body = '{}'";
    assert_eq!(number(&admin, waits).await?, 1);
    let finished = "SELECT count(*) FROM webhook_events
                    WHERE state <> 'received' AND due_at IS NULL AND finished_at = '2026-01-09 11:00 UTC'";
    assert_eq!(number(&admin, finished).await?, 3);
    Ok(())
}

/// While a version is deployed, functions of the one before it still write.
#[tokio::test]
async fn the_build_before_writes_events_that_are_taken_up() -> Result<()> {
    let db = TestDb::create().await?;
    let webhooks = db.connect(Role::Webhooks).await?;
    webhooks
        .batch_execute(
            "INSERT INTO webhook_events (id, provider, account, webhook_id, event_id, type, object_id, body, state,
                 received_at)
             VALUES (gen_random_uuid(), 'btcpay', 'the store', 'x', 'x', 'InvoiceSettled', 'y', '{}', 'received', now())",
        )
        .await?;
    let due = "SELECT count(*) FROM webhook_events WHERE state = 'received' AND due_at <= now()";
    assert_eq!(number(&db.admin().await?, due).await?, 1);
    Ok(())
}
