use std::collections::BTreeSet;

use anyhow::Context;
use sandbox::lnd::Delay;
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::json;
use testing::Result;

use crate::setup_planted::{Planted, Thing, all, node_named, plant, store_named};
use crate::setup_world::Setups;

/// What a line of the tool names, kind and id.
fn named(line: &str) -> Option<Thing> {
    let (thing, _) = line.split_once("  ")?;
    (thing.starts_with("btcpay store ") || thing.starts_with("voltage node ")).then(|| thing.to_owned())
}

/// A report and all it names.
async fn report(setups: &Setups) -> Result<(String, BTreeSet<Thing>)> {
    let said = setups.run(&["sweep"]).await?.ok();
    let id = said.split(" in report ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let found: Vec<Thing> = said.lines().filter_map(named).collect();
    let set: BTreeSet<Thing> = found.iter().cloned().collect();
    assert_eq!(set.len(), found.len(), "one is named twice: {said}");
    Ok((id.with_context(|| said.clone())?.to_owned(), set))
}

/// A day later.
async fn aged_report(setups: &Setups) -> Result<(String, BTreeSet<Thing>)> {
    let found = report(setups).await?;
    setups.sql("UPDATE orphan_reports SET created_at = created_at - interval '1 day'").await?;
    Ok(found)
}

/// What a line says became of it.
fn fate<'a>(said: &'a str, thing: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.strip_prefix(&format!("{thing}  ")));
    line.unwrap_or_default()
}

#[tokio::test]
async fn of_a_hundred_orphans_among_as_many_look_alikes_each_is_found_and_only_those_are_deleted()
-> Result<()> {
    let setups = Setups::start().await?;
    let Planted { mut orphans, others } = plant(&setups).await?;
    assert!(
        orphans.len() == 100 && others.len() >= 100,
        "{} orphans, {} others",
        orphans.len(),
        others.len()
    );
    let nodes: Vec<String> = orphans
        .iter()
        .filter_map(|thing| Some(thing.strip_prefix("voltage node ")?.to_owned()))
        .take(3)
        .collect();
    for node in &nodes {
        setups.give_wallet(node)?;
    }

    let (id, found) = report(&setups).await?;

    let (missed, wrong) = (orphans.difference(&found).count(), found.difference(&orphans).count());
    println!(
        "{} of {} orphans found beside {} others, {wrong} false",
        found.len() - wrong,
        orphans.len(),
        others.len()
    );
    assert_eq!((missed, wrong), (0, 0));
    assert_eq!(all(&setups).len(), orphans.len() + others.len(), "a report deletes nothing");
    let young = setups.run(&["sweep", "--apply", &id]).await?.refused();
    assert!(young.contains("is younger than a day, and nothing was deleted"), "{young}");
    assert_eq!(all(&setups).len(), orphans.len() + others.len());

    setups.sql("UPDATE orphan_reports SET created_at = created_at - interval '1 day'").await?;
    let said = setups.run(&["sweep", "--apply", &id]).await?.ok();
    assert!(said.ends_with("97 of 100 orphans deleted\n"), "{said}");
    let kept: BTreeSet<Thing> = nodes.iter().map(|node| node_named(node)).collect();
    assert_eq!(all(&setups), others.union(&kept).cloned().collect(), "something else was deleted, or stayed");
    for thing in &kept {
        assert_eq!(fate(&said, thing), "kept: it may have a wallet, and --with-funds does not name it");
    }
    let said = setups.run(&["sweep", "--apply", &id, "--with-funds", &nodes[1]]).await?.ok();
    assert_eq!(fate(&said, &node_named(&nodes[1])), "deleted");
    assert!(said.ends_with("1 of 100 orphans deleted\n"), "{said}");
    let again = setups.run(&["sweep", "--apply", &id, "--with-funds", &nodes[1]]).await?.ok();
    assert!(again.ends_with("0 of 100 orphans deleted\n"), "{again}");
    orphans.retain(|thing| thing == &node_named(&nodes[0]) || thing == &node_named(&nodes[2]));
    assert_eq!(report(&setups).await?.1, orphans);
    assert_eq!(setups.count("audit_logs WHERE action = 'orphan.deleted'").await?, 98);
    setups.tool.run(&["audit", "verify"]).await?.ok();
    Ok(())
}

