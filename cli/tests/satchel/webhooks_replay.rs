use testing::Result;
use time::Duration;
use uuid::Uuid;

use crate::webhooks_world::{Inbox, Told};

const INVOKE: &str = "aws lambda invoke --function-name satchel-process_webhook_events /dev/stdout";

async fn one_of_each(inbox: &Inbox) -> Result<[Uuid; 4]> {
    let mut ids = [Uuid::nil(); 4];
    for (id, (event_id, state)) in ids.iter_mut().zip([
        ("evt_r", "received"),
        ("evt_i", "ignored"),
        ("evt_o", "done"),
        ("evt_d", "dead"),
    ]) {
        let told = Told { event_id, state, attempts: 9, code: Some("STRIPE_TIMED_OUT"), ..Told::default() };
        *id = inbox.told(&told).await?;
    }
    Ok(ids)
}

fn again() -> (String, i32, Option<String>, bool) {
    ("received".to_owned(), 0, None, true)
}

#[tokio::test]
async fn without_yes_it_only_says_what_it_would_do() -> Result<()> {
    let inbox = Inbox::start().await?;
    let ids = one_of_each(&inbox).await?;
    let said = inbox.run(&["replay", "--type", "charge.updated"]).await?.ok();
    assert_eq!(said, "would replay 3 events (1 dead, 1 ignored, 1 received)\nNext: the same with --yes\n");
    let said = inbox.run(&["replay", "evt_o", &ids[3].to_string(), "evt_o"]).await?.ok();
    assert_eq!(said, "would replay 2 events\nNext: the same with --yes\n");
    for state in ["done", "dead"] {
        assert_eq!(
            inbox.count(&format!("webhook_events WHERE state = '{state}' AND attempts = 9")).await?,
            1
        );
    }
    assert_eq!(inbox.count("audit_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn one_that_is_named_begins_again_whatever_its_state_and_it_is_audited() -> Result<()> {
    let inbox = Inbox::start().await?;
    let [received, ignored, done, dead] = one_of_each(&inbox).await?;
    let said = inbox.run(&["replay", "evt_o", &dead.to_string(), "--yes"]).await?.ok();
    assert!(said.starts_with("2 events to be gone through again: ") && said.contains(INVOKE), "{said}");
    for id in [done, dead] {
        assert_eq!(inbox.standing(id).await?, again());
        assert_eq!(inbox.audited("webhook.replayed", "replay", id, ("count", "1")).await?, 1);
    }
    for id in [received, ignored] {
        assert_eq!(inbox.standing(id).await?.1, 9, "nobody named it");
    }
    inbox.tool.run(&["audit", "verify"]).await?.ok();

    let said = inbox.run(&["replay", &ignored.to_string(), "evt_x", "--yes"]).await?.refused();
    assert!(said.contains("there is no event evt_x"), "{said}");
    assert_eq!(inbox.standing(ignored).await?.0, "ignored", "all or none of those named");
    Ok(())
}

#[tokio::test]
async fn what_is_done_is_chosen_by_its_state_alone() -> Result<()> {
    let inbox = Inbox::start().await?;
    let [received, ignored, done, dead] = one_of_each(&inbox).await?;
    inbox.run(&["replay", "--object", "ch_1", "--yes"]).await?.ok();
    for id in [received, ignored, dead] {
        assert_eq!(inbox.standing(id).await?, again());
    }
    assert_eq!(inbox.standing(done).await?.0, "done");
    let resource = "state=received,ignored,dead object=ch_1 until=%";
    assert_eq!(inbox.count(&format!("audit_logs WHERE resource_id LIKE '{resource}'")).await?, 1);
    let said = inbox.run(&["replay", "--state", "done", "--object", "ch_1", "--yes"]).await?.ok();
    assert!(said.starts_with("1 event to be"), "{said}");
    assert_eq!(inbox.standing(done).await?, again());
    let said = inbox.run(&["replay", "--state", "dead", "--yes"]).await?.ok();
    assert_eq!(said, "no events to replay\n");
    assert_eq!(inbox.count("audit_logs").await?, 2, "what changed nothing is not audited");
    Ok(())
}

#[tokio::test]
async fn one_in_somebody_s_hands_keeps_what_they_are_known_by() -> Result<()> {
    let inbox = Inbox::start().await?;
    let [held, ..] = one_of_each(&inbox).await?;
    inbox
        .sql(&format!("UPDATE webhook_events SET due_at = now() + interval '50 seconds' WHERE id = '{held}'"))
        .await?;
    let waiting = inbox.told(&Told { event_id: "evt_w", attempts: 9, ..Told::default() }).await?;
    inbox
        .sql(&format!("UPDATE webhook_events SET due_at = now() + interval '1 hour' WHERE id = '{waiting}'"))
        .await?;
    inbox.run(&["replay", "--state", "received", "--yes"]).await?.ok();
    assert_eq!(inbox.standing(held).await?, ("received".to_owned(), 9, None, true));
    assert_eq!(inbox.standing(waiting).await?, again());
    Ok(())
}

#[tokio::test]
async fn a_range_of_thousands_is_set_back_in_batches() -> Result<()> {
    let inbox = Inbox::start().await?;
    inbox.many(2_500, "dead", Duration::days(1)).await?;
    let (outside, newer) = (Duration::days(3), Duration::hours(1));
    let outside =
        inbox.told(&Told { event_id: "evt_x", state: "dead", ago: outside, ..Told::default() }).await?;
    let newer = inbox.told(&Told { event_id: "evt_y", state: "dead", ago: newer, ..Told::default() }).await?;
    let range = ["replay", "--since", "2d", "--until", "23h"];
    assert!(inbox.run(&range).await?.ok().starts_with("would replay 2500 events (2500 dead)\n"));

    let ran = inbox.run(&[&range[..], &["--yes"]].concat()).await?;

    assert!(ran.done().starts_with("2500 events to be gone through again: "), "{ran:?}");
    assert_eq!(ran.stderr, "1000 events set back\n2000 events set back\n");
    assert_eq!(
        inbox.count("webhook_events WHERE state = 'received' AND attempts = 0 AND due_at <= now()").await?,
        2_500
    );
    for id in [outside, newer] {
        assert_eq!(inbox.standing(id).await?.0, "dead");
    }
    let counts = "(SELECT CAST(details ->> 'count' AS int) AS n FROM audit_logs ORDER BY seq) a WHERE n IN (1000, 500)";
    assert_eq!(inbox.count(counts).await?, 3, "one row for each transaction");
    inbox.tool.run(&["audit", "verify"]).await?.ok();
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_not_audited_is_not_replayed() -> Result<()> {
    let inbox = Inbox::start().await?;
    let [.., dead] = one_of_each(&inbox).await?;
    inbox.sql("REVOKE INSERT ON audit_logs FROM satchel_jobs").await?;
    let said = inbox.run(&["replay", "--state", "dead", "--yes"]).await?.refused();
    assert!(said.contains("0 events set back, no more: "), "{said}");
    assert_eq!(inbox.standing(dead).await?.0, "dead");
    Ok(())
}
