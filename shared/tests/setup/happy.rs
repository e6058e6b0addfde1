//! Nothing goes wrong.

use sandbox::Service;
use shared::setup::{NodeSource, State};
use testing::postgres::{Server, StartOptions};
use testing::{Result, TestDb};

use crate::check;
use crate::scene::{Made, Scene, SceneOptions, User};

async fn is_whole_after_one_run(scene: &Scene, user: &User) -> Result<()> {
    let setup = scene.first_run(user).await?;
    assert_eq!(setup.state, State::Finished, "{}", scene.story(user).await?);
    check::whole(scene, user).await?;
    let status = check::status(scene, user).await?;
    let attempts: Vec<i32> = status.steps.iter().map(|step| step.attempts).collect();
    assert!(attempts.iter().all(|attempts| *attempts == 1), "{attempts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_on_a_node_of_its_own_is_fully_configured_on_the_first_try() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    is_whole_after_one_run(&scene, &user).await?;
    check::nothing_left_over(&scene, 1).await?;
    assert_eq!(scene.made(Service::Btcpay, "store"), Made { created: 1, kept: 1 });
    assert_eq!(scene.made(Service::Btcpay, "webhook"), Made { created: 1, kept: 1 });
    assert_eq!(scene.made(Service::Voltage, "node"), Made { created: 1, kept: 1 });
    assert_eq!(scene.made(Service::Lnd, "wallet"), Made { created: 1, kept: 1 });
    assert_eq!(scene.settle().await?.setups, 1);
    assert_eq!(scene.settle().await?.setups, 0, "a setup is looked through once");
    check::whole(&scene, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_on_a_registered_node_connects_that_node_and_makes_none() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user_with("hal", NodeSource::Registered).await?;
    scene.register_node(&user).await?;
    is_whole_after_one_run(&scene, &user).await?;
    check::nothing_left_over(&scene, 1).await?;
    assert_eq!(scene.made(Service::Btcpay, "store"), Made { created: 1, kept: 1 });
    assert_eq!(scene.made(Service::Voltage, "node"), Made { created: 0, kept: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_signs_its_own_certificate_is_pinned_at_both_ends() -> Result<()> {
    let scene = Scene::start_with(SceneOptions { pinned: true, ..SceneOptions::default() }).await?;
    let user = scene.user("wei").await?;
    is_whole_after_one_run(&scene, &user).await?;
    let (_, node) = check::configurations(&scene, &user).await?;
    assert!(node.url.starts_with("https://"), "{}", node.url);
    let pin = data_encoding::HEXLOWER.encode(&scene.world.sandbox.tls().certificate_sha256());
    assert_eq!(node.certificate_sha256, Some(pin));
    Ok(())
}

/// Transactions that wrote, which are those that a disk is waited for. A cluster of its own, for nobody else's to be
/// counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_setup_costs_a_known_number_of_flushed_commits() -> Result<()> {
    let cluster = Server::start(StartOptions::for_tests("setup-commits"))?;
    let scene =
        Scene::start_on(TestDb::create_at(&cluster.admin_url()).await?, SceneOptions::default()).await?;
    let next = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    let mut counted = Vec::new();
    for source in [NodeSource::Voltage, NodeSource::Registered] {
        let user = scene.user_with(source.name(), source).await?;
        if source == NodeSource::Registered {
            scene.register_node(&user).await?;
        }
        let before = scene.number(next).await?;
        let setup = scene.first_run(&user).await?;
        counted.push(scene.number(next).await? - before);
        assert_eq!(setup.state, State::Finished);
    }
    println!(
        "flushed commits per setup: {} with a node of its own, {} on a registered one",
        counted[0], counted[1]
    );
    // Begun and taken up, and the end of each step with the beginning of the next; the registered node's macaroon
    // is read once, and that is audited.
    assert_eq!(counted, [8, 5]);
    drop(scene);
    cluster.stop()
}
