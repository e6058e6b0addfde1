//! The two kinds that change an account's key, and so need its session.

use serde_json::json;
use testing::{Call, Result, SignedIn, World};
use time::Duration;

use super::{DID, KEY_1, KEY_2, ROUTE, challenges, send, wire};

const OTHER_DID: &str = "did:mnemonic:1111111111111111";

/// An account as one that signs in with an e-mail address will be: with a DID and no node.
pub async fn without_a_node(world: &World) -> Result<SignedIn> {
    let user = world.sign_in(DID, KEY_1).await?;
    world.db.admin().await?.batch_execute("DELETE FROM identities WHERE kind = 'node'").await?;
    Ok(user)
}

fn link(kind: &str, did: &str) -> Call {
    Call::new(ROUTE).json(&json!({ "did": did, "challenge_type": kind, "new_lightning_pubkey": KEY_2 }))
}

#[tokio::test]
async fn changing_a_key_needs_a_session_of_the_dids_account() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    let deps = wire(&world).await?;
    for kind in ["node_link", "node_rebind"] {
        assert_eq!(send(&deps, &link(kind, DID)).await?.refusal()?, (401, "UNAUTHENTICATED"));
        let forged = link(kind, DID).bearer("eyJhbGciOiJub25lIn0.e30.");
        assert_eq!(send(&deps, &forged).await?.refusal()?, (401, "UNAUTHENTICATED"));
        let others = link(kind, OTHER_DID).bearer(&user.access_token);
        assert_eq!(send(&deps, &others).await?.refusal()?, (403, "FORBIDDEN"));
    }
    assert_eq!(challenges(&world).await?, 0);
    Ok(())
}

#[tokio::test]
async fn changing_a_key_needs_a_session_that_has_not_ended() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    let deps = wire(&world).await?;
    let call = link("node_rebind", DID).bearer(&user.access_token);
    assert_eq!(send(&deps, &call).await?.status, 200);

    world.db.admin().await?.batch_execute("UPDATE sessions SET revoked_at = now()").await?;
    assert_eq!(send(&deps, &call).await?.refusal()?, (401, "UNAUTHENTICATED"));
    world.db.admin().await?.batch_execute("UPDATE sessions SET revoked_at = NULL").await?;
    world.advance(Duration::minutes(30) + Duration::seconds(5));
    assert_eq!(send(&deps, &call).await?.refusal()?, (401, "TOKEN_EXPIRED"));
    Ok(())
}

#[tokio::test]
async fn the_new_key_must_be_named() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    let deps = wire(&world).await?;
    for kind in ["node_link", "node_rebind"] {
        let call = Call::new(ROUTE).json(&json!({ "did": DID, "challenge_type": kind }));
        let answer = send(&deps, &call.bearer(&user.access_token)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"));
        assert_eq!(answer.fields(), ["new_lightning_pubkey"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_node_is_linked_to_an_account_that_has_none_and_replaced_where_there_is_one() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let user = world.sign_in(DID, KEY_1).await?;
    let linking = link("node_link", DID).bearer(&user.access_token);
    let rebinding = link("node_rebind", DID).bearer(&user.access_token);
    assert_eq!(send(&deps, &linking).await?.refusal()?, (409, "NODE_ALREADY_BOUND"));
    assert_eq!(send(&deps, &rebinding).await?.status, 200);

    world.db.admin().await?.batch_execute("DELETE FROM identities WHERE kind = 'node'").await?;
    assert_eq!(send(&deps, &linking).await?.status, 200);
    assert_eq!(send(&deps, &rebinding).await?.refusal()?, (409, "CONFLICT"));
    let owned =
        "SELECT count(*) FROM challenges c JOIN users u ON u.id = c.user_id WHERE c.new_pubkey IS NOT NULL";
    assert_eq!(world.db.count(owned).await?, 2);
    let of_the_session = format!(
        "SELECT count(*) FROM challenges WHERE challenge_type = 'node_link' AND session_id = '{}'",
        user.session_id
    );
    assert_eq!(world.db.count(&of_the_session).await?, 1, "what links must be answered while it stands");
    Ok(())
}

#[tokio::test]
async fn a_sign_in_asks_for_no_session_and_minds_no_bad_one() -> Result<()> {
    let world = World::start().await?;
    let call = Call::new(ROUTE).json(&super::login(DID)).bearer("nonsense");
    assert_eq!(send(&wire(&world).await?, &call).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_account_without_a_did_names_one_to_get_with_its_node() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email("grace@example.com", "correct horse battery staple", true).await?;
    let deps = wire(&world).await?;
    let call = link("node_link", DID).bearer(&grace.access_token);
    assert_eq!(send(&deps, &call).await?.status, 200);
    let rebind = link("node_rebind", DID).bearer(&grace.access_token);
    assert_eq!(send(&deps, &rebind).await?.refusal()?, (403, "FORBIDDEN"));
    Ok(())
}

#[tokio::test]
async fn an_account_whose_mailbox_never_answered_links_no_node() -> Result<()> {
    let world = World::start().await?;
    let attacker = world.with_email("victim@example.com", "correct horse battery staple", false).await?;
    let call = link("node_link", DID).bearer(&attacker.access_token);
    assert_eq!(send(&wire(&world).await?, &call).await?.refusal()?, (403, "EMAIL_NOT_VERIFIED"));
    assert_eq!(challenges(&world).await?, 0);
    Ok(())
}

#[tokio::test]
async fn linking_a_node_takes_a_recent_sign_in() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email("grace@example.com", "correct horse battery staple", true).await?;
    world.advance(Duration::minutes(15) + Duration::seconds(1));
    let call = link("node_link", DID).bearer(&grace.access_token);
    assert_eq!(send(&wire(&world).await?, &call).await?.refusal()?, (403, "STEP_UP_REQUIRED"));
    Ok(())
}
