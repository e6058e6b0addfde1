//! A process that dies under a setup. Here it is the run that is dropped; the binaries die in `dev/e2e`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sandbox::Misbehaviour;
use shared::setup::{Claimed, NodeSource, Saga, State};
use testing::Result;

use crate::check;
use crate::faults::CALLS;
use crate::scene::{ORIGIN, Scene, SceneOptions, User, beside, full, joined};

/// A retry is one run more.
const RETRIES: u32 = 5;
const LONG: Duration = Duration::from_mins(1);

/// What a future comes to, if it comes to it within so many polls; it is dropped where it waits for the last time.
pub struct Polled<F> {
    pub future: Pin<Box<F>>,
    pub left: u32,
}

impl<F: Future> Future for Polled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.left -= 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Whether it was finished before it came to dying.
async fn dies_after(saga: &Saga, claimed: Claimed, polls: u32) -> Result<bool> {
    let run = Box::pin(saga.run(claimed, Instant::now() + LONG, ORIGIN));
    match (Polled { future: run, left: polls }).await {
        None => Ok(false),
        Some(ended) => Ok(ended?.state == State::Finished),
    }
}

async fn goes_on(scene: &Scene, user: &User) -> Result<u32> {
    if scene.setup(user).await?.state == State::Running {
        ensure!(
            scene.jobs.take_up(Some(user.setup_id), ORIGIN).await?.is_none(),
            "the lease died with its holder"
        );
    }
    let retries = scene.finish(user, RETRIES).await?;
    scene.settle().await?;
    check::whole(scene, user).await?;
    Ok(retries)
}

/// What a run has to cope with besides dying.
#[derive(Clone, Copy)]
enum Life {
    OwnNode,
    RegisteredNode,
    /// The first node of everybody is taken before it can be reached.
    Stranger,
}

/// Dies at the first await, the second, and so on until a setup outlives it.
async fn at_every_await(life: Life, seed: u64) -> Result<[u32; 2]> {
    let scene = Scene::start_with(SceneOptions { seed, ..SceneOptions::default() }).await?;
    let (mut deaths, mut most) = (0, 0);
    for polls in 1.. {
        let source =
            if let Life::RegisteredNode = life { NodeSource::Registered } else { NodeSource::Voltage };
        let user = scene.user_with(&format!("user-{polls}"), source).await?;
        match life {
            Life::OwnNode => {}
            Life::RegisteredNode => _ = scene.register_node(&user).await?,
            Life::Stranger => scene.world.sandbox.voltage().strangers_take_next(1),
        }
        let claimed = scene.begin(&user).await?;
        let finished = dies_after(&scene.api, claimed, polls).await?;
        let retries = goes_on(&scene, &user).await;
        most = most.max(retries.map_err(|error| error.context(format!("dead at poll {polls}")))?);
        if finished {
            check::nothing_left_over(&scene, i64::from(deaths + 1)).await?;
            break;
        }
        deaths += 1;
    }
    Ok([deaths, most])
}

fn at_every_await_of(lives: &[Life]) -> Result<()> {
    let rounds = if full() { 20 } else { 1 };
    let (mut deaths, mut most) = (0, 0);
    for round in 0..rounds {
        let worlds: Vec<_> =
            lives.iter().copied().map(|life| beside(move || at_every_await(life, round + 1))).collect();
        for world in worlds {
            let [died, retries] = joined(world)?;
            (deaths, most) = (deaths + died, most.max(retries));
        }
    }
    println!("{deaths} deaths at every await, {rounds} rounds, at most {most} retries");
    ensure!(deaths > 30, "a run has more awaits than that: {deaths}");
    Ok(())
}

#[test]
fn a_run_that_dies_at_any_await_leaves_a_setup_that_the_next_runs_finish() -> Result<()> {
    at_every_await_of(&[Life::OwnNode, Life::RegisteredNode])
}

#[test]
fn a_run_that_dies_while_it_gives_a_stranger_s_node_up_leaves_a_setup_that_the_next_runs_finish() -> Result<()>
{
    at_every_await_of(&[Life::Stranger])
}

/// Dies while the answer to one call is on its way, the work done.
async fn while_an_answer_is_on_its_way(scene: &Scene, user: &User, call: usize) -> Result<u32> {
    let faults = scene.world.sandbox.faults();
    CALLS[call].strike(scene, &Misbehaviour::StallAfter { millis: 60_000 }, 1)?;
    let (mut saga, mut claimed) = (&scene.api, Some(scene.begin(user).await?));
    while let Some(run) = claimed.take() {
        let struck = async {
            while !faults.list().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // What was struck is done as soon as it has arrived.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        tokio::select! {
            ended = saga.run(run, Instant::now() + LONG, ORIGIN) => { ended?; }
            () = struck => return goes_on(scene, user).await,
        }
        // Calls that are made after a loss are the next run's.
        scene.world.advance(time::Duration::minutes(15));
        (saga, claimed) = (&scene.jobs, scene.jobs.take_up(Some(user.setup_id), ORIGIN).await?);
    }
    let story = scene.story(user).await?;
    Err(anyhow::anyhow!("the call was never made: {story}")).context(CALLS[call].step)
}

async fn at_every_call(seed: u64) -> Result<[u32; 2]> {
    let scene = Scene::start_with(SceneOptions { seed, ..SceneOptions::default() }).await?;
    let (mut deaths, mut most) = (0, 0);
    for (number, call) in CALLS.iter().enumerate() {
        let user = scene.user(&format!("user-{number}")).await?;
        let retries = while_an_answer_is_on_its_way(&scene, &user, number).await;
        most = most.max(retries.map_err(|error| error.context(call.step))?);
        deaths += 1;
    }
    check::nothing_left_over(&scene, i64::from(deaths)).await?;
    Ok([deaths, most])
}

#[test]
fn a_run_that_dies_between_any_answer_and_its_commit_leaves_one_store_and_one_node() -> Result<()> {
    let rounds = if full() { 20 } else { 2 };
    let (mut deaths, mut most) = (0, 0);
    let mut worlds = Vec::new();
    for round in 0..rounds {
        worlds.push(beside(move || at_every_call(200 + round)));
        if worlds.len() == 4 || round + 1 == rounds {
            for world in worlds.drain(..) {
                let [of_world, retries] = joined(world)?;
                (deaths, most) = (deaths + of_world, most.max(retries));
            }
        }
    }
    println!("{deaths} deaths at {} calls, at most {most} retries", CALLS.len());
    Ok(())
}
