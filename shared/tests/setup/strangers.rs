//! A node without a wallet belongs to whoever reaches it first.

use std::time::Duration;

use anyhow::Context;
use sandbox::{Misbehaviour, Route, Service, When};
use shared::db::Type;
use shared::setup::{Setup, State};
use testing::Result;

use crate::check;
use crate::scene::{Scene, User};

/// The node that was given up is on record and gone; nothing of the stranger's is in use.
async fn a_fresh_node_is_in_use(scene: &Scene, user: &User, setup: &Setup) -> Result<()> {
    assert_eq!((setup.state, setup.generation), (State::Finished, 2), "{}", scene.story(user).await?);
    check::whole(scene, user).await?;
    check::nothing_left_over(scene, 1).await?;
    let told = "SELECT error_code FROM lightning_setup_log WHERE setup_id = $1 AND event = 'started_over'";
    let told = scene.admin.query_typed(told, &[(&user.setup_id, Type::UUID)]).await?;
    assert_eq!(told.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["WALLET_TAKEN"]);
    let audited = "SELECT details->>'code' FROM audit_logs WHERE action = 'setup.started_over'";
    assert_eq!(scene.admin.query_typed_one(audited, &[]).await?.get::<_, &str>(0), "WALLET_TAKEN");
    let nodes = scene.world.sandbox.voltage().nodes();
    assert_eq!(nodes.len(), 1, "the stranger's is not deleted");
    assert_eq!(nodes[0].name, format!("{}-2", nodes[0].name.rsplit_once('-').context("no generation")?.0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_with_a_stranger_s_wallet_is_given_up_for_a_fresh_one() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    scene.world.sandbox.voltage().strangers_take_next(1);
    let setup = scene.first_run(&user).await?;
    a_fresh_node_is_in_use(&scene, &user, &setup).await
}

/// While our own wallet is on its way.
async fn a_stranger_is_quicker(
    scene: &Scene,
    user: &User,
    then: impl AsyncFnOnce(&sandbox::lnd::Node),
) -> Result<()> {
    let init = Route::service(Service::Lnd).method("POST");
    scene.world.sandbox.faults().add(init, When::Times(1), Misbehaviour::Stall { millis: 200 })?;
    let stranger = async {
        while scene.world.sandbox.calls().iter().all(|call| !call.path.ends_with("/v1/initwallet")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let machine = scene.world.sandbox.voltage().nodes().pop().context("no node")?;
        let node = scene.world.sandbox.nodes().get(&machine.lnd).context("no LND")?;
        node.init_by_stranger()?;
        then(&node).await;
        Ok::<_, anyhow::Error>(())
    };
    let (ran, struck) = tokio::join!(scene.first_run(user), stranger);
    struck?;
    ran?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_a_stranger_makes_while_ours_is_on_its_way_is_found_out() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    a_stranger_is_quicker(&scene, &user, async |_| ()).await?;
    let setup = scene.setup(&user).await?;
    a_fresh_node_is_in_use(&scene, &user, &setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_wallet_that_is_locked_is_found_out_by_its_password() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    a_stranger_is_quicker(&scene, &user, async |node| node.restart()).await?;
    let setup = scene.setup(&user).await?;
    a_fresh_node_is_in_use(&scene, &user, &setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_node_that_cannot_be_deleted_at_once_is_deleted_in_the_end() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    scene.world.sandbox.voltage().strangers_take_next(1);
    let delete = Route::service(Service::Voltage).path("/voltage/node/delete");
    let away = Misbehaviour::FailBefore { status: 503, body: "maintenance".into() };
    scene.world.sandbox.faults().add(delete, When::Times(3), away)?;
    assert_eq!(scene.first_run(&user).await?.state, State::Finished, "{}", scene.story(&user).await?);
    assert_eq!(scene.world.sandbox.voltage().nodes().len(), 2);
    let settled = scene.settle().await?;
    assert_eq!((settled.nodes_deleted, settled.stores_deleted), (1, 0));
    a_fresh_node_is_in_use(&scene, &user, &scene.setup(&user).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_while_it_deletes_a_stranger_s_node_leaves_a_setup_that_the_next_runs_finish()
-> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    let delete = Route::service(Service::Voltage).path("/voltage/node/delete");
    scene.world.sandbox.faults().add(delete, When::Times(1), Misbehaviour::StallAfter { millis: 60_000 })?;
    let dies = async {
        while scene.world.sandbox.calls_to(Service::Voltage, "/voltage/node/delete") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        ended = a_stranger_is_quicker(&scene, &user, async |_| ()) => panic!("{ended:?}"),
        () = dies => {}
    }
    scene.finish(&user, 5).await?;
    scene.settle().await?;
    let setup = scene.setup(&user).await?;
    a_fresh_node_is_in_use(&scene, &user, &setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_take_every_node_stop_a_setup_before_it_has_made_many() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    scene.world.sandbox.voltage().strangers_take_next(40);
    assert_eq!(scene.first_run(&user).await?.state, State::Failed, "{}", scene.story(&user).await?);
    let status = check::status(&scene, &user).await?;
    assert!(status.can_retry && !status.has_lightning_address, "{status:?}");
    let made = scene.world.sandbox.objects();
    let nodes = made.iter().find(|objects| objects.service == Service::Voltage && objects.kind == "node");
    assert!(nodes.is_some_and(|nodes| nodes.created == 5 && nodes.deleted == nodes.created), "{nodes:?}");
    // Asked for once more, when they are gone, it goes through.
    scene.world.sandbox.voltage().strangers_take_next(0);
    scene.finish(&user, 1).await?;
    check::whole(&scene, &user).await
}
