//! What a move leaves behind, and what it leaves standing.

use rebind_node::Deps;
use shared::account::{self, ClaimError};
use shared::db::roles::Role;
use shared::lightning::Did;
use shared::random::Random;
use testing::{Result, World};

use super::{DID, Move, NAME, node_of, rows, send, wire};

#[tokio::test]
async fn the_tokens_of_other_sessions_are_worth_nothing_and_ones_own_stays_good() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let others = [
        world.sign_in_again(&moving.user, &moving.old.pubkey).await?,
        world.sign_in_again(&moving.user, &moving.old.pubkey).await?,
    ];
    let deps = wire(&world).await?;
    let moved = send(&deps, &moving.call(&moving.body())).await?;
    assert_eq!(moved.body["data"]["sessions_ended"], 2, "{moved:?}");

    let again = moving.call(&moving.body());
    for other in &others {
        let call = again.clone().bearer(&other.access_token);
        assert_eq!(send(&deps, &call).await?.refusal()?, (401, "UNAUTHENTICATED"));
    }
    assert_eq!(send(&deps, &again).await?.refusal()?, (410, "CHALLENGE_GONE"), "known, and too late");
    let ended = "sessions WHERE revoked_at = '2026-01-09 12:00Z' AND revoked_reason = 'node_rebound'";
    assert_eq!(rows(&world, ended).await?, 2);
    Ok(())
}

#[tokio::test]
async fn the_old_key_makes_no_account_and_its_names_are_nobodys() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let client = world.db.connect(Role::Auth).await?;
    let key = moving.old.pubkey.parse()?;
    let names = [Did::Lightning(key), Did::Key(key)];
    for name in &names {
        let claimed = account::claim_did(&client, moving.user.user_id, name, world.now()).await;
        assert!(claimed.is_ok(), "{claimed:?}");
    }
    assert_eq!(send(&wire(&world).await?, &moving.call(&moving.body())).await?.status, 200);

    let identities = account::identities(&client, moving.user.user_id).await?;
    assert!(identities.has_did(&DID.parse()?) && !names.iter().any(|name| identities.has_did(name)));
    assert_eq!(identities.pubkey().map(|key| key.to_string()), Some(moving.new.pubkey.clone()));
    let (stranger, unheard_of) = (Random::system().id(world.now()), "did:mnemonic:2222222222222222".parse()?);
    let made = account::create(&client, stranger, &unheard_of, key, world.now()).await;
    assert!(matches!(made, Err(ClaimError::NodeTaken)), "{made:?}");
    for name in &names {
        let taken = account::claim_did(&client, stranger, name, world.now()).await;
        assert!(matches!(taken, Err(ClaimError::DidTaken)), "{taken:?}");
    }
    assert_eq!(account::find_by_node(&client, key).await?, None, "and nobody is found by it");
    Ok(())
}

#[tokio::test]
async fn there_is_no_way_back() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200);
    let back = moving.another(&world, &moving.new, &moving.old).await?;
    assert_eq!(send(&deps, &moving.call(&back)).await?.refusal()?, (409, "NODE_ALREADY_BOUND"));
    let bound = format!("nodes WHERE pubkey = '{}'", moving.new.pubkey);
    assert_eq!((rows(&world, &bound).await?, rows(&world, "audit_logs").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_account_moves_on_and_on() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200);
    let third = node_of(&world, "third", 3)?;
    let onward = moving.another(&world, &moving.new, &third).await?;
    assert_eq!(send(&deps, &moving.call(&onward)).await?.text("/data/lightning_pubkey")?, third.pubkey);
    assert_eq!(rows(&world, "identities WHERE kind = 'node' AND retired_at IS NOT NULL").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_challenge_that_names_a_former_key_is_gone() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let third = node_of(&world, "third", 3)?;
    let id = Random::system().id(world.now());
    let named = super::Purpose::NodeRebind {
        user_id: moving.user.user_id,
        old: moving.old.pubkey.parse()?,
        new: third.pubkey.parse()?,
    };
    let text = super::give(&world, DID, id, named).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200);

    // Signed by the key of now, over a text that says another is replaced.
    let stale = super::signed(id, &text, &moving.new, &third);
    assert_eq!(send(&deps, &moving.call(&stale)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    let stale = super::signed(id, &text, &moving.old, &third);
    assert_eq!(send(&deps, &moving.call(&stale)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    assert_eq!(rows(&world, &format!("nodes WHERE pubkey = '{}'", moving.new.pubkey)).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_account_without_a_registered_node_moves_too() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    world.db.admin().await?.batch_execute("DELETE FROM nodes").await?;
    assert_eq!(send(&wire(&world).await?, &moving.call(&moving.body())).await?.status, 200);
    assert_eq!(rows(&world, "nodes").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_audit_row_names_both_keys_and_holds_no_signature() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    assert_eq!(send(&wire(&world).await?, &moving.call(&moving.body())).await?.status, 200);
    let admin = world.db.admin().await?;
    let row = admin.query_typed("SELECT a::text, details::text, resource_id FROM audit_logs a", &[]).await?;
    let (all, details, resource): (&str, &str, &str) = (row[0].get(0), row[0].get(1), row[0].get(2));
    let expected = format!(
        r#"{{"did":"{DID}","new":"{}","old":"{}","sessions_ended":0}}"#,
        moving.new.pubkey, moving.old.pubkey
    );
    assert_eq!((details, resource), (expected.as_str(), moving.id.to_string().as_str()));
    for field in ["old_signature", "new_signature"] {
        let body = moving.body();
        assert!(!all.contains(body[field].as_str().unwrap_or_default()), "{all}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_does_not_happen() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_api").await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.refusal()?, (500, "INTERNAL"));
    super::nothing_moved(&world).await?;
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NOT NULL").await?, 0);
    Ok(())
}
