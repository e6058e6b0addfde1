//! A process killed in the middle of a setup: the one that serves the user's request, and the one that goes on for
//! it. The binaries keep the machine's time, so a lease ends when the test moves it into the past.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::{Owner, Result, Stack, StackOptions, Tokens};
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::json;

use super::calls::{CALLS, Call, MAKE_STORE, until_struck};
use super::check;

/// Longer than any run.
const FOR_EVER: u64 = 60_000;
/// Until an answer that is to arrive does: time enough to take a lock.
const A_MOMENT: u64 = 150;
const PATIENCE: Duration = Duration::from_secs(20);
/// More runs than any setup needs here after a death.
const RUNS: usize = 3;

/// What the process does not live to see.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Work,
    Answer,
    Commit,
}

const MOMENTS: [Before; 3] = [Before::Work, Before::Answer, Before::Commit];

/// Who runs the setup.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Runner {
    Request,
    Schedule,
}

/// Somebody who wants a setup.
struct User {
    owner: Owner,
    tokens: Tokens,
    name: String,
    source: &'static str,
}

impl Runner {
    fn function(self) -> &'static str {
        match self {
            Self::Request => "setup_lightning",
            Self::Schedule => "resume_lightning_setups",
        }
    }

    /// One run, to its end: whether it lived to answer.
    async fn run(self, stack: &Stack, user: &User) -> Result<bool> {
        match self {
            Self::Request => {
                let answer = user.owner.set_up(&user.tokens, &user.name, user.source).send().await?;
                if answer.status == 500 {
                    ensure!(answer.header("x-gateway-error") == "function-died", "{answer}");
                }
                Ok(answer.status != 500)
            }
            Self::Schedule => match stack.resume().await {
                Ok(_) => Ok(true),
                Err(error) => {
                    ensure!(error.to_string().contains("function-died"), "{error:#}");
                    Ok(false)
                }
            },
        }
    }
}

impl User {
    /// Signed in. With the schedule to run it first, the setup is begun: by the sign-in, or by a request that died
    /// at once.
    async fn new(stack: &Stack, name: String, source: &'static str, first: Runner) -> Result<Self> {
        let owner = Owner::new(stack)?;
        if first == Runner::Schedule && source == "voltage" {
            let answer = owner.sign_in_wishing(&json!({ "username": name })).await?.json()?;
            ensure!(answer["data"]["lightning_setup"] == json!({ "status": "in_progress" }), "{answer}");
            return Ok(Self { owner, tokens: Tokens::read(&answer)?, name, source });
        }
        let tokens = owner.sign_in().await?;
        if source == "registered" {
            owner.register_within_reach(stack, &tokens).await?;
        }
        let user = Self { owner, tokens, name, source };
        if first == Runner::Schedule {
            user.dies_at(stack, &MAKE_STORE, Before::Work, Runner::Request).await?;
            stack.sandbox.faults().clear();
            stack.an_hour_passes().await?;
        }
        Ok(user)
    }

    /// Runs it until it is struck at this call, and kills whoever runs it then.
    async fn dies_at(&self, stack: &Stack, call: &Call, moment: Before, first: Runner) -> Result<()> {
        let misbehave = match moment {
            Before::Work => Misbehaviour::Hang,
            Before::Answer => Misbehaviour::StallAfter { millis: FOR_EVER },
            Before::Commit => Misbehaviour::StallAfter { millis: A_MOMENT },
        };
        call.strike(stack, misbehave)?;
        let mut admin = stack.admin().await?;
        let mut runner = first;
        for _ in 0..RUNS {
            let mut run = std::pin::pin!(runner.run(stack, self));
            tokio::select! {
                lived = &mut run => ensure!(lived?, "{runner:?} died by itself"),
                struck = until_struck(stack) => {
                    struck?;
                    let holding = admin.transaction().await?;
                    if moment == Before::Commit {
                        holding.batch_execute("SELECT FROM lightning_setups WHERE state = 'running' FOR UPDATE").await?;
                        let waits = tokio::time::timeout(PATIENCE, stack.until_somebody_waits()).await;
                        waits.context("it did not come to its commit")??;
                    }
                    stack.gateway.kill(runner.function()).await?;
                    ensure!(!run.await?, "{runner:?} lived on");
                    return Ok(holding.rollback().await?);
                }
            }
            // A call that is only made after a loss is a later run's.
            stack.an_hour_passes().await?;
            runner = Runner::Schedule;
        }
        anyhow::bail!("never called")
    }

    /// Runs it until `ready`, and kills whoever runs it then.
    async fn dies(
        &self,
        stack: &Stack,
        runner: Runner,
        ready: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let mut run = std::pin::pin!(runner.run(stack, self));
        tokio::select! {
            lived = &mut run => anyhow::bail!("{runner:?} was done before: {lived:?}"),
            ready = ready => ready?,
        }
        stack.gateway.kill(runner.function()).await?;
        ensure!(!run.await?, "{runner:?} lived on");
        Ok(())
    }

    /// As after any crash: nobody touches it while its lease lasts, its user is told so, and then it is finished.
    async fn goes_on(&self, stack: &Stack) -> Result<usize> {
        stack.sandbox.faults().clear();
        let status = self.owner.setup_status(&self.tokens).send().await?;
        ensure!(
            status.json()?["status"] == "in_progress" && !status.header("retry-after").is_empty(),
            "{status}"
        );
        ensure!(stack.resume().await?["resumed"] == 0, "the lease died with its holder");
        for runs in 1..=RUNS {
            stack.an_hour_passes().await?;
            stack.resume().await?;
            let status = self.owner.setup_status(&self.tokens).ok().await?;
            if status["status"] == "fully_configured" {
                check::whole(stack, &self.owner, &self.tokens, &self.name).await?;
                return Ok(runs);
            }
        }
        anyhow::bail!("not finished by {RUNS} runs: {}", stack.story(&self.name).await?)
    }
}

