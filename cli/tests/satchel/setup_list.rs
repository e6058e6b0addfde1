use serde_json::{Value, json};
use testing::Result;

use crate::setup_world::Setups;

/// The addresses that were listed, in their order.
fn addresses(said: &str) -> Vec<&str> {
    said.split_whitespace().filter(|word| word.contains('@')).collect()
}

#[tokio::test]
async fn without_setups_it_says_so_and_in_json_lists_none() -> Result<()> {
    let setups = Setups::start().await?;
    assert_eq!(setups.run(&["list"]).await?.ok(), "no setups\n");
    assert_eq!(setups.run(&["list", "--json"]).await?.ok(), "[]\n");
    setups.begin("alice").await?;
    assert_eq!(setups.run(&["list", "--state", "failed"]).await?.ok(), "no setups\n");
    Ok(())
}

#[tokio::test]
async fn the_one_that_changed_last_comes_first_and_a_state_may_be_chosen() -> Result<()> {
    let setups = Setups::start().await?;
    let ids = [
        setups.begin("a").await?,
        setups.begin("b").await?,
        setups.begin("c").await?,
        setups.begin("d").await?,
    ];
    for (id, (state, minutes)) in
        ids.iter().zip([("failed", 3), ("running", 1), ("undone", 2), ("failed", 4)])
    {
        setups
            .set(*id, &format!("state = '{state}', updated_at = now() - interval '{minutes} minutes'"))
            .await?;
    }
    let said = setups.run(&["list"]).await?.ok();
    assert_eq!(
        addresses(&said),
        ["b@pay.example.com", "c@pay.example.com", "a@pay.example.com", "d@pay.example.com"]
    );
    assert!(said.contains(&ids[0].to_string()) && said.contains("create_node"), "{said}");
    let said = setups.run(&["list", "--state", "failed"]).await?.ok();
    assert_eq!(addresses(&said), ["a@pay.example.com", "d@pay.example.com"]);
    let said = setups.run(&["list", "--limit", "2"]).await?.ok();
    assert_eq!(addresses(&said), ["b@pay.example.com", "c@pay.example.com"]);
    assert!(said.ends_with("and more: --limit shows them, --state chooses\n"), "{said}");
    assert!(!setups.run(&["list", "--limit", "4"]).await?.ok().contains("and more"));
    Ok(())
}

#[tokio::test]
async fn a_failed_one_shows_why_and_json_says_the_same() -> Result<()> {
    let setups = Setups::start().await?;
    let (failed, finished) = (setups.failed("alice").await?, setups.finished("bob").await?);
    let said = setups.run(&["list", "--state", "failed"]).await?.ok();
    assert!(said.contains("create_store") && said.trim_end().ends_with("BTCPAY_KEY_REFUSED"), "{said}");

    let listed: Vec<Value> = serde_json::from_str(&setups.run(&["list", "--json"]).await?.ok())?;
    let told = |at: usize, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| listed[at][*name].clone()).collect()
    };
    let names = ["id", "user_id", "address", "node_source", "state", "step", "attempts", "last_error_code"];
    let of_failed = json!([
        failed.id,
        failed.user_id,
        "alice@pay.example.com",
        "voltage",
        "failed",
        "create_store",
        1,
        "BTCPAY_KEY_REFUSED"
    ]);
    let of_finished = json!([
        finished.id,
        finished.user_id,
        "bob@pay.example.com",
        "voltage",
        "finished",
        "activate",
        1,
        null
    ]);
    let (first, second) = if listed[0]["state"] == "failed" { (0, 1) } else { (1, 0) };
    assert_eq!(json!(told(first, &names)), of_failed);
    assert_eq!(json!(told(second, &names)), of_finished);
    for name in ["due_at", "created_at", "updated_at"] {
        assert!(listed[0][name].as_str().is_some_and(|time| time.ends_with('Z')), "{listed:?}");
    }
    Ok(())
}
