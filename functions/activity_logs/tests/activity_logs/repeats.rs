//! The same request again, by its key.

use serde_json::json;
use testing::{Result, World};

use super::{append, send, user};

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";
const WRITTEN: &str = "SELECT count(*) FROM activity_logs";

#[tokio::test]
async fn a_hundred_at_once_with_one_key_write_one_row() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let call = append(&user, &json!({ "action": "x" })).header("idempotency-key", KEY);

    let answers = (0..100).map(|_| send(&world, &call));
    let answers = futures_util::future::join_all(answers).await;

    let mut ids = std::collections::BTreeSet::new();
    for answer in answers {
        let answer = answer?;
        match answer.error() {
            (201, _) => {
                ids.insert(answer.text("/id")?.to_owned());
            }
            other => assert!(matches!(other.0, 409 | 503), "{answer:?}"),
        }
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(world.db.count(WRITTEN).await?, 1);
    let again = send(&world, &call).await?;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, Some("true")));
    assert!(ids.contains(again.text("/id")?));
    Ok(())
}

#[tokio::test]
async fn a_key_used_for_something_else_is_refused_and_no_key_writes_each_time() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let call = |action: &str| append(&user, &json!({ "action": action }));
    assert_eq!(send(&world, &call("x").header("idempotency-key", KEY)).await?.status, 201);
    let other = send(&world, &call("y").header("idempotency-key", KEY)).await?;
    assert_eq!(other.error(), (422, "IDEMPOTENCY_KEY_REUSED"));
    for _ in 0..2 {
        assert_eq!(send(&world, &call("x")).await?.status, 201);
    }
    assert_eq!(world.db.count(WRITTEN).await?, 3);
    Ok(())
}
