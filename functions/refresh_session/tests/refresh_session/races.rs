//! Many at once, on a real Postgres.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use testing::{Outcome, Result, World};
use time::Duration;

use super::{Deps, NAME, refresh, rows, user};

/// The limits are the usual ones: of a hundred at once each is one request, however often it has to look.
const MANY: &[(&str, &str)] = &[("DATABASE_POOL_SIZE", "50")];

async fn all_at_once(deps: &Deps, token: &str, times: usize) -> Result<Vec<Outcome>> {
    join_all((0..times).map(|_| refresh(deps, token))).await.into_iter().collect()
}

#[tokio::test]
async fn of_100_refreshes_with_one_token_all_get_the_same_child() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let deps = world.wire_with(NAME, MANY, Deps::wire).await?;
    let mut token = user.refresh_token.clone();
    for round in 1..=3 {
        let answers = all_at_once(&deps, &token, 100).await?;
        let children: Result<BTreeSet<&str>> =
            answers.iter().map(|answer| answer.text("/refreshToken")).collect();
        let children = children?;
        assert_eq!(children.len(), 1, "round {round}");
        token = children.into_iter().next().unwrap_or_default().to_owned();
        let counted = format!("sessions WHERE revoked_at IS NULL AND refresh_counter = {round}");
        assert_eq!(rows(&world, &counted).await?, 1, "round {round}: spent once, and alive");
        world.advance(Duration::seconds(90));
    }
    assert_eq!(rows(&world, "audit_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn of_100_reuses_after_the_window_none_gets_anything_and_one_is_written_down() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let deps = world.wire_with(NAME, MANY, Deps::wire).await?;
    assert_eq!(refresh(&deps, &user.refresh_token).await?.status, 200);
    world.advance(Duration::seconds(61));
    for answer in all_at_once(&deps, &user.refresh_token, 100).await? {
        assert_eq!(answer.refusal()?, (401, "REFRESH_REJECTED"));
    }
    assert_eq!(rows(&world, "audit_logs WHERE action = 'session.reuse_detected'").await?, 1);
    assert_eq!(rows(&world, "sessions WHERE revoked_reason = 'refresh_token_reused'").await?, 1);
    Ok(())
}
