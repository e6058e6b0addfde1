//! The limit of a session, counted in the one statement.

use futures_util::future::join_all;
use get_me::Deps;
use shared::clock::Clock;
use testing::binary::{self, RuntimeApi};
use testing::{Call, Result, World};
use time::Duration;

use super::{NAME, send, user};

#[tokio::test]
async fn exactly_the_limit_passes_however_many_come_at_once() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let other = world.sign_in_again(&user, &world.node("node13")?.pubkey).await?;
    let limits = [("RATE_LIMIT_PER_SESSION", "40"), ("DATABASE_POOL_SIZE", "20")];
    let deps = world.wire_with(NAME, &limits, Deps::wire).await?;
    let answers = join_all((0..100).map(|_| send(&deps, &user.access_token))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 40);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
        assert_eq!(refused.header("ratelimit-policy"), Some(r#""default";q=40;w=60"#));
        assert_eq!(refused.header("retry-after"), Some("60"));
    }
    assert_eq!(send(&deps, &other.access_token).await?.status, 200, "each session for itself");
    world.advance(Duration::seconds(60));
    assert_eq!(send(&deps, &user.access_token).await?.status, 200, "the next minute counts anew");
    Ok(())
}

#[tokio::test]
async fn a_request_over_the_limit_learns_nothing_of_its_session() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let deps = world.wire_with(NAME, &[("RATE_LIMIT_PER_SESSION", "1")], Deps::wire).await?;
    send(&deps, &user.access_token).await?;
    world.db.admin().await?.batch_execute("UPDATE sessions SET revoked_at = now()").await?;
    assert_eq!(send(&deps, &user.access_token).await?.refusal()?, (429, "RATE_LIMITED"));
    Ok(())
}

/// Windows are whole minutes of the real clock, and this is over well within one.
async fn wait_for_a_fresh_minute() {
    let second = u64::from(Clock::system().now().second());
    if second > 35 {
        tokio::time::sleep(std::time::Duration::from_secs(60 - second)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_500_too_many_by_50_clients_through_10_processes_exactly_the_limit_passes() -> Result<()> {
    const LIMIT: usize = 100;
    const CLIENTS: usize = 50;
    let world = World::start().await?;
    world.catch_up();
    let mut environment = world.environment(NAME)?;
    environment.insert("RATE_LIMIT_PER_SESSION".to_owned(), LIMIT.to_string());
    let mut processes = Vec::new();
    for _ in 0..10 {
        processes.push(RuntimeApi::start(super::BINARY, &environment).await?);
    }
    wait_for_a_fresh_minute().await;
    world.catch_up();
    let user = user(&world).await?;
    let call = Call::from_event(NAME)?.bearer(&user.access_token);

    let clients = (0..CLIENTS).map(|client| {
        let (process, call) = (&processes[client % processes.len()], &call);
        async move {
            let mut passed = Vec::new();
            for _ in 0..(LIMIT + 500) / CLIENTS {
                let answer = binary::call(process, call).await?;
                let outcome = answer.error();
                assert!(matches!(outcome, (200, "") | (429, "RATE_LIMITED")), "{answer:?}");
                passed.push(outcome.0 == 200);
            }
            anyhow::Ok(passed)
        }
    });
    let passed: Vec<Vec<bool>> = join_all(clients).await.into_iter().collect::<Result<_>>()?;
    let passed = passed.concat();
    assert_eq!((passed.len(), passed.iter().filter(|passed| **passed).count()), (LIMIT + 500, LIMIT));
    let counted = "SELECT count(*) FROM rate_limits WHERE count = 600";
    assert_eq!(world.db.count(counted).await?, 1, "each was counted, by all processes together");
    Ok(())
}
