//! Many at once, on a real Postgres.

use futures_util::future::join_all;
use setup_lightning::Deps;
use testing::{Call, Outcome, Result, World};

use super::{DID, NAME, OTHER_DID, User, made, one_of_each, rows, satoshi, send, step, wire};

async fn all_at_once(world: &World, calls: &[Call]) -> Result<Vec<Outcome>> {
    let deps = world.wire_with(NAME, &[("DATABASE_POOL_SIZE", "20")], Deps::wire).await?;
    join_all(calls.iter().map(|call| send(&deps, call))).await.into_iter().collect()
}

#[tokio::test]
async fn twenty_twins_at_once_provision_once() -> Result<()> {
    for _ in 0..3 {
        let world = World::start().await?;
        let user = User::new(&world, DID, "alice").await?;
        let answers = all_at_once(&world, &vec![user.setup(&satoshi()); 20]).await?;
        assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 202)), "{answers:#?}");
        let finished = answers.iter().filter(|answer| answer.body["status"] == "fully_configured");
        assert!(finished.count() >= 1, "{answers:#?}");
        assert_eq!(rows(&world, "audit_logs WHERE action = 'setup.begun'").await?, 1);
        assert_eq!(rows(&world, "lightning_setup_log WHERE event = 'taken_up'").await?, 1);
        one_of_each(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn setups_retries_and_looks_at_once_provision_once() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    world.sandbox.btcpay().set_store_quota(Some(0));
    let failed = send(&wire(&world).await?, &user.setup(&satoshi())).await?;
    assert_eq!(step(&failed, "create_store")?["lastErrorCode"], "BTCPAY_STORE_LIMIT", "{failed:?}");
    world.sandbox.btcpay().set_store_quota(None);
    let mut calls = vec![user.retry(); 10];
    calls.extend(vec![user.setup(&satoshi()); 5]);
    calls.extend(vec![user.status(); 5]);
    let answers = all_at_once(&world, &calls).await?;
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 202)), "{answers:#?}");
    assert_eq!(rows(&world, "audit_logs WHERE action = 'setup.retried'").await?, 1);
    one_of_each(&world).await
}

#[tokio::test]
async fn of_two_accounts_that_want_one_address_at_once_one_gets_it() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (User::new(&world, DID, "alice").await?, User::new(&world, OTHER_DID, "bob").await?);
    let answers = all_at_once(&world, &[alice.setup(&satoshi()), bob.setup(&satoshi())]).await?;
    let mut seen: Vec<_> = answers.iter().map(Outcome::error).collect();
    seen.sort_unstable();
    assert_eq!(seen, [(200, ""), (409, "ADDRESS_TAKEN")]);
    one_of_each(&world).await
}

#[tokio::test]
async fn different_names_at_once_by_one_account_provision_one_of_them() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let named = |at| user.setup(&serde_json::json!({ "username": format!("satoshi{at}") }));
    let answers = all_at_once(&world, &(0..10).map(named).collect::<Vec<_>>()).await?;
    let refused = answers.iter().filter(|answer| answer.error() == (409, "SETUP_EXISTS")).count();
    assert_eq!(refused, 9, "{answers:#?}");
    assert_eq!((made(&world, "store"), made(&world, "node")), ((1, 0), (1, 0)));
    one_of_each(&world).await
}
