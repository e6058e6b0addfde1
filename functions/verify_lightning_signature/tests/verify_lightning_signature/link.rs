//! `node_link`: a key for an account that has none.

use shared::challenge::Purpose;
use shared::lightning::Pubkey;
use testing::{Result, SignedIn, World};

use super::{DID, Given, OTHER_DID, give, part, rows, send, wire};

async fn without_a_node(world: &World) -> Result<SignedIn> {
    let user = world.sign_in(DID, &world.node("former")?.pubkey).await?;
    world.db.admin().await?.batch_execute("DELETE FROM identities WHERE kind = 'node'").await?;
    Ok(user)
}

async fn linking(world: &World, user: &SignedIn, new: &str) -> Result<Given> {
    let new: Pubkey = new.parse()?;
    let (user_id, session_id) = (user.user_id, user.session_id);
    give(world, DID, Purpose::NodeLink { user_id, session_id, new }).await
}

#[tokio::test]
async fn the_named_key_becomes_the_accounts_node() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let user = without_a_node(&world).await?;
    let given = linking(&world, &user, &node.pubkey).await?;
    let answer = send(&wire(&world).await?, &given.signed(&node)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(part(answer.text("/data/accessToken")?, 1)?["sub"], user.user_id.to_string());
    let linked = format!(
        "identities WHERE kind = 'node' AND subject = '{}' AND user_id = '{}'",
        node.pubkey, user.user_id
    );
    assert_eq!(rows(&world, &linked).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'node.linked'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn only_the_named_key_links() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let user = without_a_node(&world).await?;
    let given = linking(&world, &user, &node.pubkey).await?;
    let answer = send(&wire(&world).await?, &given.signed(&world.node("mallory")?)).await?;
    assert_eq!(answer.refusal()?, (401, "SIGNATURE_REJECTED"));
    assert_eq!(rows(&world, "identities WHERE kind = 'node'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_key_of_another_account_is_not_linked() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let user = without_a_node(&world).await?;
    world.sign_in(OTHER_DID, &node.pubkey).await?;
    let given = linking(&world, &user, &node.pubkey).await?;
    let answer = send(&wire(&world).await?, &given.signed(&node)).await?;
    assert_eq!(answer.refusal()?, (409, "NODE_ALREADY_BOUND"));
    assert_eq!(rows(&world, "identities WHERE kind = 'node'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_account_that_got_a_node_meanwhile_gets_no_second() -> Result<()> {
    let world = World::start().await?;
    let (first, second) = (world.node("alice")?, world.node("bob")?);
    let user = without_a_node(&world).await?;
    let early = linking(&world, &user, &first.pubkey).await?;
    let late = linking(&world, &user, &second.pubkey).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &early.signed(&first)).await?.status, 200);
    assert_eq!(send(&deps, &late.signed(&second)).await?.refusal()?, (409, "NODE_ALREADY_BOUND"));
    Ok(())
}

#[tokio::test]
async fn a_rebind_challenge_is_not_answered_here() -> Result<()> {
    let world = World::start().await?;
    let (old, new) = (world.node("alice")?, world.node("bob")?);
    let user = world.sign_in(DID, &old.pubkey).await?;
    let purpose =
        Purpose::NodeRebind { user_id: user.user_id, old: old.pubkey.parse()?, new: new.pubkey.parse()? };
    let given = give(&world, DID, purpose).await?;
    let deps = wire(&world).await?;
    for node in [&old, &new] {
        assert_eq!(send(&deps, &given.signed(node)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    }
    assert_eq!(rows(&world, "sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_was_asked_for_in_a_session_ends_with_it() -> Result<()> {
    let world = World::start().await?;
    let (thief, node) = (world.node("mallory")?, world.node("alice")?);
    let owner = without_a_node(&world).await?;
    let deps = wire(&world).await?;
    // given one who asked for a link in the owner's session, before the owner ended it
    let asked = linking(&world, &owner, &thief.pubkey).await?;
    let ended = format!("UPDATE sessions SET revoked_at = now() WHERE id = '{}'", owner.session_id);
    world.db.admin().await?.batch_execute(&ended).await?;
    assert_eq!(send(&deps, &asked.signed(&thief)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    // nor when it idled out
    let reopened = "UPDATE sessions SET revoked_at = NULL, idle_expires_at = created_at";
    world.db.admin().await?.batch_execute(reopened).await?;
    assert_eq!(send(&deps, &asked.signed(&thief)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    // nor one from before the session was kept
    let unknown = linking(&world, &owner, &node.pubkey).await?;
    world.db.admin().await?.batch_execute("UPDATE challenges SET session_id = NULL").await?;
    assert_eq!(send(&deps, &unknown.signed(&node)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    assert_eq!(rows(&world, "identities WHERE kind = 'node'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_just_being_ended_links_nothing() -> Result<()> {
    let world = World::start().await?;
    let thief = world.node("mallory")?;
    let owner = without_a_node(&world).await?;
    let asked = linking(&world, &owner, &thief.pubkey).await?;
    let deps = wire(&world).await?;
    // The owner's reset has begun: it holds the account, and ends the sessions in a moment.
    let mut admin = world.db.admin().await?;
    let reset = admin.transaction().await?;
    reset.batch_execute("SELECT 1 FROM users FOR NO KEY UPDATE").await?;
    let call = asked.signed(&thief);
    let (answer, ended) = tokio::join!(send(&deps, &call), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        reset.batch_execute("UPDATE sessions SET revoked_at = now()").await?;
        reset.commit().await?;
        Ok::<(), anyhow::Error>(())
    });
    ended?;
    assert_eq!(answer?.refusal()?, (410, "CHALLENGE_GONE"));
    assert_eq!(rows(&world, "identities WHERE kind = 'node'").await?, 0);
    Ok(())
}
