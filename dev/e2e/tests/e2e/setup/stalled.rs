//! Providers that say nothing, with the patience of a real deployment.

use std::time::Duration;

use e2e::{Answer, Owner, Result, Stack, StackOptions};
use sandbox::{Misbehaviour, Route, Service, When};

use super::check;

/// An HTTP API gives up after 30 seconds, and the function is ended after 29.
const IN_TIME: Duration = Duration::from_secs(28);

#[tokio::test(flavor = "multi_thread")]
async fn whichever_provider_hangs_its_caller_is_told_where_and_when_to_ask_before_the_gateway_gives_up()
-> Result<()> {
    let stack = Stack::start_with(StackOptions { max_processes: 3, ..StackOptions::default() }).await?;
    let faults = stack.sandbox.faults();
    let mut users = Vec::new();
    for (name, source) in [("voltage", "voltage"), ("btcpay", "registered"), ("lnd", "voltage")] {
        let owner = Owner::new(&stack)?;
        let tokens = owner.sign_in().await?;
        if source == "registered" {
            owner.register_within_reach(&stack, &tokens).await?;
        }
        users.push((owner, tokens, name, source));
    }
    // One of them has its node already when Voltage falls silent.
    faults.add(Route::service(Service::Lnd), When::Always, Misbehaviour::Hang)?;
    let asked = |at: usize| {
        let (owner, tokens, name, source) = &users[at];
        tokio::spawn(owner.set_up(tokens, name, source).send())
    };
    let lnd = asked(2);
    while stack.sandbox.calls_to(Service::Lnd, "/") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for service in [Service::Voltage, Service::Btcpay] {
        faults.add(Route::service(service), When::Always, Misbehaviour::Hang)?;
    }
    let (voltage, btcpay) = (asked(0), asked(1));
    for (answer, step) in [(voltage, "create_node"), (btcpay, "create_store"), (lnd, "await_node")] {
        told_to_wait(&answer.await??, step)?;
    }

    faults.clear();
    stack.an_hour_passes().await?;
    stack.resume().await?;
    for (owner, tokens, name, _) in &users {
        check::whole(&stack, owner, tokens, name).await?;
    }
    check::nothing_left_over(&stack, 3, 2).await?;
    stack.stop().await
}

fn told_to_wait(answer: &Answer, step: &str) -> Result<()> {
    println!("{step}: {} after {:?}", answer.status, answer.elapsed);
    assert!(answer.elapsed < IN_TIME, "{answer}");
    assert_eq!((answer.status, answer.header("location")), (202, "/v1/lightning/setup"), "{answer}");
    let seconds: u64 = answer.header("retry-after").parse()?;
    assert!((1..=10).contains(&seconds), "{answer}");
    let status = answer.json()?;
    assert_eq!(status["status"], "in_progress");
    let steps = status["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(steps.iter().any(|found| found["name"] == step && found["state"] == "running"), "{answer}");
    Ok(())
}
