//! Whose signatures, whose challenge, whose session.

use shared::challenge::Purpose;
use shared::random::Random;
use testing::{Call, Result, World};
use time::Duration;

use super::{DID, Move, OTHER_DID, ROUTE, give, node_of, nothing_moved, rows, send, signed, wire};

#[tokio::test]
async fn two_signatures_by_one_key_and_two_that_changed_places_are_refused() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    let (id, text) = (moving.id, moving.text.as_str());
    let wrong = [
        signed(id, text, &moving.old, &moving.old),
        signed(id, text, &moving.new, &moving.new),
        signed(id, text, &moving.new, &moving.old),
    ];
    for body in wrong {
        assert_eq!(send(&deps, &moving.call(&body)).await?.refusal()?, (401, "SIGNATURE_REJECTED"));
    }
    nothing_moved(&world).await?;
    assert_eq!(rows(&world, "challenges WHERE wrong_answers = 3").await?, 1);
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200, "the right ones still count");
    Ok(())
}

#[tokio::test]
async fn nine_wrong_answers_are_borne_and_after_the_tenth_none_counts() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    for _ in 0..10 {
        let answer = send(&deps, &moving.with("new_signature", "y".repeat(104))).await?;
        assert_eq!(answer.refusal()?, (401, "SIGNATURE_REJECTED"));
    }
    let refused = send(&deps, &moving.call(&moving.body())).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    nothing_moved(&world).await?;
    let another = moving.another(&world, &moving.old, &moving.new).await?;
    assert_eq!(send(&deps, &moving.call(&another)).await?.status, 200, "another challenge does");
    Ok(())
}

#[tokio::test]
async fn a_challenge_of_another_type_is_gone() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    let (user_id, session_id) = (moving.user.user_id, moving.user.session_id);
    let purpose = Purpose::NodeLink { user_id, session_id, new: moving.new.pubkey.parse()? };
    let id = Random::system().id(world.now());
    let text = give(&world, DID, id, purpose).await?;
    let body = signed(id, &text, &moving.old, &moving.new);
    assert_eq!(send(&deps, &moving.call(&body)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    nothing_moved(&world).await
}

#[tokio::test]
async fn anothers_did_in_ones_own_challenge_is_gone() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let thief = node_of(&world, "thief", 3)?;
    let user = world.sign_in(OTHER_DID, &thief.pubkey).await?;
    let deps = wire(&world).await?;
    // A challenge of the thief's account, made out to the DID of another.
    let purpose = Purpose::NodeRebind {
        user_id: user.user_id,
        old: thief.pubkey.parse()?,
        new: moving.new.pubkey.parse()?,
    };
    let id = Random::system().id(world.now());
    let text = give(&world, DID, id, purpose).await?;
    let body = signed(id, &text, &thief, &moving.new);
    let call = moving.call(&body).bearer(&user.access_token);
    assert_eq!(send(&deps, &call).await?.refusal()?, (410, "CHALLENGE_GONE"));
    assert_eq!(rows(&world, "identities WHERE retired_at IS NOT NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_key_that_has_an_account_leaves_the_challenge_unspent() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    world.sign_in(OTHER_DID, &moving.new.pubkey).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &moving.call(&moving.body())).await?;
    assert_eq!(answer.refusal()?, (409, "NODE_ALREADY_BOUND"));
    let open = "challenges WHERE status = 'pending' AND wrong_answers = 0 AND confirmed_at IS NULL";
    assert_eq!(rows(&world, open).await?, 1);
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NOT NULL").await?, 0);
    assert_eq!(rows(&world, "nodes WHERE endpoint IS NOT NULL").await?, 1);
    let freed = format!("DELETE FROM identities WHERE subject = '{}'", moving.new.pubkey);
    world.db.admin().await?.batch_execute(&freed).await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_challenge_counts_to_the_last_second_of_its_time() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let late = moving.another(&world, &moving.old, &moving.new).await?;
    let deps = wire(&world).await?;
    world.advance(Duration::seconds(300));
    assert_eq!(send(&deps, &moving.call(&late)).await?.refusal()?, (410, "CHALLENGE_GONE"));
    nothing_moved(&world).await?;
    world.advance(Duration::seconds(-1));
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn without_a_standing_session_nothing_moves() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let deps = wire(&world).await?;
    let forged = Call::new(ROUTE).json(&moving.body()).bearer("eyJhbGciOiJub25lIn0.e30.");
    let answer = send(&deps, &forged).await?;
    assert_eq!(answer.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));

    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE sessions SET revoked_at = '2026-01-09 12:00Z'").await?;
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.refusal()?, (401, "UNAUTHENTICATED"));
    admin.batch_execute("UPDATE sessions SET revoked_at = NULL").await?;
    world.advance(Duration::minutes(30) + Duration::seconds(5));
    assert_eq!(send(&deps, &moving.call(&moving.body())).await?.refusal()?, (401, "TOKEN_EXPIRED"));
    nothing_moved(&world).await
}
