//! Whatever happened and however it was told: once everything was told, the books say what happened.

use futures_util::future::try_join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use testing::Result;
use uuid::Uuid;

use crate::delivery::{Delivered, delivered};
use crate::history::{History, history};
use crate::others::{Payout, Subscription, payout, subscription};
use crate::scene::{Books, Scene, full};
use crate::story::payment_id;

/// Beside one another.
const LANES: usize = 4;

/// Something that events tell of.
trait Story: Clone + std::fmt::Debug {
    /// How much our own payment is over; `None` without one.
    fn amount(&self) -> Option<i64>;
    fn events(&self, name: &str) -> Vec<Value>;
    /// What must be true of the books, and is not.
    fn wrong(&self, books: &Books) -> Option<String>;
}

impl Story for History {
    fn amount(&self) -> Option<i64> {
        Some(self.amount)
    }

    fn events(&self, name: &str) -> Vec<Value> {
        self.tell(name).0
    }

    fn wrong(&self, books: &Books) -> Option<String> {
        let outcome = self.tell("").1;
        let [row] = books["payments"].as_slice() else { return Some(String::from("not one payment")) };
        let told: Vec<&str> = row.split(' ').collect();
        let [state, received, refunded, "f", "f", entitled] = told[..] else { return Some(row.clone()) };
        if (state, received.parse(), refunded.parse())
            != (outcome.state, Ok(outcome.received), Ok(outcome.refunded))
        {
            return Some(format!("{row} is not {outcome:?}"));
        }
        let is_entitled = matches!(state, "paid" | "partially_refunded" | "disputed");
        if (entitled == "t") != is_entitled || books["entitled"].len() != usize::from(is_entitled) {
            return Some(format!("{row}, and the outbox says {:?}", books["entitled"]));
        }
        let moved = sum(books, &["payment", "refund", "refund_reversed"]);
        let taken = sum(books, &["dispute", "dispute_reversed"]);
        if (moved, taken) != (outcome.received - outcome.refunded, -outcome.disputed) {
            return Some(format!("{moved} and {taken} moved, and there was {outcome:?}"));
        }
        None
    }
}

impl Story for Subscription {
    fn amount(&self) -> Option<i64> {
        Some(self.amount)
    }

    fn events(&self, name: &str) -> Vec<Value> {
        self.tell(name)
    }

    fn wrong(&self, books: &Books) -> Option<String> {
        let [row] = books["subscriptions"].as_slice() else {
            return Some(String::from("not one subscription"));
        };
        let told: Vec<&str> = row.split(' ').collect();
        let [_, owned, status, _, entitled, ..] = told[..] else { return Some(row.clone()) };
        let is_entitled = matches!(self.ends(), "trialing" | "active" | "past_due");
        if (owned, status, entitled == "t") != ("t", self.ends(), is_entitled) {
            return Some(format!("{row} is not {}", self.ends()));
        }
        let told = books["entitled"].iter().filter(|key| key.starts_with("sub_")).count();
        (told != usize::from(is_entitled))
            .then(|| format!("{row}, and the outbox says {:?}", books["entitled"]))
    }
}

impl Story for Payout {
    fn amount(&self) -> Option<i64> {
        None
    }

    fn events(&self, name: &str) -> Vec<Value> {
        self.tell(name)
    }

    fn wrong(&self, books: &Books) -> Option<String> {
        let [row] = books["payouts"].as_slice() else { return Some(String::from("not one payout")) };
        let left = if matches!(self.ends(), "failed" | "canceled") { 0 } else { -self.amount };
        let ends = row.split(' ').nth(1) == Some(self.ends());
        let moved = sum(books, &["payout", "payout_reversed"]);
        (!ends || moved != left).then(|| format!("{row} with {moved} moved is not {self:?}"))
    }
}

/// What the ledger's lines of these kinds come to.
fn sum(books: &Books, kinds: &[&str]) -> i64 {
    let parts = books["ledger"].iter().map(|line| line.split(' ').collect::<Vec<_>>());
    parts.filter(|parts| kinds.contains(&parts[1])).filter_map(|parts| parts[3].parse::<i64>().ok()).sum()
}

