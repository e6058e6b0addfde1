use sandbox::privy::PrivyPerson;
use sandbox::{PRIVY_APP_ID, Sandbox, SandboxOptions};
use serde_json::json;
use testing::Result;

use crate::tool::Tool;

async fn world() -> Result<(Sandbox, Tool)> {
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    sandbox.secrets().put("satchel/privy", &json!({ "app_id": PRIVY_APP_ID }).to_string());
    let tool = Tool::at(&sandbox);
    Ok((sandbox, tool))
}

fn alice() -> PrivyPerson {
    PrivyPerson::new("alice").email("alice@example.com").wallet("0x52908400098527886E0F7030069857D2E4169EE7")
}

#[tokio::test]
async fn a_good_token_says_whose_it_is_and_until_when() -> Result<()> {
    let (sandbox, tool) = world().await?;
    let tokens = sandbox.privy().tokens(&alice());
    let printed = tool.run(&["test-privy", &tokens.access]).await?.ok();
    assert!(
        printed.starts_with("good until  20") && printed.contains("\nid          did:privy:alice\n"),
        "{printed}"
    );
    assert!(!printed.contains("email"), "{printed}");
    let arguments = ["test-privy", "-", "--identity", tokens.identity.as_str()];
    let printed = tool.run_on(&arguments, format!("{}\n", tokens.access).as_bytes()).await?.ok();
    assert!(printed.contains("\nemail       alice@example.com (proven)\n"), "{printed}");
    assert!(
        printed.ends_with("\nwallet      ethereum 0x52908400098527886E0F7030069857D2E4169EE7\n"),
        "{printed}"
    );
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_printed_and_the_reason_is() -> Result<()> {
    let (sandbox, tool) = world().await?;
    let privy = sandbox.privy();
    let tokens = privy.tokens(&alice());
    let old = privy.tokens_at(&alice(), 1_700_000_000).access;
    let mut other = privy.claims(&alice(), 1_700_000_000);
    other["aud"] = json!("another-app");
    let other = privy.sign(&privy.header(), &other);
    for (token, why) in [
        (old.as_str(), "the access token has expired"),
        (other.as_str(), "the access token was issued for another app"),
        (tokens.identity.as_str(), "the access token has no session: is it an identity token?"),
        ("not-a-token", "the access token is not a token"),
    ] {
        let ran = tool.run(&["test-privy", token]).await?;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{why}");
        assert_eq!(ran.stderr, format!("satchel: refused: {why}\n"));
    }
    let swapped = tool.run(&["test-privy", &tokens.access, "--identity", &tokens.access]).await?;
    assert!(swapped.stderr.contains("the identity token has no linked accounts"), "{}", swapped.stderr);
    Ok(())
}

#[tokio::test]
async fn without_an_app_there_is_nothing_to_test_with() -> Result<()> {
    let (sandbox, tool) = world().await?;
    sandbox.secrets().remove("satchel/privy");
    let ran = tool.run(&["test-privy", "x"]).await?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr, "satchel: there is no secret satchel/privy: Privy is not configured\n");
    sandbox.secrets().put("satchel/privy", r#"{"app_id":"a","verification_key":"pem"}"#);
    let ran = tool.run(&["test-privy", "x"]).await?;
    assert!(ran.stderr.contains("not an EC key in PEM"), "{}", ran.stderr);
    tool.wants_others(&["test-privy"]).await
}
