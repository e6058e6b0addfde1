//! What finished setups made twice is deleted, and one of them in trouble does not keep the others.

use std::time::Duration;

use anyhow::Context;
use sandbox::{Misbehaviour, Route, Service, When};
use shared::btcpay::StoreId;
use shared::crypto::Secret;
use shared::setup::settle::Settled;
use testing::Result;
use testing::world::ISSUER_URL;

use crate::check;
use crate::scene::{Scene, User};

const STORES: &str = "/btcpay/api/v1/stores";

fn stores(method: &str) -> Route {
    Route::service(Service::Btcpay).method(method).path(STORES)
}

/// Finished in its second run: an answer was lost.
async fn finished(scene: &Scene, name: &str) -> Result<User> {
    let user = scene.user(name).await?;
    scene.world.sandbox.faults().add(stores("POST"), When::Times(1), Misbehaviour::CloseAfter)?;
    scene.first_run(&user).await?;
    assert_eq!(scene.finish(&user, 1).await?, 1);
    Ok(user)
}

async fn store_of(scene: &Scene, user: &User) -> Result<StoreId> {
    Ok(scene.setup(user).await?.btcpay_store_id.context("no store")?.parse()?)
}

async fn second_store(scene: &Scene, user: &User) -> Result<String> {
    let website = format!("https://app.example.com/#{}", scene.marker(user, 1).await?);
    scene.world.sandbox.btcpay().add_store(&user.name, Some(&website))
}

fn settled(setups: usize, stores_deleted: usize) -> Settled {
    Settled { setups, stores_deleted, nodes_deleted: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_and_the_webhook_on_record_stay_in_whatever_order_they_are_listed() -> Result<()> {
    for newest_first in [false, true] {
        let scene = Scene::start().await?;
        scene.world.sandbox.btcpay().list_newest_first(newest_first);
        let mut users = Vec::new();
        for name in ["alice", "bob", "carol", "dave"] {
            let user = finished(&scene, name).await?;
            second_store(&scene, &user).await?;
            let store = store_of(&scene, &user).await?;
            let url = format!("{ISSUER_URL}/v1/webhooks/btcpay/{store}");
            scene.btcpay.create_webhook(&store, &url, &Secret::new("another".into())).await?;
            users.push(user);
        }
        assert_eq!(scene.settle().await?, settled(4, 4));
        for user in &users {
            check::whole(&scene, user).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_somebody_deleted_does_not_keep_the_others_from_being_settled() -> Result<()> {
    let scene = Scene::start().await?;
    let (gone, other) = (finished(&scene, "alice").await?, finished(&scene, "bob").await?);
    second_store(&scene, &other).await?;
    scene.btcpay.delete_store(&store_of(&scene, &gone).await?).await?;
    assert_eq!(scene.settle().await?, settled(2, 1));
    assert_eq!(scene.settle().await?, settled(0, 0));
    check::whole(&scene, &other).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_deleted_is_left_for_later_and_the_others_are_settled() -> Result<()> {
    let scene = Scene::start().await?;
    let mut users = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let user = finished(&scene, name).await?;
        users.push((second_store(&scene, &user).await?, user));
    }
    let stuck = stores("DELETE").path(&format!("{STORES}/{}", users[1].0));
    let busy = Misbehaviour::FailBefore { status: 503, body: "busy".into() };
    scene.world.sandbox.faults().add(stuck, When::Always, busy)?;
    assert_eq!(scene.settle().await?, settled(2, 2));
    assert_eq!(scene.settle().await?, settled(0, 0));
    scene.world.sandbox.faults().clear();
    assert_eq!(scene.settle().await?, settled(1, 1));
    for (_, user) in &users {
        check::whole(&scene, user).await?;
    }
    check::nothing_left_over(&scene, 3).await
}

/// A second webhook is made late, by a run that nobody waits for any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_after_a_setup_finished_is_found_by_settling() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    let late = Misbehaviour::Late { millis: 400 };
    let webhooks = Route::service(Service::Btcpay).method("POST").path(&format!("{STORES}/"));
    scene.world.sandbox.faults().add(stores("POST"), When::Times(1), late.clone())?;
    scene.world.sandbox.faults().add(webhooks, When::Times(1), late)?;
    scene.first_run(&user).await?;
    scene.finish(&user, 3).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(check::stores(&scene, &user).await?.len(), 2);
    assert_eq!(scene.settle().await?, settled(1, 1));
    check::whole(&scene, &user).await?;
    check::nothing_left_over(&scene, 1).await
}
