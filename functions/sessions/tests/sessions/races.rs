//! Many at once, on a real Postgres.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use serde_json::json;
use sessions::Deps;
use testing::{Result, World};

use super::{END_ALL, NAME, about, create, noted, rows, send, user};

const MANY: &[(&str, &str)] = &[("DATABASE_POOL_SIZE", "50")];

#[tokio::test]
async fn of_100_creations_with_one_key_one_session_comes() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let deps = world.wire_with(NAME, MANY, Deps::wire).await?;
    let call = create(&user, &json!({ "idempotencyKey": "one", "deviceId": "phone" }));
    let answers = join_all((0..100).map(|_| send(&deps, &call))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let bodies: BTreeSet<&str> = answers.iter().map(|answer| answer.reply.body.as_str()).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(answers.iter().all(|answer| answer.status == 201));
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some()).count();
    assert_eq!(replayed, 99);
    assert_eq!(rows(&world, "sessions").await?, 2);
    assert_eq!(noted(&world, "session.created").await?, 1);
    Ok(())
}

#[tokio::test]
async fn no_session_that_is_being_made_escapes_the_end_of_all() -> Result<()> {
    for _ in 0..5 {
        let world = World::start().await?;
        let user = user(&world).await?;
        let deps = world.wire_with(NAME, MANY, Deps::wire).await?;
        let call = create(&user, &json!({}));
        let making = join_all((0..30).map(|_| send(&deps, &call)));
        let (made, ended) = join(making, send(&deps, &about(END_ALL, &user, user.user_id))).await;
        for answer in made {
            assert!(matches!(answer?.error().0, 201 | 401));
        }
        assert_eq!(ended?.status, 200);
        assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 0);
    }
    Ok(())
}
