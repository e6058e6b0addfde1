//! Signed by Stripe, and not an event, or hardly one.

use serde_json::{Value, json};
use testing::{Result, World};

use super::{
    PLATFORM, fate, kept_body, nothing_was_recorded, paid, received, rows, send, signed, told, wire, with,
    without,
};

fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn what_is_signed_and_no_event_is_malformed_and_quoted_nowhere() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let good = paid("canary");
    let text = good.to_string();
    let changed = |pointer: &str, value: Value| with(good.clone(), pointer, value).to_string().into_bytes();
    let lacking = |pointer: &str| without(good.clone(), pointer).to_string().into_bytes();
    let raw = |pointer: &str, value: &str| {
        with(good.clone(), pointer, json!("PLACE")).to_string().replace("\"PLACE\"", value).into_bytes()
    };
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("a blank", b" ".to_vec()),
        ("words", b"canary, and no JSON".to_vec()),
        ("null", b"null".to_vec()),
        ("a number", b"7".to_vec()),
        ("a text", b"\"canary\"".to_vec()),
        ("a list of events", format!("[{text}]").into_bytes()),
        ("an empty object", b"{}".to_vec()),
        ("an object that does not end", text.as_bytes()[..text.len() - 1].to_vec()),
        ("two objects", format!("{text}{text}").into_bytes()),
        ("a byte order mark first", format!("\u{feff}{text}").into_bytes()),
        ("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a form", b"id=evt_canary&type=payment_intent.succeeded".to_vec()),
        ("a byte that is no UTF-8", [text.as_bytes(), b"\xff"].concat()),
        ("a text that is no UTF-8", [b"{\"id\":\"evt_canary".as_slice(), b"\xc3\x28", b"\"}"].concat()),
        ("half a surrogate pair", raw("/data/object/receipt_email", "\"\\ud800\"")),
        ("a zero byte in a text", raw("/data/object/receipt_email", "\"a\0b\"")),
        ("ten thousand lists", deep(10_000).into_bytes()),
        ("a million lists", "[".repeat(1_000_000).into_bytes()),
        ("ten thousand lists in the object", raw("/data/object/metadata", &deep(10_000))),
        ("an exponent no number has", raw("/data/object/amount", "1e999999")),
        ("another kind of thing", changed("/object", json!("charge"))),
        ("no kind of thing", lacking("/object")),
        ("no id", lacking("/id")),
        ("a null for an id", changed("/id", json!(null))),
        ("an empty id", changed("/id", json!(""))),
        ("a number for an id", changed("/id", json!(7))),
        ("an id with a blank", changed("/id", json!("evt canary"))),
        ("an id with a zero", changed("/id", json!("evt_\0canary"))),
        ("an id beyond ASCII", changed("/id", json!("evt_é"))),
        ("an id of 256 characters", changed("/id", json!("e".repeat(256)))),
        ("no type", lacking("/type")),
        ("a list for a type", changed("/type", json!(["canary"]))),
        ("a type with a zero", changed("/type", json!("payment_intent.\0"))),
        ("no time", lacking("/created")),
        ("a time with a fraction", changed("/created", json!(1_767_960_000.5))),
        ("a time no calendar has", changed("/created", json!(i64::MAX))),
        ("a time before all others", changed("/created", json!(-1))),
        ("a time no database has", changed("/created", json!(-300_000_000_000_i64))),
        ("a time too far ahead", changed("/created", json!(253_402_300_799_i64))),
        ("a time in words", changed("/created", json!("yesterday"))),
        ("no livemode", lacking("/livemode")),
        ("a number for livemode", changed("/livemode", json!(1))),
        ("no data", lacking("/data")),
        ("no object", lacking("/data/object")),
        ("a null for the object", changed("/data/object", json!(null))),
        ("a text for the object", changed("/data/object", json!("pi_canary"))),
        ("a list for the object", changed("/data/object", json!([]))),
        ("a number for the account", changed("/account", json!(7))),
        ("an account with a zero", changed("/account", json!("acct_\0"))),
        ("a version with a zero", changed("/api_version", json!("2026\0"))),
    ];
    for (what, body) in &bodies {
        let answer = send(&deps, &signed(&world, PLATFORM, body.as_slice())).await?;
        assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"), "{what}");
        let said = format!("{}{:?}", answer.reply.body, answer.causes);
        assert!(!said.contains("canary"), "{what}: {said}");
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn an_envelope_may_be_odd_and_still_count() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let twice = |text: String| text.replacen('{', "{\"id\":\"evt_of_another_name\",\"livemode\":true,", 1);
    let long = |name: &str| with(paid(name), "/data/object/description", json!("é".repeat(100_000)));
    let events: Vec<(&str, String)> = vec![
        ("numbers_as_text", with(paid("numbers_as_text"), "/created", json!("1767960000")).to_string()),
        ("flags_as_text", with(paid("flags_as_text"), "/livemode", json!("false")).to_string()),
        ("no_version", without(paid("no_version"), "/api_version").to_string()),
        ("no_request", without(paid("no_request"), "/request").to_string()),
        (
            "more_members",
            with(paid("more_members"), "/a_new_member", json!({ "of": ["any", "kind"] })).to_string(),
        ),
        ("members_twice", twice(paid("members_twice").to_string())),
        ("long_ago", with(paid("long_ago"), "/created", json!(0)).to_string()),
        ("far_ahead", with(paid("far_ahead"), "/created", json!(13_569_465_599_i64)).to_string()),
        ("a_hundred_deep", {
            let place = with(paid("a_hundred_deep"), "/data/object/metadata", json!("PLACE")).to_string();
            place.replace("\"PLACE\"", &deep(100))
        }),
        ("blanks_around", format!("\n\t {:#} \n", paid("blanks_around"))),
        ("long_texts", long("long_texts").to_string()),
    ];
    for (name, body) in &events {
        received(&deps, &signed(&world, PLATFORM, body.as_str()))
            .await
            .map_err(|error| error.context(*name))?;
        assert_eq!(fate(&world, &format!("evt_{name}")).await?, ("done".to_owned(), None), "{name}");
        assert_eq!(kept_body(&world, &format!("evt_{name}")).await?, body.as_bytes(), "{name}");
    }
    assert_eq!(rows(&world, "webhook_events").await?, i64::try_from(events.len())?);
    Ok(())
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_not_one_byte_more() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let of_length = |length: usize| {
        let body = paid("1").to_string();
        let blanks = " ".repeat(length - body.len());
        body + &blanks
    };
    let answer = send(&deps, &signed(&world, PLATFORM, of_length(1024 * 1024 + 1))).await?;
    assert_eq!(answer.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    nothing_was_recorded(&world).await?;
    received(&deps, &signed(&world, PLATFORM, of_length(1024 * 1024))).await?;
    assert_eq!(kept_body(&world, "evt_1").await?.len(), 1024 * 1024);
    assert_eq!(fate(&world, "evt_1").await?, ("done".to_owned(), None));
    Ok(())
}

#[tokio::test]
async fn an_event_without_an_object_of_a_known_name_is_about_nothing() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    for (name, id) in [
        ("none", json!(null)),
        ("zero", json!("pi_\0")),
        ("long", json!("p".repeat(300))),
        ("list", json!([])),
    ] {
        told(&world, &deps, &with(paid(name), "/data/object/id", id)).await?;
        let expected = ("dead".to_owned(), Some("UNREADABLE".to_owned()));
        assert_eq!(fate(&world, &format!("evt_{name}")).await?, expected, "{name}");
    }
    assert_eq!(rows(&world, "webhook_events WHERE object_id IS NULL").await?, 4);
    Ok(())
}
