//! The events of a payment at the same moment, over many connections.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testing::Result;
use tokio::task::JoinSet;

use crate::scene::{Scene, full};
use crate::story::{self, AMOUNT};

const CONNECTIONS: u32 = 20;

async fn told(scene: &Scene, event: &Value) -> Result<()> {
    scene.tell(event).await.map(drop)
}

/// Tells the five events of each payment at once, `PAYMENTS` times, and compares with those told in order.
async fn at_once(tell: fn(&str) -> Vec<Value>) -> Result<()> {
    let payments: u32 = if full() { 500 } else { 50 };
    let scene = Arc::new(Scene::start(CONNECTIONS).await?);
    let in_order = format!("{:012}", 0);
    scene.payment(story::payment_id(&in_order), AMOUNT).await?;
    for event in tell(&in_order) {
        told(&scene, &event).await?;
    }
    let expected = scene.books(&in_order).await?;

    // All of one payment side by side, and four payments beside each other.
    for some in (1..=payments).collect::<Vec<_>>().chunks(4) {
        let mut tasks = JoinSet::new();
        for nth in some {
            let name = format!("{nth:012}");
            scene.payment(story::payment_id(&name), AMOUNT).await?;
            for event in tell(&name) {
                let scene = Arc::clone(&scene);
                tasks.spawn(async move { told(&scene, &event).await });
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
    }
    for nth in 1..=payments {
        assert_eq!(scene.books(&format!("{nth:012}")).await?, expected, "payment {nth}");
    }
    scene.all_done().await?;
    nobody_waited_for_each_other(&scene).await
}

/// By Postgres' own count, which is written a moment later.
async fn nobody_waited_for_each_other(scene: &Scene) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(scene.count(deadlocks).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_checkout_told_all_at_once_ends_as_in_order() -> Result<()> {
    at_once(|name| story::checkout(name).to_vec()).await
}

#[tokio::test]
async fn a_refund_that_failed_told_all_at_once_ends_as_in_order() -> Result<()> {
    at_once(|name| story::refunded(name).to_vec()).await
}

#[tokio::test]
async fn a_dispute_that_was_won_told_all_at_once_ends_as_in_order() -> Result<()> {
    at_once(|name| story::disputed(name).to_vec()).await
}

#[tokio::test]
async fn a_subscription_told_all_at_once_ends_as_in_order() -> Result<()> {
    at_once(|name| story::subscribed(name).to_vec()).await
}

/// A charge that brings several refunds along touches what each refund's own event touches.
#[tokio::test]
async fn charges_that_bring_their_refunds_and_the_refunds_themselves_never_wait_for_each_other() -> Result<()>
{
    at_once(|name| {
        let refunds: Vec<Value> = (0..6)
            .map(|nth| {
                let mut refund = story::refund(name, "succeeded");
                refund["id"] = json!(format!("re{nth}_{name}"));
                refund["amount"] = json!(100);
                // As long ago: only its charge.
                refund["payment_intent"] = Value::Null;
                refund
            })
            .collect();
        let mut charge = story::charge(name, 600);
        charge["refunds"] = json!({ "object": "list", "data": refunds.clone() });
        let mut told = vec![
            story::event(name, 0, "payment_intent.succeeded", story::intent(name, "succeeded")),
            story::event(name, 1, "charge.refunded", charge),
        ];
        for (nth, refund) in (2..).zip(refunds) {
            told.push(story::event(name, nth, "refund.updated", refund));
        }
        told
    })
    .await
}