/// One death, and what comes after it.
async fn one(
    stack: &Stack,
    (call, source): (&Call, &'static str),
    (moment, first): (Before, Runner),
    name: String,
) -> Result<usize> {
    let told = format!("{} of {name} ({source}), before the {moment:?}, {first:?}", call.step);
    let outlived = async {
        let user = User::new(stack, name, source, first).await?;
        user.dies_at(stack, call, moment, first).await?;
        user.goes_on(stack).await
    };
    let started = Instant::now();
    let runs = outlived.await.context(told.clone())?;
    println!("{told}: {runs} runs, {:?}", started.elapsed());
    Ok(runs)
}

async fn killed_at_every_call(source: &'static str, rounds: usize) -> Result<()> {
    let stack = Stack::start_with(StackOptions { max_processes: 1, ..StackOptions::default() }).await?;
    let of_source = |call: &&Call| source == "voltage" || call.is_at_the_store();
    let (mut deaths, mut most) = (0, 0);
    for round in 0..rounds {
        for (at, call) in CALLS.iter().filter(of_source).enumerate() {
            // In six rounds each call is met at every moment and by both.
            let moment = MOMENTS[(round + at) % 3];
            let begins = (round + at / 3) % 2 == 0 || source == "registered" && call.is_after_a_loss();
            let first = if begins { Runner::Request } else { Runner::Schedule };
            let runs = one(&stack, (call, source), (moment, first), format!("user-{round}-{at}")).await?;
            (deaths, most) = (deaths + 1, most.max(runs));
        }
    }
    check::nothing_left_over(&stack, deaths, if source == "voltage" { deaths } else { 0 }).await?;
    println!("{source}: {deaths} processes killed, {rounds} rounds, at most {most} runs after it");
    stack.stop().await
}

#[tokio::test]
async fn killed_at_any_call_a_setup_is_finished_by_the_next_runs_with_one_store_and_one_node() -> Result<()> {
    killed_at_every_call("voltage", if e2e::full() { 20 } else { 1 }).await
}

#[tokio::test]
async fn killed_at_any_call_a_setup_on_a_node_of_its_user_s_is_finished_with_one_store_and_no_node()
-> Result<()> {
    killed_at_every_call("registered", if e2e::full() { 20 } else { 1 }).await
}

/// The last step calls nobody: it is one transaction.
#[tokio::test]
async fn killed_in_the_transaction_that_activates_it_a_setup_is_activated_once_by_the_next_run() -> Result<()>
{
    let stack = Stack::start_with(StackOptions { max_processes: 1, ..StackOptions::default() }).await?;
    let rounds = if e2e::full() { 20 } else { 1 };
    let (mut admin, mut deaths) = (stack.admin().await?, 0);
    for round in 0..rounds {
        for (runner, source) in [
            (Runner::Request, "voltage"),
            (Runner::Schedule, "voltage"),
            (Runner::Request, "registered"),
            (Runner::Schedule, "registered"),
        ] {
            let user = User::new(&stack, format!("user-{round}-{deaths}"), source, runner).await?;
            let holding = admin.transaction().await?;
            holding.batch_execute("LOCK TABLE lightning_addresses IN SHARE MODE").await?;
            user.dies(&stack, runner, stack.until_somebody_waits()).await?;
            holding.rollback().await?;
            ensure!(user.goes_on(&stack).await? == 1, "one run is enough");
            deaths += 1;
        }
    }
    check::nothing_left_over(&stack, deaths, deaths / 2).await?;
    stack.stop().await
}

#[tokio::test]
async fn killed_after_the_last_commit_a_setup_is_done_and_its_user_is_told_so_when_they_ask_again()
-> Result<()> {
    let stack = Stack::start_with(StackOptions { max_processes: 1, ..StackOptions::default() }).await?;
    let rounds = if e2e::full() { 20 } else { 1 };
    let mut admin = stack.admin().await?;
    for round in 0..rounds {
        let user = User::new(&stack, format!("user-{round}"), "voltage", Runner::Request).await?;
        CALLS[0].strike(&stack, Misbehaviour::StallAfter { millis: A_MOMENT })?;
        let holding = admin.transaction().await?;
        let ready = async {
            until_struck(&stack).await?;
            // What is told at the end needs the session once more.
            holding.batch_execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE").await?;
            stack.until_somebody_waits().await
        };
        user.dies(&stack, Runner::Request, ready).await?;
        holding.rollback().await?;

        let answer = user.owner.set_up(&user.tokens, &user.name, "voltage").send().await?;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(stack.setup(&user.name).await?.runs, 1, "nobody had to run it again");
        check::whole(&stack, &user.owner, &user.tokens, &user.name).await?;
    }
    // Who looks for extras dies as well.
    stack.an_hour_passes().await?;
    let onlooker = User::new(&stack, "onlooker".into(), "voltage", Runner::Request).await?;
    let listing = Route::service(Service::Btcpay).method("GET").path("/btcpay/api/v1/stores");
    stack.sandbox.faults().add(listing, When::Times(1), Misbehaviour::Hang)?;
    onlooker.dies(&stack, Runner::Schedule, until_struck(&stack)).await?;
    check::nothing_left_over(&stack, rounds, rounds).await?;
    stack.stop().await
}
