//! From a sign-in to the first payment, as an app takes its user there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::client::text;
use e2e::{Answer, Owner, Result, Stack, StackOptions, Tokens, form};
use sandbox::Service;
use sandbox::lnd::Delay;
use serde_json::{Value, json};

use super::check;

const PATIENCE: Duration = Duration::from_secs(20);
/// What a request has for its part of a setup, in a stack whose nodes take longer to come up.
const HURRIED: &str = "1";

/// A stack whose setups need the schedule.
async fn slow_stack() -> Result<Stack> {
    let environment = BTreeMap::from([("SETUP_RUN_SECONDS".to_owned(), HURRIED.to_owned())]);
    let stack = Stack::start_with(StackOptions { environment, ..StackOptions::default() }).await?;
    stack.sandbox.voltage().set_delay(Delay { polls: 1, milliseconds: 1_200 });
    Ok(stack)
}

/// Asks as often as it is told to, while the schedule does its part.
async fn poll(stack: &Stack, owner: &Owner, tokens: &Tokens, first: &Answer) -> Result<Value> {
    let schedule = async {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            stack.resume().await?;
        }
    };
    let polled = async {
        let (started, mut last) = (Instant::now(), first.clone());
        while last.json()?["status"] == "in_progress" {
            ensure!(started.elapsed() < PATIENCE, "it is never done: {last}");
            let seconds: u64 = last.header("retry-after").parse()?;
            ensure!((1..=10).contains(&seconds), "Retry-After: {seconds}");
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            last = owner.setup_status(tokens).send().await?;
            ensure!(last.status == 200, "{last}");
        }
        ensure!(last.header("retry-after").is_empty(), "there is nothing to wait for: {last}");
        last.json()
    };
    tokio::select! {
        failed = schedule => failed,
        status = polled => status,
    }
}

