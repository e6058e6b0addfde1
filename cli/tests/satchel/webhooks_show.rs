use shared::upstream::code;
use shared::webhook::reason;
use testing::Result;

use crate::tool::secret_values;
use crate::webhooks_world::{Inbox, Told};

const BODY: &[u8] =
    br#"{"id":"evt_1","data":{"object":{"id":"ch_1","amount":1250,"email":"ann@example.com"}}}"#;

#[tokio::test]
async fn an_event_is_shown_by_our_id_and_by_the_provider_s() -> Result<()> {
    let inbox = Inbox::start().await?;
    let dead =
        Told { state: "dead", attempts: 7, code: Some("STRIPE_KEY_REFUSED"), body: BODY, ..Told::default() };
    let id = inbox.told(&dead).await?;
    inbox.told(&Told { event_id: "evt_2", account: "acct_9", ..Told::default() }).await?;
    let said = inbox.run(&["show", &id.to_string()]).await?.ok();
    assert_eq!(said, inbox.run(&["show", "evt_1"]).await?.ok());
    assert!(said.starts_with(&format!("event {id}  dead\n")), "{said}");
    for line in [
        "  provider  stripe\n",
        "  account   our own\n",
        "  event     evt_1\n",
        "  type      charge.updated\n",
        "  object    ch_1\n",
        "  mode      test\n",
        "  version   2026-10-28.endive\n",
        "  attempts  7\n",
        "  error     STRIPE_KEY_REFUSED\n",
        "  finished  20",
    ] {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    assert!(!said.contains("  due ") && !said.contains("  webhook "), "{said}");
    let next = format!(
        "put a key that is good into the provider's secret, then replay it; satchel webhooks replay {id}, or satchel \
         webhooks dismiss {id}\n"
    );
    assert!(said.contains(&next), "{said}");
    assert!(!said.contains("ann@example.com"), "what customers gave was not asked for: {said}");
    Ok(())
}

#[tokio::test]
async fn what_was_said_is_opened_when_it_is_asked_for() -> Result<()> {
    let inbox = Inbox::start().await?;
    let sealed = inbox.told(&Told { body: BODY, ..Told::default() }).await?.to_string();
    let said = inbox.run(&["show", &sealed, "--body"]).await?.ok();
    let json = "{\n  \"data\": {\n    \"object\": {\n      \"amount\": 1250,\n      \"email\": \"ann@example.com\",\n";
    assert!(said.contains(json) && said.trim_end().ends_with("\n}"), "{said}");

    // As they stood before bodies were sealed.
    let clear = inbox.told(&Told { event_id: "evt_2", ..Told::default() }).await?.to_string();
    inbox
        .sql(&format!("UPDATE webhook_events SET body_sealed = NULL, body = 'not JSON' WHERE id = '{clear}'"))
        .await?;
    let said = inbox.run(&["show", &clear, "--body"]).await?.ok();
    assert!(said.ends_with("\n\nnot JSON\n"), "{said}");

    // Another's body in its place.
    let moved = inbox.told(&Told { event_id: "evt_3", ..Told::default() }).await?.to_string();
    let steal = format!(
        "UPDATE webhook_events SET body_sealed = (SELECT body_sealed FROM webhook_events WHERE id = '{sealed}')
         WHERE id = '{moved}'"
    );
    inbox.sql(&steal).await?;
    let said = inbox.run(&["show", "evt_3", "--body"]).await?.refused();
    assert!(
        said.contains(&format!("the body of event {moved}: the sealed value does not open in this place")),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn an_event_that_two_webhooks_sent_is_shown_twice() -> Result<()> {
    let inbox = Inbox::start().await?;
    // BTCPay's own names look like ours.
    let name = "0c1c0a37-7a4e-4f0f-9d0c-0d6f7b6f2a11";
    let settled = Told { provider: "btcpay", account: "store1", event_id: name, ..Told::default() };
    for webhook_id in ["w1", "w2"] {
        inbox.told(&Told { webhook_id, ..settled.clone() }).await?;
    }
    inbox.told(&Told { account: "acct_9", ..Told::default() }).await?;
    let said = inbox.run(&["show", name]).await?.ok();
    assert_eq!(said.matches("  account   store store1\n").count(), 2, "{said}");
    assert!(said.contains("  webhook   w1\n") && said.contains("  webhook   w2\n"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_said_and_secrets_are_not() -> Result<()> {
    let inbox = Inbox::start().await?;
    inbox.told(&Told::default()).await?;
    for name in ["evt_2", "01a1fefa-c83d-7f8d-8fd4-ad4999db0c3f", "%", "e'--", ""] {
        let said = inbox.run(&["show", name, "--body"]).await?.refused();
        assert!(said.contains(&format!("there is no event {name}")), "{said}");
    }
    let mut secrets = Vec::new();
    for name in ["sealing", "audit", "database/jobs"] {
        secrets
            .extend(secret_values(&crate::tool::document(&inbox.world.sandbox, &format!("satchel/{name}"))?));
    }
    assert!(secrets.len() >= 3, "{} secrets", secrets.len());
    for arguments in [&["list"][..], &["dead"], &["show", "evt_1", "--body"], &["replay", "evt_1", "--yes"]] {
        let said = inbox.run(arguments).await?.ok();
        assert!(!secrets.iter().any(|secret| said.contains(secret)), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn every_code_comes_with_something_to_do() -> Result<()> {
    let inbox = Inbox::start().await?;
    inbox.told(&Told { state: "dead", ..Told::default() }).await?;
    let own = [
        reason::UNKNOWN_TYPE,
        reason::WRONG_LIVEMODE,
        reason::WRONG_ENDPOINT,
        reason::UNREADABLE,
        reason::NOT_APPLIED,
        reason::NOT_CONFIGURED,
        reason::UNOPENED,
        reason::GIVEN_UP,
        reason::DISMISSED,
    ];
    let providers =
        code::ALL.iter().filter(|code| code.starts_with("STRIPE_") || code.starts_with("BTCPAY_"));
    for code in providers.chain(&own).filter(|code| **code != code::BTCPAY_STORE_LIMIT) {
        inbox.sql(&format!("UPDATE webhook_events SET last_error_code = '{code}'")).await?;
        let said = inbox.run(&["dead"]).await?.ok();
        assert!(said.contains(&format!("\n{code}: ")) && !said.contains("of a later build"), "{said}");
    }
    Ok(())
}
