//! Every hour — check what the audit log grew by, and seal how long each chain is.

mod broken;
mod runtime;

use seal_audit_heads::{Deps, run};
use serde_json::{Value, json};
use shared::audit::{self, AuditDocument, AuditKey, Auditor, Entry, Origin, Sealed, Verified};
use shared::db::Db;
use shared::db::roles::Role;
use testing::{Result, World};
use time::Duration;
use uuid::Uuid;

const NAME: &str = "seal_audit_heads";
const NOTHING: Sealed = Sealed { sealed: 0, broken: 0 };

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn seal(world: &World) -> Result<Sealed> {
    run(&wire(world).await?).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

async fn run_sql(world: &World, sql: &str) -> Result<()> {
    Ok(world.db.admin().await?.batch_execute(sql).await?)
}

/// An account whose only trace is its chain.
fn account(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Writes as many audit rows as a sign-in function would, each in a transaction of its own.
async fn append(world: &World, user_id: Option<Uuid>, rows: usize) -> Result<()> {
    let (db, auditor) =
        world.wire("verify_lightning_signature", |config| (Db::wire(config), Auditor::wire(config))).await?;
    let connection = db.connection().await?;
    for at in 0..rows {
        let entry = Entry {
            user_id,
            action: "test.happened",
            resource: ("test", "the one resource"),
            details: json!({ "at": at }),
            origin: Origin { ip: Some([203, 0, 113, 7].into()), request_id: "a request" },
            now: world.now(),
        };
        let appended = auditor.append(connection.client(), &entry).await;
        appended.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    }
    Ok(())
}

/// What the operator's `audit verify` would say.
async fn verify(world: &World) -> Result<Result<Verified, String>> {
    let document: AuditDocument =
        serde_json::from_str(&world.sandbox.secrets().get("satchel/audit").unwrap_or_default())?;
    let key = AuditKey::try_from(document).map_err(anyhow::Error::msg)?;
    let found = audit::verify(&world.db.connect(Role::Jobs).await?, &key).await?;
    Ok(found.map_err(|broken| broken.to_string()))
}

/// Every head, as chain, count and when it was sealed.
async fn heads(world: &World) -> Result<Vec<(String, i64, String)>> {
    let sql = "SELECT chain, count, sealed_at::text FROM audit_heads ORDER BY chain, count";
    let rows = world.db.admin().await?.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

async fn counts(world: &World) -> Result<Vec<i64>> {
    Ok(heads(world).await?.into_iter().map(|(_, count, _)| count).collect())
}

#[tokio::test]
async fn chains_that_grew_are_sealed_and_the_log_verifies() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 3).await?;
    append(&world, Some(account(2)), 1).await?;
    append(&world, None, 2).await?;

    assert_eq!(seal(&world).await?, Sealed { sealed: 3, broken: 0 });

    assert_eq!(counts(&world).await?, [3, 1, 2]);
    let sealed_at: Vec<String> = heads(&world).await?.into_iter().map(|(_, _, at)| at).collect();
    assert!(sealed_at.iter().all(|at| at.starts_with("2026-01-09 12:00:00")), "{sealed_at:?}");
    assert_eq!(verify(&world).await?, Ok(Verified { chains: 3, rows: 6, heads: 3 }));
    Ok(())
}

#[tokio::test]
async fn an_empty_log_has_nothing_to_seal() -> Result<()> {
    let world = World::start().await?;
    assert_eq!(seal(&world).await?, NOTHING);
    assert_eq!(heads(&world).await?, []);
    Ok(())
}

#[tokio::test]
async fn run_twice_it_adds_nothing_the_second_time() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 2).await?;
    seal(&world).await?;
    let before = heads(&world).await?;

    world.advance(Duration::hours(1));
    assert_eq!(seal(&world).await?, NOTHING);

    assert_eq!(heads(&world).await?, before);
    Ok(())
}

#[tokio::test]
async fn only_what_grew_since_is_sealed_again_however_late() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 2).await?;
    append(&world, Some(account(2)), 2).await?;
    seal(&world).await?;

    world.advance(Duration::days(40));
    append(&world, Some(account(2)), 3).await?;
    assert_eq!(seal(&world).await?, Sealed { sealed: 1, broken: 0 });

    assert_eq!(counts(&world).await?, [2, 2, 5]);
    assert_eq!(verify(&world).await?, Ok(Verified { chains: 2, rows: 7, heads: 3 }));
    Ok(())
}

#[tokio::test]
async fn two_at_once_leave_one_head_for_each_chain() -> Result<()> {
    let world = World::start().await?;
    for number in 1..=20 {
        append(&world, Some(account(number)), 2).await?;
    }

    let (first, second) = tokio::join!(seal(&world), seal(&world));

    assert_eq!((first?.broken, second?.broken), (0, 0));
    assert_eq!(counts(&world).await?, [2; 20]);
    assert_eq!(verify(&world).await?, Ok(Verified { chains: 20, rows: 40, heads: 20 }));
    Ok(())
}

#[tokio::test]
async fn a_chain_may_grow_while_it_is_sealed() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 1).await?;

    let (appended, sealed) = tokio::join!(append(&world, Some(account(1)), 100), async {
        for _ in 0..20 {
            let found = seal(&world).await?;
            anyhow::ensure!(found.broken == 0, "{found:?}");
        }
        Ok(())
    });

    appended?;
    sealed?;
    seal(&world).await?;
    assert_eq!(verify(&world).await?.map(|verified| verified.rows), Ok(101));
    assert_eq!(counts(&world).await?.last(), Some(&101));
    Ok(())
}

#[tokio::test]
async fn more_chains_than_are_looked_at_at_a_time_are_all_sealed() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 1).await?;
    // The same chain over and over under other names: each is found broken, and none is passed over.
    let copies = "
        INSERT INTO audit_chains SELECT c.chain || at::text, c.count, c.link
            FROM audit_chains c, generate_series(1, 1100) AS at;
        INSERT INTO audit_logs
            SELECT l.chain || at::text, seq, id, user_id, action, resource_type, resource_id, details, ip,
                   request_id, created_at, link
            FROM audit_logs l, generate_series(1, 1100) AS at";
    run_sql(&world, copies).await?;

    assert_eq!(seal(&world).await?, Sealed { sealed: 1, broken: 1_100 });
    Ok(())
}

/// The event of the schedule.
fn event() -> Result<Value> {
    Ok(serde_json::from_str(&testing::request::event_text(NAME)?)?)
}
