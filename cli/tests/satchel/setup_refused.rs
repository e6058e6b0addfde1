//! What every command of `satchel setup` says when it cannot begin.

use testing::Result;

use crate::setup_world::Setups;
use crate::tool::Tool;

const ID: &str = "01a1fefa-c83d-7f8d-8fd4-ad4999db0c3f";
const COMMANDS: [&[&str]; 6] =
    [&["list"], &["show", "alice"], &["retry", "alice"], &["repair"], &["sweep"], &["undo", ID, "--yes"]];
/// Those that talk to providers.
const DRIVING: [&[&str]; 4] = [COMMANDS[2], COMMANDS[3], COMMANDS[4], COMMANDS[5]];

#[tokio::test]
async fn arguments_that_make_no_sense_exit_2_with_what_would() -> Result<()> {
    let wrong: [&[&str]; 15] = [
        &[],
        &["frobnicate"],
        &["list", "--state", "sad"],
        &["list", "--limit", "0"],
        &["list", "alice"],
        &["show"],
        &["retry"],
        &["retry", "alice", "--all-failed"],
        &["retry", "alice", "--within", "0"],
        &["repair", "alice"],
        &["sweep", "--apply", "yesterday"],
        &["sweep", "--with-funds", "a-node"],
        &["undo"],
        &["undo", "alice"],
        &["undo", ID, "--with-funds=a-node"],
    ];
    // Nothing is read before the arguments are.
    let tool = Tool::default();
    for arguments in wrong {
        tool.wants_others(&[&["setup"], arguments].concat()).await?;
    }
    for command in ["list", "show", "retry", "repair", "sweep", "undo"] {
        let said = tool.run(&["setup", command, "--help"]).await?.ok();
        assert!(said.contains(&format!("Usage: satchel setup {command}")), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_away_is_named_and_its_password_is_not() -> Result<()> {
    let setups = Setups::start().await?;
    let commands = COMMANDS.map(|arguments| [&["setup"], arguments].concat());
    setups.tool.misses_the_database(&setups.world.sandbox, commands).await
}

#[tokio::test]
async fn without_a_provider_each_says_what_that_means_for_it() -> Result<()> {
    let mut setups = Setups::start().await?;
    let (failed, finished) = (setups.failed("alice").await?, setups.finished("bob").await?);
    setups.import("carol", None, None).await?;
    for name in ["BTCPAY_URL", "BTCPAY_SECRET", "VOLTAGE_SECRET"] {
        setups.tool = setups.tool.with(name, "");
    }
    let retried = setups.run(&["retry", "alice"]).await?;
    let why = "failed at create_store with BTCPAY_NOT_CONFIGURED: switch the provider on and retry, or undo the setup";
    assert!(retried.failed().contains(why), "{retried:?}");
    let repaired = setups.run(&["repair"]).await?;
    assert!(repaired.failed().contains("0 imported addresses repaired, 1 not"), "{repaired:?}");
    assert!(repaired.stderr.contains("is left alone: btcpay is not configured"), "{repaired:?}");
    let swept = setups.run(&["sweep"]).await?.refused();
    assert!(
        swept.contains("neither btcpay nor voltage is configured: there is no account to look at"),
        "{swept}"
    );
    for (setup, provider) in [(&failed, "voltage"), (&finished, "btcpay")] {
        let undone = setups.run(&["undo", &setup.id.to_string(), "--yes", "--with-funds"]).await?.refused();
        let why =
            format!("{provider} is not configured, so what is there cannot be deleted: nothing was undone");
        assert!(undone.contains(&why), "{undone}");
    }
    setups.are_whole(&[finished.id]).await?;
    assert_eq!(setups.held(), (1, 2));
    Ok(())
}

#[tokio::test]
async fn what_is_missing_of_the_environment_is_named_at_once() -> Result<()> {
    let mut setups = Setups::start().await?;
    let bare = Tool::at(&setups.world.sandbox);
    for arguments in DRIVING {
        let said = bare.run(&[&["setup"], arguments].concat()).await?.refused();
        assert!(said.contains("the environment is not that of resume_lightning_setups"), "{said}");
        for name in ["APP_DOMAIN", "LIGHTNING_ADDRESS_DOMAIN", "DEPLOYMENT_ID"] {
            assert!(said.contains(&format!("{name} is missing")), "{said}");
        }
    }
    setups.tool = setups.tool.with("SETUP_ENABLED", "false");
    assert!(
        setups.run(&["repair"]).await?.refused().contains("SETUP_ENABLED is false: nothing new is begun")
    );
    setups.tool = setups.tool.with("VOLTAGE_SECRET", "elsewhere/voltage");
    let said = setups.run(&["sweep"]).await?.refused();
    assert!(said.contains("VOLTAGE_SECRET names a secret outside of --prefix"), "{said}");
    setups.tool = setups.tool.with("VOLTAGE_SECRET", "satchel/another");
    assert!(setups.run(&["sweep"]).await?.refused().contains("there is no secret satchel/another"));
    Ok(())
}