#[tokio::test]
async fn what_changed_since_the_report_is_left() -> Result<()> {
    let setups = Setups::start().await?;
    let (restored, nobody) = (setups.begin("restored").await?, setups.id());
    let store = setups.store(&setups.marker(restored, 1).await?)?;
    setups.set(restored, "state = 'undone'").await?;
    let renamed = setups.store(&setups.marker(nobody, 1).await?)?;
    let another = setups.store(&setups.marker(setups.id(), 1).await?)?;
    let gone = setups.store(&setups.marker(setups.id(), 1).await?)?;
    let still = setups.store(&setups.marker(setups.id(), 1).await?)?;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(setups.node(&setups.marker(setups.id(), 1).await?).await?);
    }
    let (id, found) = aged_report(&setups).await?;
    assert_eq!(found.len(), 8);

    // It has an owner, other names, is gone; and the nodes have a wallet, one of them behind a start.
    setups.set(restored, &format!("state = 'failed', btcpay_store_id = '{store}'")).await?;
    let put = |website: String| json!({ "name": "a store", "website": website });
    setups.change(&renamed, "PUT", &put("https://shop.example".into())).await?;
    let other_marker = format!("https://app.example.com/#{}", setups.marker(setups.id(), 1).await?);
    setups.change(&another, "PUT", &put(other_marker)).await?;
    setups.change(&gone, "DELETE", &json!({})).await?;
    setups.give_wallet(&nodes[0])?;
    setups.give_wallet(&nodes[1])?;
    setups.world.sandbox.voltage().set_delay(Delay { polls: 100, milliseconds: 0 });
    for path in ["/node/stop", "/node/start"] {
        setups.switch(&nodes[1], path).await?;
    }

    let said = setups.run(&["sweep", "--apply", &id]).await?.ok();

    for thing in [&store, &renamed, &another, &gone] {
        assert!(
            fate(&said, &store_named(thing)).starts_with("left: it is gone, has another name, or"),
            "{said}"
        );
    }
    for node in &nodes[..2] {
        assert!(fate(&said, &node_named(node)).starts_with("kept: it may have a wallet"), "{said}");
    }
    for thing in [store_named(&still), node_named(&nodes[2])] {
        assert_eq!(fate(&said, &thing), "deleted", "{said}");
    }
    assert_eq!(setups.held(), (3, 2));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_deleted_does_not_keep_the_others_and_goes_the_next_time() -> Result<()> {
    let setups = Setups::start().await?;
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(setups.store(&setups.marker(setups.id(), 1).await?)?);
    }
    let (id, _) = aged_report(&setups).await?;
    let deleting = Route::service(Service::Btcpay)
        .method("DELETE")
        .path(&format!("/btcpay/api/v1/stores/{}", stores[1]));
    let refuses = Misbehaviour::FailBefore { status: 500, body: "busy".into() };
    setups.world.sandbox.faults().add(deleting, When::Always, refuses)?;

    let ran = setups.run(&["sweep", "--apply", &id]).await?;

    assert!(ran.failed().contains("2 deleted, 1 not: run this again when the provider is well"), "{ran:?}");
    let why = "not deleted: BTCPAY_UNAVAILABLE: the provider is away: retry when it is back";
    assert_eq!(fate(&ran.stderr, &store_named(&stores[1])), why);
    setups.world.sandbox.faults().clear();
    let said = setups.run(&["sweep", "--apply", &id]).await?.ok();
    assert!(said.ends_with("1 of 3 orphans deleted\n"), "{said}");
    assert_eq!(setups.held(), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_report_that_is_not_there_or_not_wanted_deletes_nothing() -> Result<()> {
    let setups = Setups::start().await?;
    assert_eq!(setups.run(&["sweep"]).await?.ok(), "no orphans\n");
    assert_eq!(setups.count("orphan_reports").await?, 0);
    let node = setups.node(&setups.marker(setups.id(), 1).await?).await?;
    setups.give_wallet(&node)?;
    let unknown = setups.id().to_string();
    let said = setups.run(&["sweep", "--apply", &unknown, "--with-funds", &node]).await?.refused();
    assert!(
        said.contains(&format!("there is no report {unknown}: `satchel setup sweep` writes one")),
        "{said}"
    );

    let (id, _) = aged_report(&setups).await?;
    let ran = setups.run(&["sweep", "--apply", &id, "--with-funds", "another-node"]).await?;
    assert!(ran.done().ends_with("0 of 1 orphan deleted\n"), "{ran:?}");
    assert!(ran.stderr.contains(&format!("another-node is not in report {id}")), "{ran:?}");
    setups.sql(r#"UPDATE orphan_reports SET items = '[{"kind": "something_else"}]'"#).await?;
    let said = setups.run(&["sweep", "--apply", &id, "--with-funds", &node]).await?.refused();
    assert!(said.contains("a report that this build cannot read"), "{said}");
    assert_eq!(setups.held(), (0, 1));
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_not_configured_is_not_taken_for_an_empty_one() -> Result<()> {
    let mut setups = Setups::start().await?;
    let store = setups.store(&setups.marker(setups.id(), 1).await?)?;
    let node = setups.node(&setups.marker(setups.id(), 1).await?).await?;
    let (id, _) = aged_report(&setups).await?;
    setups.tool = setups.tool.with("VOLTAGE_SECRET", "");

    let ran = setups.run(&["sweep"]).await?;
    assert!(ran.done().contains("1 orphan in report") && !ran.stdout.contains(&node), "{ran:?}");
    assert_eq!(ran.stderr, "voltage is not configured, and was not looked at\n");
    let ran = setups.run(&["sweep", "--apply", &id]).await?;
    assert!(ran.failed().contains("1 deleted, 1 not"), "{ran:?}");
    assert_eq!(fate(&ran.stderr, &store_named(&store)), "deleted");
    assert!(
        fate(&ran.stderr, &node_named(&node)).starts_with("not deleted: VOLTAGE_NOT_CONFIGURED"),
        "{ran:?}"
    );
    assert_eq!(setups.held(), (0, 1));
    Ok(())
}
