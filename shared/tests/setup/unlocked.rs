//! Nodes that were restarted after their setups had finished.

use sandbox::lnd::WalletState;
use shared::setup::NodeSource;
use shared::setup::unlock::unlock;
use testing::Result;

use crate::check;
use crate::scene::{ORIGIN, Scene, User};

fn node_of(scene: &Scene, user: &User, name: &str) -> Result<sandbox::lnd::Node> {
    let machine = scene.world.sandbox.voltage().get(name);
    let machine = machine.ok_or_else(|| anyhow::anyhow!("{} has no node", user.name))?;
    scene.world.sandbox.nodes().get(&machine.lnd).ok_or_else(|| anyhow::anyhow!("no LND"))
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_nodes_are_opened_and_one_that_refuses_keeps_no_other_closed() -> Result<()> {
    let scene = Scene::start().await?;
    let mut nodes = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let user = scene.user(name).await?;
        scene.first_run(&user).await?;
        check::whole(&scene, &user).await?;
        nodes.push((node_of(&scene, &user, &scene.marker(&user, 1).await?)?, user));
    }
    assert_eq!(unlock(&scene.jobs, ORIGIN).await?, 0, "all of them are open");

    for (node, _) in &nodes {
        node.restart();
    }
    // Bob's cannot be reached.
    nodes[1].0.set_blackholed(true);

    assert_eq!(unlock(&scene.jobs, ORIGIN).await?, 2);
    for (at, (node, user)) in nodes.iter().enumerate() {
        let open = node.state() != Some(WalletState::Locked);
        assert_eq!(open, at != 1, "{}", user.name);
    }
    nodes[1].0.set_blackholed(false);
    assert_eq!(unlock(&scene.jobs, ORIGIN).await?, 1);
    assert_eq!(unlock(&scene.jobs, ORIGIN).await?, 0);
    let told = "SELECT count(*) FROM lightning_setup_log l JOIN audit_logs a ON a.user_id = l.user_id
                WHERE l.event = 'unlocked' AND a.action = 'wallet.unlocked'";
    assert_eq!(scene.number(told).await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_node_is_its_owner_s_to_open() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user_with("hal", NodeSource::Registered).await?;
    let node = scene.register_node(&user).await?;
    scene.first_run(&user).await?;
    node.restart();
    let calls = node.total_calls();
    assert_eq!(unlock(&scene.jobs, ORIGIN).await?, 0);
    assert_eq!(node.total_calls(), calls);
    Ok(())
}
