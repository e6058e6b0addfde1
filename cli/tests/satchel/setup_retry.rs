use std::time::{Duration, Instant};

use shared::setup::State;
use testing::{Result, deployment};

use crate::setup_world::Setups;

#[tokio::test]
async fn a_failed_one_is_driven_to_the_end_and_every_step_is_told() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.failed("alice").await?;

    let ran = setups.run(&["retry", "alice"]).await?;

    assert_eq!(ran.done(), "alice@pay.example.com is fully configured\n");
    for step in
        ["create_store    done", "connect_node    done", "activate        activated", "configured (1 of 1)"]
    {
        assert!(
            ran.stderr.lines().any(|line| line.starts_with("alice@pay.") && line.contains(step)),
            "{ran:?}"
        );
    }
    assert!(!ran.stderr.contains("create_node"), "what was there is not told again: {ran:?}");
    setups.are_whole(&[setup.id]).await?;
    assert_eq!(setups.held(), (1, 1));
    let audited = format!(
        "audit_logs WHERE action = 'setup.retried' AND resource_id = '{}' AND user_id = '{}'
         AND request_id = 'satchel setup retry' AND details::text LIKE '%create_store%'",
        setup.id, setup.user_id
    );
    assert_eq!(setups.count(&audited).await?, 1);
    setups.tool.run(&["audit", "verify"]).await?.ok();
    Ok(())
}

#[tokio::test]
async fn one_that_did_not_fail_is_only_told_of() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.finished("alice").await?;
    let audited = setups.count("audit_logs").await?;
    assert!(
        setups
            .run(&["retry", "alice"])
            .await?
            .ok()
            .contains("is fully configured: there is nothing to retry")
    );
    setups.set(setup.id, "state = 'undone'").await?;
    let said = setups.run(&["retry", &setup.id.to_string()]).await?.refused();
    assert!(said.contains("was undone: its user may ask for another"), "{said}");
    assert!(setups.run(&["retry", "bob"]).await?.refused().contains("there is no setup bob"));
    assert_eq!(setups.run(&["retry", "--all-failed"]).await?.ok(), "no setup has failed\n");
    assert_eq!((setups.count("audit_logs").await?, setups.held()), (audited, (1, 1)));
    Ok(())
}

#[tokio::test]
async fn one_that_fails_again_exits_1_with_what_to_do() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.failed("alice").await?;
    setups.world.sandbox.btcpay().revoke_key(deployment::BTCPAY_KEY);
    let ran = setups.run(&["retry", &setup.user_id.to_string()]).await?;
    let why =
        "alice@pay.example.com failed at create_store with BTCPAY_KEY_REFUSED: put a BTCPay key that is good";
    assert!(ran.failed().contains(why), "{ran:?}");
    assert_eq!(setups.setup(setup.id).await?.state, State::Failed);
    Ok(())
}

#[tokio::test]
async fn of_all_that_failed_one_s_trouble_does_not_stop_the_others() -> Result<()> {
    let setups = Setups::start().await?;
    let mut good = Vec::new();
    for at in 0..6 {
        good.push(setups.failed(&format!("good-{at}")).await?.id);
    }
    let bad = setups.begin("bad").await?;
    setups.set(bad, "node_source = 'registered', step = 'create_store', state = 'failed'").await?;
    // Its values were moved here from somewhere else.
    let odd = setups.failed("odd").await?.id;
    let steal = format!(
        "UPDATE lightning_setup_secrets s SET macaroon_sealed = o.macaroon_sealed FROM lightning_setup_secrets o
         WHERE s.setup_id = '{odd}' AND o.setup_id = '{}'",
        good[0]
    );
    setups.sql(&steal).await?;

    let ran = setups.run(&["retry", "--all-failed"]).await?;

    assert!(
        ran.failed().contains("2 of 8 setups retried are not configured: `satchel setup list` has them"),
        "{ran:?}"
    );
    let why = "bad@pay.example.com failed at connect_node with NODE_NOT_REGISTERED: the user has to register";
    assert!(ran.stderr.contains(why), "{ran:?}");
    assert!(
        ran.stderr.contains("odd@pay.example.com failed at connect_node with SECRET_UNREADABLE"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("is fully configured (6 of 8)") && !ran.stderr.contains("(7 of 8)"),
        "{ran:?}"
    );
    setups.are_whole(&good).await?;
    Ok(())
}

#[tokio::test]
async fn one_that_somebody_else_has_is_waited_for() -> Result<()> {
    let setups = Setups::start().await?;
    let id = setups.begin("alice").await?;
    setups.set(id, "due_at = now() + interval '5 seconds', lease_token = 7").await?;
    let started = Instant::now();
    let ran = setups.run(&["retry", "alice"]).await?;
    assert_eq!(ran.done(), "alice@pay.example.com is fully configured\n");
    assert!(started.elapsed() > Duration::from_secs(4), "it was taken from whoever has it");
    assert!(ran.stderr.starts_with("alice@pay.example.com waits until "), "{ran:?}");
    setups.are_whole(&[id]).await
}