/// Without patience.
async fn until_done(stack: &Stack, owner: &Owner, tokens: &Tokens) -> Result<()> {
    let started = Instant::now();
    while owner.setup_status(tokens).ok().await?["status"] != "fully_configured" {
        ensure!(started.elapsed() < PATIENCE, "it is never done");
        tokio::time::sleep(Duration::from_millis(100)).await;
        stack.resume().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_user_gets_a_store_and_a_node_takes_the_seed_once_and_is_paid() -> Result<()> {
    let stack = slow_stack().await?;
    let owner = Owner::new(&stack)?;
    let tokens = owner.sign_in().await?;
    owner.register(&tokens).ok().await?;
    let early = owner.take_seed(&tokens).send().await?;
    assert_eq!(form::error_code(&early)?, "NOT_FOUND");
    assert_eq!(form::error_code(&owner.invoice(&tokens, 1_000).send().await?)?, "NO_STORE");

    let first = owner.set_up(&tokens, "satoshi", "voltage").send().await?;
    assert_eq!((first.status, first.header("location")), (202, "/v1/lightning/setup"), "{first}");
    let again = owner.set_up(&tokens, "satoshi", "voltage").send().await?;
    assert_eq!(again.status, 202, "{again}");
    let other = owner.set_up(&tokens, "hal", "voltage").send().await?;
    assert_eq!(form::error_code(&other)?, "SETUP_EXISTS");

    let status = poll(&stack, &owner, &tokens, &first).await?;
    check::told(&stack.setup("satoshi").await?, &status)?;
    let done = owner.set_up(&tokens, "satoshi", "voltage").ok().await?;
    assert_eq!(done, status);
    check::whole(&stack, &owner, &tokens, "satoshi").await?;

    takes_the_seed(&stack, &owner, &tokens).await?;
    is_paid(&stack, &owner, &tokens).await?;
    check::nothing_left_over(&stack, 1, 1).await?;
    stack.stop().await
}

async fn takes_the_seed(stack: &Stack, owner: &Owner, tokens: &Tokens) -> Result<()> {
    let elsewhere = owner.sign_in().await?;
    let answer = owner.take_seed(tokens).send().await?;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let words = answer.json()?["seed"].as_array().map_or(0, Vec::len);
    assert_eq!(words, 24);

    assert_eq!(form::error_code(&owner.take_seed(&elsewhere).send().await?)?, "SEED_GONE");
    stack.admin().await?.batch_execute("UPDATE lightning_setup_secrets SET seed_handed_over_at = seed_handed_over_at - interval '61 seconds'").await?;
    assert_eq!(form::error_code(&owner.take_seed(tokens).send().await?)?, "SEED_GONE");
    stack.resume().await?;
    let kept = "SELECT count(*) FROM lightning_setup_secrets WHERE seed_sealed IS NOT NULL";
    assert_eq!(stack.db.count(kept).await?, 0, "what was taken is erased");
    let taken = "SELECT count(*) FROM audit_logs WHERE action = 'seed.handed_over'";
    assert_eq!(stack.db.count(taken).await?, 1);
    Ok(())
}

async fn is_paid(stack: &Stack, owner: &Owner, tokens: &Tokens) -> Result<()> {
    let answer = owner.invoice(tokens, 250_000).send().await?;
    assert_eq!(answer.status, 201, "{answer}");
    let id = text(&answer.json()?, "/invoice_id")?.to_owned();
    let store = stack.setup("satoshi").await?.btcpay_store_id.unwrap_or_default();
    let btcpay = stack.sandbox.btcpay();
    let of_order = || btcpay.invoices(&store).into_iter().find(|invoice| invoice.order_id == id);
    let invoice = of_order().context("BTCPay does not know it by our id")?;
    assert_eq!(invoice.bolt11.as_deref(), Some(text(&answer.json()?, "/bolt11")?));
    btcpay.pay_invoice(&store, &invoice.id)?;
    assert_eq!(of_order().map(|invoice| (invoice.status, invoice.paid_msat)), Some(("Settled", 250_000)));
    Ok(())
}

#[tokio::test]
async fn a_user_s_own_node_is_connected_and_a_wish_at_the_sign_in_is_granted_by_the_schedule() -> Result<()> {
    let stack = Stack::start().await?;
    let own = Owner::new(&stack)?;
    let tokens = own.sign_in().await?;
    let early = own.set_up(&tokens, "satoshi", "registered").send().await?;
    assert_eq!(form::error_code(&early)?, "NODE_NOT_REGISTERED");
    own.register_within_reach(&stack, &tokens).await?;
    let answer = own.set_up(&tokens, "satoshi", "registered").send().await?;
    assert_eq!((answer.status, answer.header("location")), (200, ""), "{answer}");
    check::told(&stack.setup("satoshi").await?, &answer.json()?)?;
    assert_eq!(stack.sandbox.calls_to(Service::Voltage, "/"), 0);
    check::whole(&stack, &own, &tokens, "satoshi").await?;
    assert_eq!(
        form::error_code(&own.take_seed(&tokens).send().await?)?,
        "NOT_FOUND",
        "its seed is its owner's"
    );

    let wishing = Owner::new(&stack)?;
    let taken = wishing.sign_in_wishing(&json!({ "username": "satoshi" })).await?.json()?;
    let refused = json!({ "status": "failed", "error": "ADDRESS_TAKEN" });
    assert_eq!(taken["data"]["lightning_setup"], refused, "and signed in all the same");
    let tokens = Tokens::read(&taken)?;
    let names = json!({ "username": "hal", "lightningAddress": "hal@localhost" });
    let begun = wishing.sign_in_wishing(&names).await?.json()?;
    assert_eq!(begun["data"]["lightning_setup"], json!({ "status": "in_progress" }));
    let status = wishing.setup_status(&tokens).send().await?;
    assert_eq!((status.json()?["status"].clone(), status.header("retry-after")), (json!("in_progress"), "1"));
    stack.resume().await?;
    let done = wishing.sign_in_wishing(&names).await?.json()?;
    assert_eq!(done["data"]["lightning_setup"], json!({ "status": "fully_configured" }));
    check::whole(&stack, &wishing, &tokens, "hal").await?;

    let silent = Owner::new(&stack)?;
    let answer = silent.sign_in_wishing(&json!({})).await?.json()?;
    assert_eq!(answer["data"].get("lightning_setup"), None);
    let status = silent.setup_status(&Tokens::read(&answer)?).ok().await?;
    assert_eq!((&status["status"], &status["steps"]), (&json!("none"), &json!([])));
    stack.resume().await?;
    check::nothing_left_over(&stack, 2, 1).await?;
    stack.stop().await
}

#[tokio::test]
async fn switched_off_nothing_new_begins_and_what_runs_is_finished() -> Result<()> {
    let stack = slow_stack().await?;
    let (running, wished) = (Owner::new(&stack)?, Owner::new(&stack)?);
    let tokens = running.sign_in().await?;
    let first = running.set_up(&tokens, "satoshi", "voltage").send().await?;
    assert_eq!(first.status, 202, "{first}");
    let begun = wished.sign_in_wishing(&json!({ "username": "hal" })).await?.json()?;
    assert_eq!(begun["data"]["lightning_setup"], json!({ "status": "in_progress" }));

    let stack = stack.redeploy(&[("SETUP_ENABLED", "false")]).await?;
    let late = Owner::new(&stack)?;
    let answer = late.sign_in_wishing(&json!({ "username": "nick" })).await?.json()?;
    assert_eq!(answer["data"]["lightning_setup"], json!({ "status": "disabled" }));
    let lates = Tokens::read(&answer)?;
    let refused = late.set_up(&lates, "nick", "voltage").send().await?;
    assert_eq!(form::error_code(&refused)?, "SETUP_DISABLED");
    assert_eq!(late.setup_status(&lates).ok().await?["status"], "disabled");

    for (owner, tokens, name) in [(&running, &tokens, "satoshi"), (&wished, &Tokens::read(&begun)?, "hal")] {
        until_done(&stack, owner, tokens).await?;
        check::whole(&stack, owner, tokens, name).await?;
    }

    let stack = stack.redeploy(&[("SETUP_ENABLED", "true")]).await?;
    let first = late.set_up(&lates, "nick", "voltage").send().await?;
    assert_eq!(first.status, 202, "{first}");
    until_done(&stack, &late, &lates).await?;
    check::nothing_left_over(&stack, 3, 3).await?;
    stack.stop().await
}
