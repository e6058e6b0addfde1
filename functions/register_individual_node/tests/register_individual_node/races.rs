//! Many at once, on a real Postgres.

use std::time::Duration;

use futures_util::future::join_all;
use register_individual_node::Deps;
use testing::{Call, Outcome, Result, World};

use super::{DID, NAME, OTHER_DID, Owner, rows, send};

/// Each is sent again for as long as it is told to come back: on a busy machine one of many waiters can wait for
/// its lock longer than a request may.
async fn all_at_once(world: &World, calls: &[Call]) -> Result<Vec<Outcome>> {
    let deps = world.wire_with(NAME, &[("DATABASE_POOL_SIZE", "20")], Deps::wire).await?;
    let patiently = async |call: &Call| loop {
        let answer = send(&deps, call).await?;
        if answer.header("retry-after").is_none() {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    join_all(calls.iter().map(patiently)).await.into_iter().collect()
}

#[tokio::test]
async fn of_twenty_twins_at_once_one_works_and_all_get_its_answer() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let bare = owner.call(&owner.body()).header("idempotency-key", "one");
    let quoted = owner.call(&owner.body()).header("idempotency-key", "\"one\"");
    let answers = all_at_once(&world, &[vec![bare; 10], vec![quoted; 10]].concat()).await?;

    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.reply.body == answers[0].reply.body), "{answers:?}");
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed") == Some("true"));
    assert_eq!(replayed.count(), 19);
    for table in ["nodes", "audit_logs", "idempotency_keys"] {
        assert_eq!(rows(&world, table).await?, 1, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn of_two_registrations_of_one_place_at_once_one_gets_it() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (Owner::new(&world, DID, "alice").await?, Owner::new(&world, OTHER_DID, "bob").await?);
    for round in 1..=10 {
        let place = format!("node{round}");
        let calls = [alice.call(&alice.with("node_id", &*place)), bob.call(&bob.with("node_id", &*place))];
        let answers = all_at_once(&world, &calls).await?;
        let mut seen: Vec<_> = answers.iter().map(Outcome::error).collect();
        seen.sort_unstable();
        assert_eq!(seen, [(200, ""), (409, "CONFLICT")], "{place}");
        assert_eq!(rows(&world, &format!("nodes WHERE node_id = '{place}'")).await?, 1);
    }
    assert_eq!(rows(&world, "audit_logs WHERE action = 'node.registered'").await?, 10);
    Ok(())
}

#[tokio::test]
async fn twenty_updates_at_once_by_one_owner_leave_one_node_and_one_whole_chain() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let calls: Vec<Call> =
        (0..20).map(|at| owner.call(&owner.with("node_id", format!("node{at}")))).collect();
    let answers = all_at_once(&world, &calls).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(rows(&world, "nodes").await?, 1);
    assert_eq!(rows(&world, "audit_chains WHERE count = 20").await?, 1);
    assert_eq!(world.db.count("SELECT count(DISTINCT seq) FROM audit_logs").await?, 20);
    Ok(())
}
