use testing::Result;
use time::Duration;

use crate::tool::today;
use crate::webhooks_world::{Inbox, Told, rfc3339};

/// The provider's ids of the events listed, in their order.
fn listed(said: &str) -> Vec<&str> {
    said.split_whitespace().filter(|word| word.starts_with("evt_")).collect()
}

async fn four(inbox: &Inbox) -> Result<()> {
    let told = Told::default();
    let settled = Told { provider: "btcpay", account: "store1", kind: "InvoiceSettled", ..told.clone() };
    for told in [
        Told { event_id: "evt_b", ago: Duration::hours(3), state: "done", ..told.clone() },
        Told { event_id: "evt_a", ago: Duration::minutes(90), object_id: Some("ch_2"), ..told.clone() },
        Told {
            event_id: "evt_d",
            ago: Duration::days(2),
            state: "ignored",
            code: Some("UNKNOWN_TYPE"),
            ..settled
        },
        Told {
            event_id: "evt_c",
            ago: Duration::minutes(5),
            state: "dead",
            attempts: 7,
            code: Some("UNREADABLE"),
            ..told
        },
    ] {
        inbox.told(&told).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_inbox_says_so() -> Result<()> {
    let inbox = Inbox::start().await?;
    assert_eq!(inbox.run(&["list"]).await?.ok(), "no events\n");
    assert_eq!(inbox.run(&["dead"]).await?.ok(), "no dead letters\n");
    assert_eq!(inbox.payments(&["unclaimed"]).await?.ok(), "nothing is unclaimed\n");
    Ok(())
}

#[tokio::test]
async fn the_newest_comes_first_and_each_option_chooses() -> Result<()> {
    let inbox = Inbox::start().await?;
    four(&inbox).await?;
    let (two_hours_ago, an_hour_ago) =
        (rfc3339(today() - Duration::hours(2))?, rfc3339(today() - Duration::hours(1))?);
    let all: &[(&[&str], &[&str])] = &[
        (&[], &["evt_c", "evt_a", "evt_b", "evt_d"]),
        (&["--provider", "btcpay"], &["evt_d"]),
        (&["--provider", "stripe"], &["evt_c", "evt_a", "evt_b"]),
        (&["--state", "dead"], &["evt_c"]),
        (&["--state", "received"], &["evt_a"]),
        (&["--type", "InvoiceSettled"], &["evt_d"]),
        (&["--object", "ch_2"], &["evt_a"]),
        (&["--account", "store1"], &["evt_d"]),
        (&["--account", "store1", "--state", "done"], &[]),
        (&["--since", "2h"], &["evt_c", "evt_a"]),
        (&["--since", "95m", "--until", "600s"], &["evt_a"]),
        (&["--until", "1d"], &["evt_d"]),
        (&["--since", &two_hours_ago, "--until", &an_hour_ago], &["evt_a"]),
        (&["--since", "3d", "--object", "ch_1", "--until", "1h"], &["evt_b", "evt_d"]),
        (&["--limit", "2"], &["evt_c", "evt_a"]),
    ];
    for (options, wanted) in all {
        let said = inbox.run(&[&["list"], *options].concat()).await?.ok();
        assert_eq!(listed(&said), *wanted, "{options:?}: {said}");
        assert_eq!(said.contains("and more: --limit"), options.contains(&"--limit"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_line_has_all_there_is_and_a_dash_for_what_is_not() -> Result<()> {
    let inbox = Inbox::start().await?;
    let dead = Told { state: "dead", attempts: 7, code: Some("UNREADABLE"), ..Told::default() };
    let id = inbox.told(&dead).await?;
    let said = inbox.run(&["list"]).await?.ok();
    let words: Vec<&str> = said.split_whitespace().collect();
    let wanted =
        ["stripe", "-", "charge.updated", "evt_1", "ch_1", "dead", "7", "UNREADABLE", &id.to_string()];
    assert_eq!(words[1..], wanted, "{said}");
    assert!(words[0].starts_with("20") && words[0].ends_with('Z'), "{said}");
    Ok(())
}

#[tokio::test]
async fn nothing_a_provider_says_is_obeyed_by_a_terminal() -> Result<()> {
    let inbox = Inbox::start().await?;
    let odd = "evt_\x1b[31m\u{9b}2J\r\n";
    let odd = Told {
        event_id: odd,
        kind: odd,
        object_id: Some(odd),
        account: odd,
        state: "dead",
        body: b"{\"a\":\"\xc2\x9b2J\x1b[31m\"",
        ..Told::default()
    };
    let id = inbox.told(&odd).await?.to_string();
    for arguments in [&["list"][..], &["dead"], &["show", &id, "--body"]] {
        let said = inbox.run(arguments).await?.ok();
        assert!(said.contains("evt_ [31m") && !said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn dead_letters_come_the_oldest_first_with_why_and_how_many() -> Result<()> {
    let inbox = Inbox::start().await?;
    four(&inbox).await?;
    let away = Told { event_id: "evt_e", state: "dead", code: Some("STRIPE_TIMED_OUT"), ..Told::default() };
    inbox.told(&Told { ago: Duration::days(5), ..away.clone() }).await?;
    inbox.told(&Told { event_id: "evt_f", ago: Duration::days(1), ..away }).await?;
    let said = inbox.run(&["dead"]).await?.ok();
    assert_eq!(listed(&said), ["evt_e", "evt_f", "evt_c"]);
    let below: Vec<&str> = said.lines().skip(3).collect();
    let wanted = [
        "STRIPE_TIMED_OUT: the provider was away: replay it when it is back",
        "UNREADABLE: its object is not what this build reads: replay it with one that does",
        "3 dead letters",
    ];
    assert_eq!(below, wanted);
    let said = inbox.run(&["dead", "--limit", "1"]).await?.ok();
    assert_eq!(listed(&said), ["evt_e"]);
    assert!(said.ends_with("\n3 dead letters, 1 of them shown\n"), "{said}");
    Ok(())
}
