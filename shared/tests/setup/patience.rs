//! What is not ready, or will never be.

use std::time::Instant;

use anyhow::Context;
use sandbox::Misbehaviour;
use sandbox::lnd::Delay;
use shared::setup::State;
use testing::Result;

use crate::faults::CALLS;
use crate::scene::{ORIGIN, Scene, User};

/// A setup that stands where its macaroon is to be baked.
async fn at_baking(scene: &Scene) -> Result<User> {
    let user = scene.user("satoshi").await?;
    let bake = CALLS.iter().find(|call| call.step == "bake_macaroon: bake").context("nothing is baked")?;
    bake.strike(scene, &Misbehaviour::CloseBefore, 3)?;
    scene.first_run(&user).await?;
    assert_eq!(scene.setup(&user).await?.step.name(), "bake_macaroon", "{}", scene.story(&user).await?);
    Ok(user)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_never_starts_is_looked_at_less_and_less_often_and_given_up_in_the_end() -> Result<()> {
    let scene = Scene::start().await?;
    scene.world.sandbox.voltage().set_delay(Delay { polls: u32::MAX, milliseconds: 0 });
    let user = scene.user("satoshi").await?;
    let claimed = scene.begin(&user).await?;
    scene.api.run(claimed, Instant::now(), ORIGIN).await?;
    let begun = scene.world.now();
    let mut longest = time::Duration::ZERO;
    while scene.setup(&user).await?.state == State::Running {
        let due_at = scene.setup(&user).await?.due_at;
        longest = longest.max(due_at - scene.world.now());
        scene.world.advance((due_at - scene.world.now()).max(time::Duration::ZERO));
        let claimed = scene.jobs.take_up(Some(user.setup_id), ORIGIN).await?;
        scene.jobs.run(claimed.context("it is not due")?, Instant::now(), ORIGIN).await?;
    }
    let took = scene.world.now() - begun;
    assert_eq!(longest, time::Duration::minutes(1), "the longest pause");
    assert!((time::Duration::hours(1)..time::Duration::hours(2)).contains(&took), "given up after {took}");
    let code = "SELECT count(*) FROM lightning_setup_steps WHERE state = 'failed' AND last_error_code = 'NODE_STARTING'";
    assert_eq!(scene.number(code).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_was_handed_over_is_missed_by_no_later_step() -> Result<()> {
    let scene = Scene::start().await?;
    let user = at_baking(&scene).await?;
    let erase = "UPDATE lightning_setup_secrets SET seed_sealed = NULL, seed_handed_over_at = now()";
    scene.admin.batch_execute(erase).await?;
    scene.finish(&user, 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_does_not_open_stops_the_setup_and_says_so() -> Result<()> {
    let scene = Scene::start().await?;
    let user = at_baking(&scene).await?;
    scene.admin.batch_execute("UPDATE lightning_setup_secrets SET root_key_sealed = password_sealed").await?;
    let setup = scene.run_again(&user).await?;
    assert_eq!(setup.state, State::Failed);
    let code = "SELECT count(*) FROM lightning_setup_steps WHERE last_error_code = 'SECRET_UNREADABLE'";
    assert_eq!(scene.number(code).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_read_when_a_step_ends_stops_the_setup_as_well() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    let webhook =
        CALLS.iter().find(|call| call.step == "create_webhook: create").context("no webhook is made")?;
    webhook.strike(&scene, &Misbehaviour::CloseBefore, 1)?;
    scene.first_run(&user).await?;
    assert_eq!(scene.setup(&user).await?.step.name(), "create_webhook", "{}", scene.story(&user).await?);
    // Everything at the providers goes well; what is to be kept of it cannot be read.
    scene
        .admin
        .batch_execute("UPDATE lightning_setup_secrets SET macaroon_sealed = webhook_secret_sealed")
        .await?;
    let setup = scene.run_again(&user).await?;
    assert_eq!(setup.state, State::Failed, "{}", scene.story(&user).await?);
    let code = "SELECT count(*) FROM lightning_setup_steps WHERE last_error_code = 'SECRET_UNREADABLE'";
    assert_eq!(scene.number(code).await?, 1);
    Ok(())
}