/// Tells `events`, our own row coming after so many of them, and reads the books.
async fn tell(
    scene: &Scene,
    name: &str,
    amount: Option<i64>,
    row_after: usize,
    events: &[Value],
) -> Result<Books> {
    let mut row = amount;
    for (nth, event) in events.iter().enumerate() {
        if let Some(amount) = row.filter(|_| nth >= row_after) {
            scene.payment(payment_id(name), amount).await?;
            row = None;
        }
        scene.tell(event).await?;
    }
    if let Some(amount) = row {
        scene.payment(payment_id(name), amount).await?;
    }
    scene.books(name).await
}

/// What is wrong about a story told in its order and, of other objects, as it was delivered.
async fn wrong(scene: &Scene, nth: u32, story: &impl Story, delivered: &Delivered) -> Result<Option<String>> {
    let (first, second) = (format!("{:012}", nth * 2), format!("{:012}", nth * 2 + 1));
    let in_order = tell(scene, &first, story.amount(), 0, &story.events(&first)).await?;
    if let Some(wrong) = story.wrong(&in_order) {
        return Ok(Some(format!("in order: {wrong}")));
    }
    let events = delivered.of(&story.events(&second));
    let mut told = tell(scene, &second, story.amount(), delivered.row_after, &events).await?;
    if delivered.row_after > 0 {
        scene.claim().await?;
        told = scene.books(&second).await?;
    }
    let order: Vec<String> =
        events.iter().map(|event| event["id"].to_string().replace(&second, "")).collect();
    let differs = in_order != told;
    Ok(differs.then(|| format!("in order: {in_order:#?}\ntold: {told:#?}\nas {order:?}")))
}

/// Every case in lanes beside one another; of those that fail the first, made as small as it can be.
async fn all<S: Story>(stories: impl Strategy<Value = S>) -> Result<()> {
    let cases = if full() { 2_000 } else { 256 };
    let scene = Scene::start(u32::try_from(LANES)?).await?;
    let mut runner = TestRunner::new(Config::default());
    let strategy = (stories, delivered());
    let mut trees = Vec::new();
    for _ in 0..cases {
        trees.push(strategy.new_tree(&mut runner).map_err(|reason| anyhow::anyhow!("{reason}"))?);
    }
    let mut next = 0;
    for some in trees.chunks_mut(LANES) {
        let lanes = some.iter().enumerate().map(|(lane, tree)| {
            let (story, delivered) = tree.current();
            let (nth, scene) = (next + u32::try_from(lane).unwrap_or_default(), &scene);
            async move { wrong(scene, nth, &story, &delivered).await }
        });
        let found = try_join_all(lanes).await?;
        next += u32::try_from(LANES)?;
        if let Some(lane) = found.iter().position(Option::is_some) {
            let smallest = shrink(&scene, next, &mut some[lane]).await?;
            let (story, delivered) = some[lane].current();
            anyhow::bail!(
                "{story:#?}\n{:?}\n{}",
                delivered.row_after,
                smallest.or(found[lane].clone()).unwrap_or_default()
            );
        }
    }
    let doubled =
        "SELECT count(*) FROM (SELECT 1 FROM ledger GROUP BY source_object, kind HAVING count(*) > 1) twice";
    assert_eq!(scene.count(doubled).await?, 0);
    scene.all_done().await?;
    println!("{cases} histories, each told in order and as it came");
    Ok(())
}

async fn shrink<S: Story>(
    scene: &Scene,
    mut nth: u32,
    tree: &mut impl ValueTree<Value = (S, Delivered)>,
) -> Result<Option<String>> {
    let mut smallest = None;
    let mut simpler = tree.simplify();
    for _ in 0..300 {
        if !simpler {
            break;
        }
        nth += 1;
        let (story, delivered) = tree.current();
        match wrong(scene, nth, &story, &delivered).await? {
            None => simpler = tree.complicate(),
            wrong => {
                smallest = wrong;
                simpler = tree.simplify();
            }
        }
    }
    Ok(smallest)
}

#[tokio::test]
async fn a_payment_ends_as_it_happened_however_it_was_told() -> Result<()> {
    all(history()).await
}

#[tokio::test]
async fn a_subscription_ends_as_it_happened_however_it_was_told() -> Result<()> {
    all(subscription()).await
}

#[tokio::test]
async fn a_payout_ends_as_it_happened_however_it_was_told() -> Result<()> {
    all(payout()).await
}

#[test]
fn ids_of_a_telling_are_its_own() {
    assert_ne!(payment_id("000000000001"), payment_id("000000000002"));
    assert_ne!(payment_id("000000000001"), Uuid::nil());
}
