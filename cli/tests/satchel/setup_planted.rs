//! What lies about in the two accounts: what is ours and nobody's, and what only looks like it.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use serde_json::json;
use shared::setup::{Marked, Markers};
use testing::Result;

use crate::setup_world::{FUNCTION, Setups};

/// As the tool names it.
pub type Thing = String;

/// A hundred orphans, and everything else: at least as much.
pub struct Planted {
    pub orphans: BTreeSet<Thing>,
    pub others: BTreeSet<Thing>,
}

/// Everything that is in the two accounts.
pub fn all(setups: &Setups) -> BTreeSet<Thing> {
    let sandbox = &setups.world.sandbox;
    let stores = sandbox.btcpay().stores().into_iter().map(|store| store_named(&store.id));
    stores.chain(sandbox.voltage().nodes().into_iter().map(|node| node_named(&node.node_id))).collect()
}

pub fn store_named(id: &str) -> Thing {
    format!("btcpay store {id}")
}

pub fn node_named(id: &str) -> Thing {
    format!("voltage node {id}")
}

pub async fn plant(setups: &Setups) -> Result<Planted> {
    let mut orphans = BTreeSet::new();
    for generation in [1, 2, 3].into_iter().cycle().take(30) {
        let nobody = setups.marker(setups.id(), generation).await?;
        orphans.insert(store_named(&setups.store(&nobody)?));
        orphans.insert(node_named(&setups.node(&nobody).await?));
    }
    for at in 0..10 {
        // What a setup made twice, or gave up for another, beside what it has in use.
        let whole = setups.begin(&format!("whole-{at}")).await?;
        let (store, first) = (setups.marker(whole, 1).await?, setups.marker(whole, 1).await?);
        let (in_use, node) = (setups.store(&store)?, setups.node(&setups.marker(whole, 2).await?).await?);
        let finished = format!(
            "state = 'finished', step = 'activate', finished_at = due_at, settled_at = due_at, generation = 2,
             btcpay_webhook_id = 'w', btcpay_store_id = '{in_use}', voltage_node_id = '{node}'"
        );
        setups.set(whole, &finished).await?;
        orphans.insert(store_named(&setups.store(&store)?));
        orphans.insert(node_named(&setups.node(&first).await?));
        // What was taken back, and stayed all the same.
        let undone = setups.begin(&format!("undone-{at}")).await?;
        setups.set(undone, "state = 'undone'").await?;
        orphans.insert(store_named(&setups.store(&setups.marker(undone, 1).await?)?));
        orphans.insert(node_named(&setups.node(&setups.marker(undone, 1).await?).await?));
        // What is on record as asked for, and its id is not yet.
        let running = setups.begin(&format!("running-{at}")).await?;
        setups.store(&setups.marker(running, 1).await?)?;
        let node = setups.node(&setups.marker(running, 1).await?).await?;
        if at % 2 == 0 {
            setups
                .set(running, &format!("state = 'failed', step = 'create_store', voltage_node_id = '{node}'"))
                .await?;
        }
    }
    strangers(setups).await?;
    let others = all(setups).difference(&orphans).cloned().collect();
    Ok(Planted { orphans, others })
}

/// Things of other people, some of whom would like them to be ours.
async fn strangers(setups: &Setups) -> Result<()> {
    let key = json!({ "key": BASE64.encode(&[1, 2, 3, 4, 5, 6, 7, 8].repeat(4)) });
    setups.world.sandbox.secrets().put("satchel/other-marker", &key.to_string());
    let foreign = [
        [("DEPLOYMENT_ID", "other"), ("MARKER_SECRET", "satchel/marker")],
        [("DEPLOYMENT_ID", "test2"), ("MARKER_SECRET", "satchel/marker")],
        [("DEPLOYMENT_ID", "test"), ("MARKER_SECRET", "satchel/other-marker")],
    ];
    for at in 0..5 {
        let ours = setups.marker(setups.id(), 1).await?;
        let (cut, last) = ours.split_at(ours.len() - 1);
        let forged = format!("{cut}{}", if last == "a" { 'b' } else { 'a' });
        let mut names = vec![forged, cut.to_owned(), format!("satchel-test-{at}")];
        for changed in &foreign {
            let markers = setups.world.wire_with(FUNCTION, changed, Markers::wire).await?;
            let marked = Marked { setup_id: setups.id(), generation: 1 };
            names.push(markers.get().await?.mark(marked).to_string());
        }
        for name in &names {
            setups.node(name).await?;
            setups.store(name)?;
        }
        // A store may be called as one likes: that is no marker.
        let behind_a_slash = format!("https://app.example.com/{ours}");
        let website = ["https://shop.example", "https://app.example.com/", &behind_a_slash].get(at).copied();
        let name: String = ours.chars().take(50).collect();
        setups.world.sandbox.btcpay().add_store(&name, website)?;
    }
    Ok(())
}
