//! Many at once, on a real Postgres.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use testing::{Call, Outcome, Result, World};
use verify_lightning_signature::Deps;

use super::{DID, MANY, NAME, OTHER_DID, login, registration, rows, send};

async fn wire_wide(world: &World) -> Result<Deps> {
    let changed = [MANY, &[("DATABASE_POOL_SIZE", "50")]].concat();
    world.wire_with(NAME, &changed, Deps::wire).await
}

fn tally(answers: &[Outcome]) -> BTreeMap<(u16, &str), usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer.error()).or_default() += 1;
    }
    tally
}

async fn all_at_once(deps: &Deps, calls: &[Call]) -> Result<Vec<Outcome>> {
    join_all(calls.iter().map(|call| send(deps, call))).await.into_iter().collect()
}

#[tokio::test]
async fn of_200_valid_answers_at_once_one_opens_a_session() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let deps = wire_wide(&world).await?;
    let call = login(&world, DID).await?.signed(&node);
    let answers = all_at_once(&deps, &vec![call; 200]).await?;
    assert_eq!(tally(&answers), BTreeMap::from([((200, ""), 1), ((410, "CHALLENGE_GONE"), 199)]));
    assert_eq!(rows(&world, "sessions").await?, 2, "one, and that of the account's making");
    assert_eq!(rows(&world, "audit_logs").await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_200_first_answers_at_once_one_makes_the_account() -> Result<()> {
    let world = World::start().await?;
    let deps = wire_wide(&world).await?;
    let call = registration(&world, DID).await?.signed(&world.node("alice")?);
    let answers = all_at_once(&deps, &vec![call; 200]).await?;
    assert_eq!(tally(&answers), BTreeMap::from([((200, ""), 1), ((410, "CHALLENGE_GONE"), 199)]));
    for table in ["users", "sessions", "audit_logs", "signing_keys"] {
        assert_eq!(rows(&world, table).await?, 1, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn of_two_keys_for_one_new_name_one_gets_it() -> Result<()> {
    for _ in 0..5 {
        let world = World::start().await?;
        let deps = wire_wide(&world).await?;
        let (first, second) = (registration(&world, DID).await?, registration(&world, DID).await?);
        let calls = [first.signed(&world.node("alice")?), second.signed(&world.node("bob")?)];
        let answers = all_at_once(&deps, &calls).await?;
        assert_eq!(tally(&answers), BTreeMap::from([((200, ""), 1), ((409, "DID_ALREADY_BOUND"), 1)]));
        assert_eq!((rows(&world, "users").await?, rows(&world, "identities").await?), (1, 2));
    }
    Ok(())
}

#[tokio::test]
async fn of_two_new_names_for_one_key_one_gets_it() -> Result<()> {
    for _ in 0..5 {
        let world = World::start().await?;
        let node = world.node("alice")?;
        let deps = wire_wide(&world).await?;
        let (first, second) = (registration(&world, DID).await?, registration(&world, OTHER_DID).await?);
        let answers = all_at_once(&deps, &[first.signed(&node), second.signed(&node)]).await?;
        assert_eq!(tally(&answers), BTreeMap::from([((200, ""), 1), ((409, "NODE_ALREADY_BOUND"), 1)]));
        assert_eq!((rows(&world, "users").await?, rows(&world, "identities").await?), (1, 2));
    }
    Ok(())
}

#[tokio::test]
async fn two_first_sign_ins_of_one_name_and_key_end_in_one_account() -> Result<()> {
    for _ in 0..5 {
        let world = World::start().await?;
        let node = world.node("alice")?;
        let deps = wire_wide(&world).await?;
        let (first, second) = (registration(&world, DID).await?, registration(&world, DID).await?);
        let answers = all_at_once(&deps, &[first.signed(&node), second.signed(&node)]).await?;
        for answer in &answers {
            assert!(matches!(answer.error().0, 200 | 409), "{answer:?}");
        }
        assert!(answers.iter().any(|answer| answer.status == 200));
        assert_eq!((rows(&world, "users").await?, rows(&world, "identities").await?), (1, 2));
    }
    Ok(())
}

#[tokio::test]
async fn forty_sign_ins_of_one_account_at_once_leave_one_whole_chain() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let deps = wire_wide(&world).await?;
    let mut calls = Vec::new();
    for _ in 0..40 {
        calls.push(login(&world, DID).await?.signed(&node));
    }
    let answers = all_at_once(&deps, &calls).await?;
    assert_eq!(tally(&answers), BTreeMap::from([((200, ""), 40)]));
    assert_eq!(rows(&world, "audit_chains WHERE count = 40").await?, 1);
    assert_eq!(world.db.count("SELECT count(DISTINCT seq) FROM audit_logs").await?, 40);
    Ok(())
}
