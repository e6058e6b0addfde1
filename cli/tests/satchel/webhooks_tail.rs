use std::process::Stdio;
use std::time::Duration as Wait;

use anyhow::Context;
use testing::Result;
use time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::{sleep, timeout};

use crate::webhooks_world::{Inbox, Told};

/// Longer than it looks the first time, and shorter than the overlap.
const TO_BEGIN: Wait = Wait::from_millis(1_500);
const A_LINE: Wait = Wait::from_secs(10);

struct Tail {
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Tail {
    async fn start(inbox: &Inbox, options: &[&str]) -> Result<Self> {
        let mut command = inbox.tool.command(&[&["webhooks", "tail"], options].concat());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        sleep(TO_BEGIN).await;
        Ok(Self { lines, child })
    }

    /// Event, state and attempts of the next line.
    async fn next(&mut self) -> Result<String> {
        let line = timeout(A_LINE, self.lines.next_line()).await.context("no line came")??;
        let line = line.context("it ended")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(format!("{} {} {}", words[4], words[6], words[7]))
    }
}

fn told(event_id: &str) -> Told<'_> {
    Told { event_id, ago: Duration::ZERO, ..Told::default() }
}

#[tokio::test]
async fn what_comes_is_shown_once_and_again_when_it_changes() -> Result<()> {
    let inbox = Inbox::start().await?;
    let before = inbox.told(&told("evt_before")).await?;
    let mut tail = Tail::start(&inbox, &[]).await?;

    let id = inbox.told(&told("evt_1")).await?;
    assert_eq!(tail.next().await?, "evt_1 received 0");
    inbox.sql(&format!("UPDATE webhook_events SET attempts = 1 WHERE id = '{id}'")).await?;
    assert_eq!(tail.next().await?, "evt_1 received 1");
    let done = "state = 'done', due_at = NULL, finished_at = now()";
    inbox.sql(&format!("UPDATE webhook_events SET {done} WHERE id = '{id}'")).await?;
    assert_eq!(tail.next().await?, "evt_1 done 1");
    inbox.sql(&format!("UPDATE webhook_events SET {done} WHERE id = '{before}'")).await?;
    assert_eq!(tail.next().await?, "evt_before done 0", "what was there is shown only when it changes");
    inbox.told(&told("evt_2")).await?;
    assert_eq!(tail.next().await?, "evt_2 received 0");
    Ok(())
}

#[tokio::test]
async fn one_that_is_committed_late_under_an_older_id_is_not_missed() -> Result<()> {
    let mut inbox = Inbox::start().await?;
    let mut slow = inbox.world.db.admin().await?;
    let tx = slow.transaction().await?;
    let old = Told { ago: Duration::seconds(40), ..told("evt_late") };
    let late = inbox.told_by(&tx, &old).await?;
    let mut tail = Tail::start(&inbox, &[]).await?;
    let newer = inbox.told(&told("evt_newer")).await?;
    assert!(late < newer);
    assert_eq!(tail.next().await?, "evt_newer received 0");
    sleep(TO_BEGIN).await;
    tx.commit().await?;
    assert_eq!(tail.next().await?, "evt_late received 0");
    inbox.admin = slow;
    Ok(())
}

#[tokio::test]
async fn only_what_is_asked_for_is_shown() -> Result<()> {
    let inbox = Inbox::start().await?;
    let options = ["--provider", "btcpay", "--type", "InvoiceSettled", "--object", "inv"];
    let mut tail = Tail::start(&inbox, &options).await?;
    let wanted =
        Told { provider: "btcpay", kind: "InvoiceSettled", object_id: Some("inv"), ..told("evt_wanted") };
    for other in [
        Told { provider: "stripe", event_id: "evt_1", ..wanted.clone() },
        Told { kind: "InvoiceExpired", event_id: "evt_2", ..wanted.clone() },
        Told { object_id: Some("inv2"), event_id: "evt_3", ..wanted.clone() },
        Told { object_id: None, event_id: "evt_4", ..wanted.clone() },
    ] {
        inbox.told(&other).await?;
    }
    inbox.told(&wanted).await?;
    assert_eq!(tail.next().await?, "evt_wanted received 0");
    Ok(())
}

#[tokio::test]
async fn it_ends_when_its_time_is_over_or_nobody_reads() -> Result<()> {
    let inbox = Inbox::start().await?;
    assert_eq!(inbox.run(&["tail", "--for", "1"]).await?.ok(), "0 lines shown\n");
    let Tail { lines, mut child } = Tail::start(&inbox, &[]).await?;
    drop(lines);
    inbox.told(&told("evt_1")).await?;
    let status = timeout(A_LINE, child.wait()).await.context("it went on")??;
    assert_eq!(status.code(), Some(0), "a closed pipe is no error");
    Ok(())
}
