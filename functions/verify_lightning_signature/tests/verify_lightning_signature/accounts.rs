//! What is known of the account beside its node: that it was deleted, that it is an administrator's, how else it is
//! signed in to.

use sandbox::lnd::Node;
use shared::challenge::Purpose;
use testing::{Person, Result, World};

use super::{DID, Given, OTHER_DID, give, login, part, registration, rows, send, wire};

const PASSWORD: &str = "correct horse battery staple";

async fn linking(world: &World, did: &str, person: &Person, node: &Node) -> Result<Given> {
    let (user_id, session_id) = (person.user_id, person.session_id);
    give(world, did, Purpose::NodeLink { user_id, session_id, new: node.pubkey.parse()? }).await
}

#[tokio::test]
async fn a_deleted_account_says_so_once_its_node_has_signed() -> Result<()> {
    let world = World::start().await?;
    let (node, mallory) = (world.node("alice")?, world.node("mallory")?);
    let user = world.sign_in(DID, &node.pubkey).await?;
    world.delete_account(user.user_id).await?;
    let deps = wire(&world).await?;
    let before = world.db.count("SELECT count(*) FROM users WHERE last_login_at = created_at").await?;

    let alias = format!("did:lightning:{}", node.pubkey);
    let payment = Purpose::StepUp { amount_msat: 1_000, destination: String::from("lnbc1") };
    for given in [
        login(&world, DID).await?,
        registration(&world, DID).await?,
        registration(&world, &alias).await?,
        give(&world, DID, payment).await?,
    ] {
        let stranger = send(&deps, &given.signed(&mallory)).await?;
        assert_ne!(stranger.error().1, "ACCOUNT_DELETED", "not to somebody else");
        assert_eq!(send(&deps, &given.signed(&node)).await?.refusal()?, (403, "ACCOUNT_DELETED"));
    }
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 0);
    assert_eq!(rows(&world, "users WHERE last_login_at = created_at").await?, before);
    Ok(())
}

#[tokio::test]
async fn an_administrators_node_gets_an_administrators_token() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let user = world.sign_in(DID, &node.pubkey).await?;
    let deps = wire(&world).await?;
    let scope = async || -> Result<String> {
        let answer = send(&deps, &login(&world, DID).await?.signed(&node)).await?;
        Ok(part(answer.text("/data/accessToken")?, 1)?["scope"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(scope().await?, "user");
    world.make_admin(&user, &node.pubkey).await?;
    assert_eq!(scope().await?, "user admin");
    Ok(())
}

#[tokio::test]
async fn an_account_of_an_address_gets_its_node_and_the_name_that_goes_with_it() -> Result<()> {
    for of_its_own in [true, false] {
        let world = World::start().await?;
        let node = world.node("alice")?;
        let grace = world.with_email("grace@example.com", PASSWORD, true).await?;
        let did = if of_its_own { format!("did:lightning:{}", node.pubkey) } else { DID.to_owned() };
        let given = linking(&world, &did, &grace, &node).await?;
        let deps = wire(&world).await?;
        let answer = send(&deps, &given.signed(&node)).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        // From here on it is signed in to with the node.
        let answer = send(&deps, &login(&world, &did).await?.signed(&node)).await?;
        assert_eq!(part(answer.text("/data/accessToken")?, 1)?["sub"], grace.user_id.to_string());
        assert_eq!(rows(&world, "users").await?, 1);
        assert_eq!(rows(&world, "mails WHERE kind = 'identity_linked'").await?, 1, "its owner is told");
    }
    Ok(())
}

#[tokio::test]
async fn an_account_whose_mailbox_never_answered_links_no_node() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("mallory")?;
    let attacker = world.with_email("victim@example.com", PASSWORD, false).await?;
    let given = linking(&world, DID, &attacker, &node).await?;
    let answer = send(&wire(&world).await?, &given.signed(&node)).await?;
    assert_eq!(answer.refusal()?, (403, "EMAIL_NOT_VERIFIED"));
    assert_eq!(rows(&world, "identities").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_somebodys_or_another_keys_does_not_come_with_a_node() -> Result<()> {
    let world = World::start().await?;
    let (node, other) = (world.node("alice")?, world.node("bob")?);
    world.sign_in(OTHER_DID, &other.pubkey).await?;
    let grace = world.with_email("grace@example.com", PASSWORD, true).await?;
    let deps = wire(&world).await?;
    let taken = linking(&world, OTHER_DID, &grace, &node).await?;
    assert_eq!(send(&deps, &taken.signed(&node)).await?.refusal()?, (409, "DID_ALREADY_BOUND"));
    let named = format!("did:lightning:{}", world.node("carol")?.pubkey);
    let anothers = linking(&world, &named, &grace, &node).await?;
    assert_eq!(send(&deps, &anothers.signed(&node)).await?.refusal()?, (401, "SIGNATURE_REJECTED"));
    assert_eq!(rows(&world, &format!("identities WHERE user_id = '{}'", grace.user_id)).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_deleted_account_gets_no_node() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let grace = world.with_email("grace@example.com", PASSWORD, true).await?;
    let given = linking(&world, DID, &grace, &node).await?;
    world.delete_account(grace.user_id).await?;
    let answer = send(&wire(&world).await?, &given.signed(&node)).await?;
    assert_eq!(answer.refusal()?, (410, "CHALLENGE_GONE"), "it ended with the session");
    assert_eq!(rows(&world, "identities").await?, 1);
    Ok(())
}
