//! `default_registration`: who gets an account, an alias, an ordinary sign-in, or a conflict.

use testing::{Result, World};

use super::{DID, OTHER_DID, node_of_key_1, part, registration, rows, send, wire};

#[tokio::test]
async fn registering_again_with_the_same_key_is_an_ordinary_sign_in() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let deps = wire(&world).await?;
    let first = send(&deps, &registration(&world, DID).await?.signed(&node)).await?;
    let second = send(&deps, &registration(&world, DID).await?.signed(&node)).await?;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    let subject = |answer: &testing::Outcome| {
        part(answer.text("/data/accessToken")?, 1).map(|claims| claims["sub"].clone())
    };
    assert_eq!(subject(&first)?, subject(&second)?);
    assert_eq!((rows(&world, "users").await?, rows(&world, "sessions").await?), (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_name_bound_to_another_key_is_a_conflict() -> Result<()> {
    let world = World::start().await?;
    world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let given = registration(&world, DID).await?;
    let answer = send(&wire(&world).await?, &given.signed(&world.node("bob")?)).await?;
    assert_eq!(answer.refusal()?, (409, "DID_ALREADY_BOUND"));
    assert_eq!((rows(&world, "users").await?, rows(&world, "sessions").await?), (1, 1));
    assert_eq!(rows(&world, "identities").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_key_that_has_an_account_gets_no_second_one_under_a_name() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let given = registration(&world, OTHER_DID).await?;
    let answer = send(&wire(&world).await?, &given.signed(&node)).await?;
    assert_eq!(answer.refusal()?, (409, "NODE_ALREADY_BOUND"));
    assert_eq!((rows(&world, "users").await?, rows(&world, "identities").await?), (1, 2));
    assert_eq!(rows(&world, "challenges WHERE status = 'pending'").await?, 1, "all of it was rolled back");
    Ok(())
}

#[tokio::test]
async fn a_did_made_of_the_key_becomes_an_alias_of_its_account() -> Result<()> {
    let world = World::start().await?;
    let node = node_of_key_1(&world)?;
    let user = world.sign_in(DID, &node.pubkey).await?;
    let deps = wire(&world).await?;
    let alias = format!("did:lightning:{}", node.pubkey);
    for _ in 0..2 {
        let answer = send(&deps, &registration(&world, &alias).await?.signed(&node)).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text("/data/did")?, alias);
        assert_eq!(part(answer.text("/data/accessToken")?, 1)?["sub"], user.user_id.to_string());
    }
    assert_eq!((rows(&world, "users").await?, rows(&world, "identities").await?), (1, 3));
    assert_eq!(rows(&world, "audit_logs WHERE action = 'did.added'").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'session.created'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_retired_name_and_a_retired_key_stay_reserved() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    world.db.admin().await?.batch_execute("UPDATE identities SET retired_at = now()").await?;
    let deps = wire(&world).await?;
    let same_name = registration(&world, DID).await?.signed(&world.node("bob")?);
    assert_eq!(send(&deps, &same_name).await?.refusal()?, (409, "DID_ALREADY_BOUND"));
    let same_key = registration(&world, OTHER_DID).await?.signed(&node);
    assert_eq!(send(&deps, &same_key).await?.refusal()?, (409, "NODE_ALREADY_BOUND"));
    let key_itself = registration(&world, &format!("did:lightning:{}", node.pubkey)).await?.signed(&node);
    assert_eq!(send(&deps, &key_itself).await?.refusal()?, (409, "NODE_ALREADY_BOUND"));
    assert_eq!(rows(&world, "users").await?, 1);
    Ok(())
}
