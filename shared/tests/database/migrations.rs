//! The schema from nothing, twice, at once, and on databases that are not what they should be.

use std::time::Duration;

use shared::db::roles::Role;
use shared::migrations::{self, MigrationError};
use testing::{Result, TestDb};
use tokio_postgres::Client;

use crate::{NOW, number};

const STEPS: [&str; 11] = [
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
