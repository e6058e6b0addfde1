//! Many copies at once, on a real Postgres.

use btcpay_webhook::Deps;
use futures_util::future::join_all;
use serde_json::json;
use testing::{Call, Outcome, Result, World};

use super::{DID, OTHER_DID, delivery, rows, send, signed, store};

async fn all_at_once(world: &World, calls: &[Call]) -> Result<Vec<Outcome>> {
    let deps = world.wire_with(super::NAME, &[("DATABASE_POOL_SIZE", "20")], Deps::wire).await?;
    join_all(calls.iter().map(|call| send(&deps, call))).await.into_iter().collect()
}

#[tokio::test]
async fn of_two_hundred_copies_at_once_one_is_recorded_and_all_are_received() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let copies: Vec<Call> = (0..200)
        .map(|nth| match nth % 4 {
            0 => json!({ "deliveryId": format!("again{nth}"), "isRedelivery": true }),
            _ => json!({}),
        })
        .map(|changes| signed(&store, &delivery(&store, &changes)))
        .collect();
    let answers = all_at_once(&world, &copies).await?;

    let received = answers.iter().filter(|answer| answer.body == json!({ "received": true }));
    assert_eq!(received.count(), 200, "{:?}", answers.iter().find(|answer| answer.status != 200));
    assert_eq!(rows(&world, "webhook_events").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'webhook_secret.read'").await?, 200);
    Ok(())
}

#[tokio::test]
async fn many_events_of_two_stores_at_once_are_all_recorded() -> Result<()> {
    let world = World::start().await?;
    let stores = [store(&world, DID).await?, store(&world, OTHER_DID).await?];
    let calls: Vec<Call> = (0..60)
        .map(|nth| {
            let id = format!("delivery{}", nth / 2);
            let store = &stores[nth % 2];
            signed(store, &delivery(store, &json!({ "deliveryId": id, "originalDeliveryId": id })))
        })
        .collect();
    let answers = all_at_once(&world, &calls).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(rows(&world, "webhook_events").await?, 60);
    Ok(())
}
