//! The limit of a session, counted in the one statement.

use futures_util::future::join_all;
use get_me::Deps;
use testing::{Result, World};
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
