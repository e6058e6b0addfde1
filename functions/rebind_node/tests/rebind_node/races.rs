//! Many at once, on a real Postgres.

use std::time::Duration;

use futures_util::future::join_all;
use rebind_node::Deps;
use shared::challenge::Purpose;
use shared::random::Random;
use testing::{Call, Outcome, Result, World};

use super::{Move, NAME, OTHER_DID, give, node_of, rows, send};

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

fn sorted(answers: &[Outcome]) -> Vec<(u16, &str)> {
    let mut seen: Vec<_> = answers.iter().map(Outcome::error).collect();
    seen.sort_unstable();
    seen
}

#[tokio::test]
async fn of_twenty_valid_answers_at_once_one_moves_the_account() -> Result<()> {
    let world = World::start().await?;
    let moving = Move::prepare(&world).await?;
    let answers = all_at_once(&world, &vec![moving.call(&moving.body()); 20]).await?;
    let seen = sorted(&answers);
    assert_eq!((seen[0], &seen[1..]), ((200, ""), &[(410, "CHALLENGE_GONE"); 19][..]));
    assert_eq!(rows(&world, "audit_logs").await?, 1);
    assert_eq!(rows(&world, "identities WHERE retired_at IS NOT NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_two_moves_of_one_account_at_once_one_happens() -> Result<()> {
    for _ in 0..5 {
        let world = World::start().await?;
        let moving = Move::prepare(&world).await?;
        let third = node_of(&world, "third", 3)?;
        let other = moving.another(&world, &moving.old, &third).await?;
        let answers = all_at_once(&world, &[moving.call(&moving.body()), moving.call(&other)]).await?;
        let seen = sorted(&answers);
        assert_eq!(seen[0], (200, ""), "{seen:?}");
        assert!([(409, "NODE_ALREADY_BOUND"), (410, "CHALLENGE_GONE")].contains(&seen[1]), "{seen:?}");
        assert_eq!(rows(&world, "identities WHERE kind = 'node' AND retired_at IS NULL").await?, 1);
        let bound = "identities i JOIN nodes n ON n.user_id = i.user_id AND n.pubkey = i.subject
                     WHERE i.retired_at IS NULL";
        assert_eq!(rows(&world, bound).await?, 1, "account and node name one key");
        assert_eq!(rows(&world, "challenges WHERE status = 'confirmed'").await?, 1);
        assert_eq!(rows(&world, "audit_logs").await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn of_two_accounts_moving_to_one_key_at_once_one_gets_it() -> Result<()> {
    for _ in 0..5 {
        let world = World::start().await?;
        let moving = Move::prepare(&world).await?;
        let rival = node_of(&world, "rival", 3)?;
        let user = world.sign_in(OTHER_DID, &rival.pubkey).await?;
        let id = Random::system().id(world.now());
        let (user_id, old, new) = (user.user_id, rival.pubkey.parse()?, moving.new.pubkey.parse()?);
        let text = give(&world, OTHER_DID, id, Purpose::NodeRebind { user_id, old, new }).await?;
        let mut body = super::signed(id, &text, &rival, &moving.new);
        body["did"] = OTHER_DID.into();
        let rivals = moving.call(&body).bearer(&user.access_token);
        let answers = all_at_once(&world, &[moving.call(&moving.body()), rivals]).await?;
        assert_eq!(sorted(&answers), [(200, ""), (409, "NODE_ALREADY_BOUND")]);
        let owned = format!("identities WHERE kind = 'node' AND subject = '{}'", moving.new.pubkey);
        assert_eq!(rows(&world, &owned).await?, 1);
        assert_eq!(rows(&world, "challenges WHERE status = 'confirmed'").await?, 1);
    }
    Ok(())
}
