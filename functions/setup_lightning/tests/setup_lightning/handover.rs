//! `POST /v1/lightning/setup/handover`

use sandbox::lnd::Delay;
use serde_json::json;
use shared::db::roles::Role;
use shared::setup::handover::erase_handed_over;
use testing::{Result, World};
use time::Duration;

use super::{DID, OTHER_DID, User, rows, satoshi, send, wire};

/// Somebody with a wallet that was made for them.
async fn with_wallet(world: &World) -> Result<User> {
    let user = User::new(world, DID, "alice").await?;
    let answer = send(&wire(world).await?, &user.setup(&satoshi())).await?;
    assert_eq!(answer.text("/status")?, "fully_configured", "{answer:?}");
    Ok(user)
}

#[tokio::test]
async fn the_seed_is_24_words_and_says_when_it_is_gone() -> Result<()> {
    let world = World::start().await?;
    let user = with_wallet(&world).await?;
    let answer = send(&wire(&world).await?, &user.handover()).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let fields: Vec<_> = answer.body.as_object().into_iter().flat_map(|fields| fields.keys()).collect();
    assert_eq!(fields, ["erasedAt", "seed"]);
    assert_eq!(answer.text("/erasedAt")?, "2026-01-09T12:01:00Z");
    let words = answer.body["seed"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    assert!(words.len() == 24 && words.iter().all(|word| word.as_str().is_some_and(is_word)), "{words:?}");

    let audited = format!(
        "audit_logs WHERE action = 'seed.handed_over' AND user_id = '{}' AND details::text = '{{\"repeated\":false}}'
         AND request_id = 'request-under-test'",
        user.session.user_id
    );
    assert_eq!(rows(&world, &audited).await?, 1);
    assert_eq!(rows(&world, "lightning_setup_log WHERE event = 'handed_over'").await?, 1);
    let status = send(&wire(&world).await?, &user.status()).await?;
    assert!(!status.reply.body.contains("seed"), "{status:?}");
    Ok(())
}

#[tokio::test]
async fn for_a_minute_the_same_session_gets_it_again_and_no_other_does() -> Result<()> {
    let world = World::start().await?;
    let user = with_wallet(&world).await?;
    let other = world.sign_in_again(&user.session, &user.node.pubkey).await?;
    let deps = wire(&world).await?;
    let first = send(&deps, &user.handover()).await?;
    assert_eq!(first.status, 200, "{first:?}");
    world.advance(Duration::seconds(60));
    let others = user.handover().bearer(&other.access_token);
    assert_eq!(send(&deps, &others).await?.refusal()?, (410, "SEED_GONE"));
    let again = send(&deps, &user.handover()).await?;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    world.advance(Duration::seconds(1));
    for call in [user.handover(), others] {
        assert_eq!(send(&deps, &call).await?.refusal()?, (410, "SEED_GONE"));
    }
    assert_eq!(rows(&world, "audit_logs WHERE action = 'seed.handed_over'").await?, 2);
    Ok(())
}

#[tokio::test]
async fn once_erased_it_is_gone_from_the_database_and_the_wallets_keys_are_not() -> Result<()> {
    let world = World::start().await?;
    let user = with_wallet(&world).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &user.handover()).await?.status, 200);
    world.advance(Duration::seconds(61));
    let jobs = world.db.connect(Role::Jobs).await?;
    assert_eq!(erase_handed_over(&jobs, world.now()).await?, 1);
    assert_eq!(send(&deps, &user.handover()).await?.refusal()?, (410, "SEED_GONE"));
    let left = "lightning_setup_secrets WHERE seed_sealed IS NULL AND num_nulls(password_sealed, root_key_sealed) = 0";
    assert_eq!(rows(&world, left).await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_ten_sessions_at_once_one_gets_the_seed() -> Result<()> {
    let world = World::start().await?;
    let user = with_wallet(&world).await?;
    let mut calls = Vec::new();
    for _ in 0..10 {
        let session = world.sign_in_again(&user.session, &user.node.pubkey).await?;
        calls.push(user.handover().bearer(&session.access_token));
    }
    let deps = world.wire_with(super::NAME, &[("DATABASE_POOL_SIZE", "10")], super::Deps::wire).await?;
    let answers = futures_util::future::join_all(calls.iter().map(|call| send(&deps, call))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let mut seen: Vec<_> = answers.iter().map(testing::Outcome::error).collect();
    seen.sort_unstable();
    assert_eq!((seen[0], &seen[1..]), ((200, ""), &[(410, "SEED_GONE"); 9][..]), "{answers:#?}");
    Ok(())
}

#[tokio::test]
async fn it_takes_a_node_that_signed_within_fifteen_minutes() -> Result<()> {
    let world = World::start().await?;
    let user = with_wallet(&world).await?;
    let deps = wire(&world).await?;
    world.advance(Duration::minutes(15) + Duration::seconds(1));
    assert_eq!(send(&deps, &user.handover()).await?.refusal()?, (403, "STEP_UP_REQUIRED"));
    assert_eq!(send(&deps, &user.status()).await?.status, 200, "the status asks for less");
    assert_eq!(rows(&world, "audit_logs WHERE action = 'seed.handed_over'").await?, 0);
    let again = world.sign_in_again(&user.session, &user.node.pubkey).await?;
    assert_eq!(send(&deps, &user.handover().bearer(&again.access_token)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn without_a_wallet_of_ours_there_is_nothing_to_hand_over() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let user = User::new(&world, DID, "alice").await?;
    assert_eq!(send(&deps, &user.handover()).await?.refusal()?, (404, "NOT_FOUND"));
    world.sandbox.voltage().set_delay(Delay { polls: 2, milliseconds: 0 });
    let slow = [("SETUP_POLL_MILLISECONDS", "60000")];
    let slowly = world.wire_with(super::NAME, &slow, super::Deps::wire).await?;
    assert_eq!(send(&slowly, &user.setup(&satoshi())).await?.status, 202);
    assert_eq!(send(&deps, &user.handover()).await?.refusal()?, (404, "NOT_FOUND"), "it has none yet");
    let other = User::new(&world, OTHER_DID, "bob").await?;
    assert_eq!(send(&deps, &other.setup(&json!({ "username": "bob" }))).await?.status, 200);
    assert_eq!(
        send(&deps, &user.handover()).await?.refusal()?,
        (404, "NOT_FOUND"),
        "another's is not theirs"
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_handed_over() -> Result<()> {
    let world = World::start().await?;
    let user = with_wallet(&world).await?;
    world.db.admin().await?.batch_execute("REVOKE INSERT ON audit_logs FROM satchel_api").await?;
    let answer = send(&wire(&world).await?, &user.handover()).await?;
    assert_eq!(answer.refusal()?, (500, "INTERNAL"));
    assert_eq!(rows(&world, "lightning_setup_secrets WHERE seed_handed_over_at IS NULL").await?, 1);
    Ok(())
}
