//! Limits are the database's, so that any number of processes counts together.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::client::Request;
use e2e::owner::new_did;
use e2e::stack::ADDRESS_HEADER;
use e2e::{Answer, Owner, Result, Stack, StackOptions, form};
use shared::clock::Clock;
use tokio::task::JoinSet;

const LIMIT: usize = 100;
const TOO_MANY: usize = 500;
const CLIENTS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_passes_from_one_address_through_several_processes() -> Result<()> {
    let stack = start("RATE_LIMIT_SIGN_IN_PER_ADDRESS").await?;
    wait_for_a_fresh_minute().await;
    let owner = Owner::new(&stack)?;

    let from = |address: &'static str| {
        let owner = owner.clone();
        move || Owner { did: new_did(), ..owner.clone() }.ask("qrcode_login").header(ADDRESS_HEADER, address)
    };
    let answers = send_all(from("203.0.113.1")).await?;

    check(&answers)?;
    assert!(stack.gateway.process_ids("create_challenge").len() > 1, "one process counts alone");
    assert_eq!(from("203.0.113.2")().send().await?.status, 200, "another address is not concerned");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_passes_for_one_did_from_one_address() -> Result<()> {
    let stack = start("RATE_LIMIT_SIGN_IN_PER_DID").await?;
    wait_for_a_fresh_minute().await;
    let owner = Owner::new(&stack)?;

    let asking = owner.clone();
    let answers = send_all(move || asking.ask("qrcode_login")).await?;

    check(&answers)?;
    let elsewhere = owner.ask("qrcode_login").header(ADDRESS_HEADER, "203.0.113.9");
    assert_eq!(elsewhere.send().await?.status, 200, "its owner elsewhere is not locked out");
    stack.stop().await
}

async fn start(limit: &str) -> Result<Stack> {
    let environment = BTreeMap::from([(limit.to_owned(), LIMIT.to_string())]);
    Stack::start_with(StackOptions { environment, max_processes: 4, ..StackOptions::default() }).await
}

/// As many requests as are too many, by as many clients as fit.
async fn send_all(request: impl Fn() -> Request + Clone + Send + 'static) -> Result<Vec<Answer>> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let request = request.clone();
        clients.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..(LIMIT + TOO_MANY) / CLIENTS {
                answers.push(request().send().await?);
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = Vec::new();
    while let Some(more) = clients.join_next().await {
        answers.extend(more??);
    }
    Ok(answers)
}

fn check(answers: &[Answer]) -> Result<()> {
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!((answers.len(), refused.len()), (LIMIT + TOO_MANY, TOO_MANY));
    for answer in refused {
        assert_eq!(form::error_code(answer)?, "RATE_LIMITED");
        let wait = answer.header("retry-after");
        assert_eq!(answer.header("ratelimit-policy"), format!("\"default\";q={LIMIT};w=60"));
        assert_eq!(answer.header("ratelimit"), format!("\"default\";r=0;t={wait}"));
    }
    Ok(())
}

/// Windows are whole minutes, and this is over well within one.
async fn wait_for_a_fresh_minute() {
    let second = u64::from(Clock::system().now().second());
    if second > 35 {
        tokio::time::sleep(Duration::from_secs(60 - second)).await;
    }
}
