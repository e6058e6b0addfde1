//! Five events of one object in every order there is.

use serde_json::Value;
use testing::Result;

use crate::scene::Scene;
use crate::story::{self, AMOUNT};

/// All 120 orders of five.
fn orders() -> Vec<[usize; 5]> {
    let mut orders = Vec::new();
    for code in 0..3_125_usize {
        let order: [usize; 5] =
            std::array::from_fn(|place| code / 5_usize.pow(u32::try_from(place).unwrap_or(0)) % 5);
        if (0..5).all(|each| order.contains(&each)) {
            orders.push(order);
        }
    }
    orders
}

/// Tells the story in every order, each time of other objects, and returns how it ended: always alike.
async fn every_order(tell: fn(&str) -> [Value; 5]) -> Result<Vec<(&'static str, Vec<String>)>> {
    let scene = Scene::start(1).await?;
    let mut first = None;
    let orders = orders();
    assert_eq!(orders.len(), 120);
    for (nth, order) in orders.iter().enumerate() {
        let name = format!("{nth:012}");
        scene.payment(story::payment_id(&name), AMOUNT).await?;
        let events = tell(&name);
        for place in order {
            scene.tell(&events[*place]).await?;
        }
        let books = scene.books(&name).await?;
        let first = first.get_or_insert_with(|| books.clone());
        assert_eq!(&books, first, "in the order {order:?}");
    }
    scene.all_done().await?;
    Ok(first.unwrap_or_default().into_iter().collect())
}

fn told(books: &[(&'static str, Vec<String>)], table: &str) -> Vec<String> {
    books.iter().find(|(name, _)| *name == table).map(|(_, rows)| rows.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_checkout_ends_paid_in_every_order() -> Result<()> {
    let books = every_order(story::checkout).await?;
    assert_eq!(told(&books, "payments"), ["paid 1000 0 f f t"]);
    assert_eq!(told(&books, "entitled").len(), 1);
    assert_eq!(told(&books, "ledger").len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_refund_that_failed_ends_paid_in_every_order() -> Result<()> {
    let books = every_order(story::refunded).await?;
    assert_eq!(told(&books, "payments"), ["paid 1000 0 f f t"]);
    // In, out, and in again.
    assert_eq!(told(&books, "ledger").len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_dispute_that_was_won_ends_paid_in_every_order() -> Result<()> {
    let books = every_order(story::disputed).await?;
    assert_eq!(told(&books, "payments"), ["paid 1000 0 f f t"]);
    // The payment, the withdrawal, its fee, and what came back.
    assert_eq!(told(&books, "ledger").len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_subscription_ends_canceled_in_every_order() -> Result<()> {
    let books = every_order(story::subscribed).await?;
    assert_eq!(told(&books, "subscriptions").len(), 1);
    assert!(told(&books, "entitled").is_empty());
    assert!(told(&books, "subscriptions")[0].contains(" t canceled f f "), "{books:?}");
    Ok(())
}

#[tokio::test]
async fn a_payout_that_came_back_ends_failed_in_every_order() -> Result<()> {
    let books = every_order(story::paid_out).await?;
    assert!(told(&books, "payouts")[0].contains(" failed 900 account_closed "), "{books:?}");
    assert_eq!(told(&books, "ledger").len(), 2);
    Ok(())
}
