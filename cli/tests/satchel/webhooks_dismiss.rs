use testing::Result;
use uuid::Uuid;

use crate::webhooks_world::{Inbox, Told};

async fn dead(inbox: &Inbox, event_id: &str) -> Result<Uuid> {
    let told = Told { event_id, state: "dead", attempts: 32, code: Some("UNREADABLE"), ..Told::default() };
    inbox.told(&told).await
}

fn at_rest() -> (String, i32, Option<String>, bool) {
    ("ignored".to_owned(), 32, Some("DISMISSED".to_owned()), false)
}

fn still_dead() -> (String, i32, Option<String>, bool) {
    ("dead".to_owned(), 32, Some("UNREADABLE".to_owned()), false)
}

#[tokio::test]
async fn a_dead_letter_is_laid_to_rest_by_either_id_and_it_is_audited() -> Result<()> {
    let inbox = Inbox::start().await?;
    let (ours, theirs, other) =
        (dead(&inbox, "evt_1").await?, dead(&inbox, "evt_2").await?, dead(&inbox, "evt_3").await?);
    inbox.sql("UPDATE webhook_events SET finished_at = now() - interval '80 days'").await?;
    let said = inbox.run(&["dismiss", &ours.to_string(), "evt_2", "evt_1"]).await?.ok();
    assert_eq!(said, "2 dead letters dismissed\n");
    for id in [ours, theirs] {
        assert_eq!(inbox.standing(id).await?, at_rest());
        assert_eq!(inbox.audited("webhook.dismissed", "dismiss", id, ("code", "UNREADABLE")).await?, 1);
    }
    let now = "webhook_events WHERE finished_at > now() - interval '1 minute'";
    assert_eq!(inbox.count(now).await?, 2, "it is kept as long as if it had just been ignored");
    assert_eq!(inbox.standing(other).await?, still_dead(), "nobody named it");
    let said = inbox.run(&["dead"]).await?.ok();
    assert!(said.contains("evt_3") && said.ends_with("1 dead letter\n"), "{said}");
    inbox.tool.run(&["audit", "verify"]).await?.ok();
    Ok(())
}

#[tokio::test]
async fn what_is_not_dead_is_refused_and_with_it_all_that_was_named() -> Result<()> {
    let inbox = Inbox::start().await?;
    let letter = dead(&inbox, "evt_d").await?;
    let mut names = vec!["dismiss".to_owned(), "evt_d".to_owned()];
    for state in ["received", "ignored", "done"] {
        let told = Told { event_id: state, state, ..Told::default() };
        names.push(inbox.told(&told).await?.to_string());
    }
    let arguments: Vec<&str> = names.iter().map(String::as_str).collect();
    let said = inbox.run(&arguments).await?.refused();
    assert!(said.contains("nothing was dismissed; not dead (3 of 4): "), "{said}");
    for (id, state) in names[2..].iter().zip(["received", "ignored", "done"]) {
        assert!(said.contains(&format!("{id} {state} ({state})")), "{said}");
        assert_eq!(inbox.standing(id.parse()?).await?.0, state);
    }
    assert_eq!(inbox.standing(letter).await?, still_dead());

    let said = inbox.run(&["dismiss", "evt_d", "evt_x"]).await?.refused();
    assert!(said.contains("there is no event evt_x"), "{said}");
    assert_eq!(inbox.standing(letter).await?, still_dead());
    assert_eq!(inbox.count("audit_logs").await?, 0, "what changed nothing is not audited");

    inbox.run(&["dismiss", "evt_d"]).await?.ok();
    let said = inbox.run(&["dismiss", "evt_d"]).await?.refused();
    assert!(said.contains("not dead (1 of 1): ") && said.contains("(ignored)"), "{said}");
    Ok(())
}

#[tokio::test]
async fn of_two_that_are_called_alike_the_dead_one_is_named_by_our_id() -> Result<()> {
    let inbox = Inbox::start().await?;
    let letter = dead(&inbox, "evt_1").await?;
    let done = inbox.told(&Told { account: "acct_9", state: "done", ..Told::default() }).await?;
    let said = inbox.run(&["dismiss", "evt_1"]).await?.refused();
    assert!(said.contains(&format!("not dead (1 of 2): {done} ")), "{said}");
    assert_eq!(inbox.standing(letter).await?, still_dead());
    assert_eq!(inbox.run(&["dismiss", &letter.to_string()]).await?.ok(), "1 dead letter dismissed\n");
    Ok(())
}

#[tokio::test]
async fn a_range_leaves_it_at_rest_and_its_id_takes_it_back() -> Result<()> {
    let inbox = Inbox::start().await?;
    let letter = dead(&inbox, "evt_1").await?;
    inbox.run(&["dismiss", "evt_1"]).await?.ok();
    let passed =
        Told { event_id: "evt_2", state: "ignored", code: Some("WRONG_LIVEMODE"), ..Told::default() };
    inbox.told(&passed).await?;
    let unnamed = inbox.told(&Told { event_id: "evt_3", state: "ignored", ..Told::default() }).await?;
    let range = ["replay", "--state", "ignored", "--since", "1d"];
    assert!(inbox.run(&range).await?.ok().starts_with("would replay 2 events (2 ignored)\n"));
    inbox.run(&[&range[..], &["--yes"]].concat()).await?.ok();
    assert_eq!(inbox.standing(letter).await?, at_rest());
    assert_eq!(inbox.standing(unnamed).await?.0, "received");
    assert!(inbox.run(&["list", "--state", "ignored"]).await?.ok().contains("DISMISSED"));
    let said = inbox.run(&["show", "evt_1"]).await?.ok();
    let next = format!("in the audit log says what it died of (satchel webhooks replay {letter})");
    assert!(said.contains(&next), "{said}");
    inbox.run(&["replay", "evt_1", "--yes"]).await?.ok();
    assert_eq!(inbox.standing(letter).await?, ("received".to_owned(), 0, None, true));
    Ok(())
}

#[tokio::test]
async fn what_is_not_audited_is_not_dismissed() -> Result<()> {
    let inbox = Inbox::start().await?;
    let letter = dead(&inbox, "evt_1").await?;
    inbox.sql("REVOKE INSERT ON audit_logs FROM satchel_jobs").await?;
    inbox.run(&["dismiss", "evt_1"]).await?.refused();
    assert_eq!(inbox.standing(letter).await?, still_dead());
    Ok(())
}
