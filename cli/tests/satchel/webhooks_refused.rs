use testing::Result;

use crate::tool::Tool;
use crate::webhooks_world::Inbox;

#[tokio::test]
async fn arguments_that_make_no_sense_exit_2_with_what_would() -> Result<()> {
    let wrong: [&[&str]; 22] = [
        &["webhooks"],
        &["webhooks", "list", "--state", "sad"],
        &["webhooks", "list", "--provider", "paypal"],
        &["webhooks", "list", "--limit", "0"],
        &["webhooks", "list", "--since", "yesterday"],
        &["webhooks", "list", "--since", "2"],
        &["webhooks", "list", "--since", "h"],
        &["webhooks", "list", "--since", "-2h"],
        &["webhooks", "list", "--since", "2é"],
        &["webhooks", "list", "--until", "2026-13-01T00:00:00Z"],
        &["webhooks", "list", "--since", "99999999999999999999d"],
        &["webhooks", "show"],
        &["webhooks", "replay"],
        &["webhooks", "replay", "--yes"],
        &["webhooks", "replay", "evt_1", "--state", "dead"],
        &["webhooks", "dismiss"],
        &["webhooks", "dismiss", "--state", "dead"],
        &["webhooks", "tail", "--state", "dead"],
        &["webhooks", "tail", "--for", "0"],
        &["payments"],
        &["payments", "show"],
        &["payments", "unclaimed", "--since", "soon"],
    ];
    // Nothing is read before the arguments are.
    let tool = Tool::default();
    for arguments in wrong {
        tool.wants_others(arguments).await?;
    }
    let said = tool.run(&["webhooks", "list", "--since", "yesterday"]).await?.stderr;
    assert!(said.contains("a time is like 2026-01-09T12:00:00Z, or like 90s, 15m, 2h or 3d ago"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_range_that_is_none_is_refused() -> Result<()> {
    let inbox = Inbox::start().await?;
    for command in ["list", "replay"] {
        let said = inbox.run(&[command, "--since", "1h", "--until", "2h"]).await?.refused();
        assert!(said.contains("--since is not before --until"), "{said}");
        let said = inbox.run(&[command, "--since", "99999999d"]).await?.refused();
        assert!(said.contains("that was before there were years"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_away_is_named_and_its_password_is_not() -> Result<()> {
    let inbox = Inbox::start().await?;
    let commands: [&[&str]; 8] = [
        &["webhooks", "list"],
        &["webhooks", "show", "evt_1"],
        &["webhooks", "dead"],
        &["webhooks", "replay", "evt_1"],
        &["webhooks", "dismiss", "evt_1"],
        &["webhooks", "tail"],
        &["payments", "show", "pi_1"],
        &["payments", "unclaimed"],
    ];
    inbox.tool.misses_the_database(&inbox.world.sandbox, commands).await
}
