use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::ensure;
use sandbox::{Misbehaviour, Route, Service, When};
use testing::Result;
use uuid::Uuid;

use crate::setup_world::Setups;

const WHOLE: &str = "every imported address has a setup that finished\n";
/// However busy the machine is.
const MOVES_WITHIN: Duration = Duration::from_mins(1);

async fn ids(setups: &Setups) -> Result<Vec<Uuid>> {
    let sql = "SELECT setup_id FROM imported_lightning_addresses WHERE setup_id IS NOT NULL";
    Ok(setups.admin.query_typed(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Requests the providers got so far.
fn calls(setups: &Setups) -> u64 {
    let sandbox = &setups.world.sandbox;
    [Service::Btcpay, Service::Voltage, Service::Lnd]
        .map(|service| sandbox.calls_to(service, "/"))
        .iter()
        .sum()
}

#[tokio::test]
async fn every_address_with_ids_missing_is_driven_to_the_end_and_then_there_is_nothing_to_do() -> Result<()> {
    let setups = Setups::start().await?;
    let btcpay = setups.world.sandbox.btcpay();
    for at in 0..3 {
        setups.import(&format!("bare-{at}"), None, None).await?;
        setups.import(&format!("Empty-{at}@PAY.example.com"), Some(""), Some("")).await?;
        let store = btcpay.add_store("of the other system", None)?;
        setups.import(&format!("store-{at}"), Some(&store), None).await?;
        setups.import(&format!("node-{at}"), None, Some(&format!("theirs-{at}"))).await?;
        let own = setups.import(&format!("own-{at}"), None, None).await?;
        setups.register_node(own, &format!("own{at}")).await?;
    }
    let whole = setups.finished("whole").await?;
    let row = "INSERT INTO imported_lightning_addresses (user_id, address, imported_at) VALUES";
    setups.sql(&format!("{row} ('{}', '{}', now())", whole.user_id, whole.address)).await?;

    let ran = setups.run(&["repair"]).await?;

    assert_eq!(ran.done(), "15 imported addresses repaired\n");
    let told = |line: &str| ran.stderr.lines().any(|found| found.contains(line));
    assert!(told("bare-0@pay.example.com  create_store    done"), "{ran:?}");
    assert!(told("is fully configured (1 of 15)") && told("is fully configured (15 of 15)"), "{ran:?}");
    assert!(told("node-1@pay.example.com: node theirs-1 of the other system is left alone"), "{ran:?}");
    let setup_ids = ids(&setups).await?;
    assert_eq!(setup_ids.len(), 15);
    setups.are_whole(&setup_ids).await?;
    assert_eq!(setups.held(), (16, 13), "a store each; a node each but for those who have their own");
    let kept = "lightning_addresses a JOIN imported_lightning_addresses i USING (user_id, btcpay_store_id)";
    assert_eq!(setups.count(kept).await?, 3, "a store that was there was not kept");
    let begun = "audit_logs WHERE action = 'setup.begun' AND request_id = 'satchel setup repair'";
    assert_eq!(setups.count(begun).await?, 15);

    let before = (calls(&setups), setups.held());
    assert_eq!(setups.run(&["repair"]).await?.ok(), WHOLE);
    assert_eq!(setups.run(&["repair", "--dry-run"]).await?.ok(), WHOLE);
    assert_eq!((calls(&setups), setups.held()), before, "it asked somebody");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() -> Result<()> {
    let setups = Setups::start().await?;
    setups.import("alice", Some("a-store"), Some("theirs")).await?;
    let own = setups.import("bob", None, None).await?;
    setups.register_node(own, "own").await?;
    // Two rows for one address: who comes first gets it.
    setups.import("BOB", None, None).await?;
    let said = setups.run(&["repair", "--dry-run"]).await?.ok();
    for line in [
        "alice@pay.example.com would be set up with store a-store and a new node",
        "alice@pay.example.com: node theirs of the other system is left alone",
        "bob@pay.example.com would be set up with a new store and the node registered",
        "is left alone: its address is another account's",
        "2 to repair, 1 left alone",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    for table in ["lightning_setups", "audit_logs", "imported_lightning_addresses WHERE setup_id IS NOT NULL"]
    {
        assert_eq!(setups.count(table).await?, 0, "{table}");
    }
    assert_eq!((calls(&setups), setups.held()), (0, (0, 0)));
    Ok(())
}

#[tokio::test]
async fn what_needs_a_person_is_named_and_the_others_are_repaired() -> Result<()> {
    let setups = Setups::start().await?;
    let other = setups.finished("taken").await?;
    setups.import("alice", None, None).await?;
    setups.import("bob@elsewhere.example", None, None).await?;
    setups.import("taken", None, None).await?;
    setups.import("carol", other.btcpay_store_id.as_deref(), None).await?;
    setups.import("dave", Some("NoStoreOfThisNameIsThere"), None).await?;
    setups.import("no name", None, None).await?;

    let ran = setups.run(&["repair"]).await?;

    assert!(ran.failed().contains("1 imported address repaired, 5 not: the lines above say why"), "{ran:?}");
    for (name, why) in [
        ("bob@elsewhere.example", "its address is on a domain this deployment does not serve"),
        ("taken@pay.example.com", "its address is another account's"),
        ("carol@pay.example.com", "its store is another setup's"),
        ("no name@pay.example.com", "its address must be 1 to 64 of"),
        ("dave@pay.example.com", "failed at create_store with STORE_GONE: clear its store id"),
    ] {
        assert!(
            ran.stderr.lines().any(|line| line.contains(name) && line.contains(why)),
            "{name}: {why} in {ran:?}"
        );
    }
    assert_eq!(setups.count("lightning_addresses WHERE username = 'alice'").await?, 1);

    // As it was advised.
    setups
        .sql("UPDATE imported_lightning_addresses SET btcpay_store_id = NULL WHERE address LIKE 'dave@%'")
        .await?;
    let ran = setups.run(&["repair"]).await?;
    assert!(ran.failed().contains("1 imported address repaired, 4 not"), "{ran:?}");
    assert_eq!(setups.count("lightning_addresses WHERE username = 'dave'").await?, 1);
    assert_eq!(setups.count("audit_logs WHERE action = 'setup.retried'").await?, 1);
    assert_eq!(setups.held(), (3, 3));
    Ok(())
}

#[tokio::test]
async fn killed_again_and_again_it_goes_on_and_makes_nothing_twice() -> Result<()> {
    let (rows, kills) = (16, 5);
    let setups = Setups::start().await?;
    for at in 0..rows {
        setups.import(&format!("user-{at}"), None, None).await?;
    }
    let slow = Misbehaviour::stall(Duration::from_millis(10));
    setups.world.sandbox.faults().add(Route::default(), When::Always, slow)?;
    let ended = "lightning_setup_log WHERE event IN ('done', 'activated')";
    for kill in 1..=kills {
        let mut command = setups.tool.command(&["setup", "repair"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let (started, enough) = (Instant::now(), 8 * rows * kill / (kills + 1));
        while setups.count(ended).await? < enough {
            ensure!(child.try_wait()?.is_none(), "it ended before it was killed");
            ensure!(started.elapsed() < MOVES_WITHIN, "it does not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.kill().await?;
        // What it had asked for arrives, and its leases end.
        tokio::time::sleep(Duration::from_millis(100)).await;
        setups.sql("UPDATE lightning_setups SET due_at = now() WHERE state = 'running'").await?;
    }
    ensure!(setups.count("lightning_setups WHERE state = 'running'").await? > 0, "the kills came too late");

    let ran = setups.run(&["repair"]).await?;

    assert!(ran.done().contains("repaired"), "{ran:?}");
    let setup_ids = ids(&setups).await?;
    assert_eq!(setup_ids.iter().collect::<BTreeSet<_>>().len(), usize::try_from(rows)?);
    setups.are_whole(&setup_ids).await?;
    assert_eq!(setups.held(), (16, 16), "something was made twice");
    assert_eq!(setups.run(&["repair"]).await?.ok(), WHOLE);
    Ok(())
}

#[tokio::test]
async fn two_at_once_make_one_setup_of_each() -> Result<()> {
    let setups = Setups::start().await?;
    for at in 0..8 {
        setups.import(&format!("user-{at}"), None, None).await?;
    }
    let (one, other) = tokio::join!(setups.run(&["repair"]), setups.run(&["repair"]));
    for ran in [one?, other?] {
        assert!(ran.done().contains("repaired") || ran.stdout == WHOLE, "{ran:?}");
    }
    setups.are_whole(&ids(&setups).await?).await?;
    assert_eq!((setups.held(), setups.count("lightning_setups").await?), ((8, 8), 8));
    Ok(())
}
