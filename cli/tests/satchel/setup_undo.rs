use anyhow::Context;
use sandbox::{Misbehaviour, Route, Service, When};
use shared::setup::{Setup, State};
use testing::Result;

use crate::setup_world::Setups;
use crate::tool::Ran;

/// `satchel setup undo ID …`, with somebody who answers this.
async fn undo(setups: &Setups, setup: &Setup, arguments: &[&str], answer: &str) -> Result<Ran> {
    let id = setup.id.to_string();
    setups.tool.run_on(&[&["setup", "undo", &id], arguments].concat(), answer.as_bytes()).await
}

/// What must be there when nothing was undone.
async fn is_untouched(setups: &Setups, setup: &Setup) -> Result<()> {
    assert_eq!(setups.held(), (1, 1));
    assert_eq!(setups.setup(setup.id).await?.state, setup.state);
    assert_eq!(setups.count("audit_logs WHERE action = 'setup.undone'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn it_says_what_it_would_delete_and_does_nothing_without_a_yes() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.finished("alice").await?;
    for answer in ["", "\n", "no\n", "alice\n", "yes please\n"] {
        let ran = undo(&setups, &setup, &["--with-funds"], answer).await?;
        let said = ran.failed();
        assert!(said.contains("nothing was undone: answer yes, or say --yes"), "{answer:?}: {said}");
        let (store, node) = (setup.btcpay_store_id.as_deref(), setup.voltage_node_id.as_deref());
        let deletes = format!(
            "deletes store {} and node {}, its wallet and all it holds\n",
            store.context("no store")?,
            node.context("no node")?
        );
        assert!(
            ran.stderr.contains(&deletes) && ran.stderr.contains("alice@pay.example.com, finished"),
            "{ran:?}"
        );
        is_untouched(&setups, &setup).await?;
    }
    assert!(undo(&setups, &setup, &["--with-funds"], "Yes\n").await?.done().contains("is undone"));
    assert_eq!(setups.held(), (0, 0));
    Ok(())
}

#[tokio::test]
async fn everything_it_made_goes_and_the_name_is_free_again() -> Result<()> {
    let setups = Setups::start().await?;
    let (setup, other) = (setups.finished("alice").await?, setups.finished("bob").await?);
    let ran = undo(&setups, &setup, &["--yes", "--with-funds"], "").await?;
    let gone = format!(
        "setup {} is undone: store {} and node {} deleted; alice@pay.example.com is free\n",
        setup.id,
        setup.btcpay_store_id.as_deref().context("no store")?,
        setup.voltage_node_id.as_deref().context("no node")?
    );
    assert_eq!(ran.ok(), gone);
    setups.are_whole(&[other.id]).await?;
    assert_eq!((setups.held(), setups.count("lightning_addresses").await?), ((1, 1), 1));
    let left =
        "lightning_setup_secrets WHERE num_nonnulls(password_sealed, root_key_sealed, seed_sealed) > 0";
    assert_eq!(setups.count(left).await?, 1, "a wallet's keys outlive it");
    assert_eq!(setups.count("audit_logs WHERE action = 'setup.undone'").await?, 1);
    setups.finished("alice").await?;

    let again = undo(&setups, &setup, &["--yes", "--with-funds"], "").await?.refused();
    assert!(again.contains(&format!("setup {} was undone before", setup.id)), "{again}");
    let unknown = setups.id().to_string();
    assert!(setups.run(&["undo", &unknown, "--yes"]).await?.refused().contains("there is no setup"));
    Ok(())
}

#[tokio::test]
async fn a_node_with_a_wallet_is_deleted_only_with_funds() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.finished("alice").await?;
    for arguments in [&["--yes"][..], &[]] {
        let said = undo(&setups, &setup, arguments, "yes\n").await?.refused();
        let node = setup.voltage_node_id.as_deref().context("no node")?;
        assert!(said.contains(&format!("node {node} has a wallet, and nothing was undone")), "{said}");
        assert!(said.contains("--with-funds"), "{said}");
        is_untouched(&setups, &setup).await?;
    }
    // Before there was a wallet nobody has to say so.
    setups.world.sandbox.voltage().revoke_key(testing::deployment::VOLTAGE_KEY);
    let early = setups.begin_and_run("bob").await?;
    setups.world.sandbox.voltage().accept_key(testing::deployment::VOLTAGE_KEY);
    let said = undo(&setups, &early, &[], "y\n").await?;
    assert!(
        said.stderr.contains("deletes nothing\n") && said.done().contains("bob@pay.example.com is free"),
        "{said:?}"
    );
    Ok(())
}

#[tokio::test]
async fn one_that_broke_off_is_simply_undone_again() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.finished("alice").await?;
    let deleting = Route::service(Service::Voltage).path("/voltage/node/delete");
    let refuses = Misbehaviour::FailBefore { status: 500, body: "busy".into() };
    setups.world.sandbox.faults().add(deleting, When::Always, refuses)?;
    let said = undo(&setups, &setup, &["--yes", "--with-funds"], "").await?.refused();
    assert!(said.contains("broke off: undo it again: VOLTAGE_UNAVAILABLE"), "{said}");
    assert_eq!(setups.held(), (0, 1));
    assert_eq!(setups.count("lightning_addresses").await?, 0, "an address whose store is gone");

    setups.world.sandbox.faults().clear();
    assert!(undo(&setups, &setup, &["--yes", "--with-funds"], "").await?.ok().contains("is undone"));
    assert_eq!(setups.held(), (0, 0));
    assert_eq!(setups.setup(setup.id).await?.state, State::Undone);
    Ok(())
}

#[tokio::test]
async fn one_that_runs_at_this_moment_is_waited_for() -> Result<()> {
    let setups = Setups::start().await?;
    let setup = setups.setup(setups.begin("alice").await?).await?;
    setups.set(setup.id, "due_at = now() + interval '3 seconds'").await?;
    let ran = undo(&setups, &setup, &["--yes"], "").await?;
    assert!(ran.done().contains("is undone") && ran.stderr.starts_with("waits until "), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn a_store_of_the_other_system_is_kept_and_may_be_brought_over_again() -> Result<()> {
    let setups = Setups::start().await?;
    let store = setups.world.sandbox.btcpay().add_store("of the other system", None)?;
    setups.import("alice", Some(&store), None).await?;
    setups.run(&["repair"]).await?.done();
    let sql = "SELECT setup_id FROM imported_lightning_addresses";
    let setup = setups.setup(setups.admin.query_typed_one(sql, &[]).await?.get(0)).await?;

    let ran = undo(&setups, &setup, &["--with-funds"], "yes\n").await?;

    assert!(ran.stderr.contains(&format!("store {store} of the other system stays")), "{ran:?}");
    assert!(ran.done().contains(&format!("store {store} of the other system kept")), "{ran:?}");
    assert_eq!(setups.held(), (1, 0));
    let kept = setups.world.sandbox.btcpay().store(&store).context("it was deleted")?;
    assert!(kept.webhooks.is_empty(), "it still calls us: {kept:?}");
    assert_eq!(setups.run(&["repair"]).await?.done(), "1 imported address repaired\n");
    let sql = "lightning_addresses WHERE btcpay_store_id";
    assert_eq!((setups.count(&format!("{sql} = '{store}'")).await?, setups.held()), (1, (1, 1)));
    Ok(())
}
