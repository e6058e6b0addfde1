use serde_json::json;
use time::macros::datetime;

use super::*;

fn snapshot_event() -> Value {
    json!({
        "id": "evt_1SatchelEvent0001",
        "object": "event",
        "account": "acct_1SatchelSeller0001",
        "api_version": "2026-10-28.endive",
        "created": 1_767_960_000,
        "data": {"object": {"id": "re_1", "object": "refund"}, "previous_attributes": {"status": "pending"}},
        "livemode": true,
        "pending_webhooks": 2,
        "request": {"id": "req_1", "idempotency_key": null},
        "type": "refund.updated",
        "somethingNew": [1, {}],
    })
}

fn thin_event() -> Value {
    json!({
        "id": "evt_test_65SatchelThin0001",
        "object": "v2.core.event",
        "context": "acct_1SatchelSeller0001",
        "created": "2026-01-09T13:00:00.345678901+01:00",
        "livemode": false,
        "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1"},
        "type": "v2.core.account[requirements].updated",
    })
}

fn parse(event: &Value) -> Result<Event, NotAnEvent> {
    Event::parse(event.to_string().as_bytes())
}

/// The event with some of its members replaced, or taken away by a null.
fn changed(mut event: Value, members: Value) -> Value {
    let Value::Object(members) = members else { unreachable!() };
    event.as_object_mut().unwrap().extend(members);
    event
}

#[test]
fn a_snapshot_event_is_read_whole() {
    let expected = Event {
        id: "evt_1SatchelEvent0001".into(),
        kind: "refund.updated".into(),
        account: Some("acct_1SatchelSeller0001".into()),
        livemode: true,
        created_at: datetime!(2026-01-09 12:00 UTC),
        api_version: Some(API_VERSION.into()),
        content: Content::Snapshot(json!({"id": "re_1", "object": "refund"})),
    };
    assert_eq!(expected.object_id(), Some("re_1"));
    assert_eq!(parse(&snapshot_event()), Ok(expected));
}

#[test]
fn a_thin_event_is_read_whole() {
    let related = Related {
        id: "acct_1".into(),
        kind: "v2.core.account".into(),
        url: Some("/v2/core/accounts/acct_1".into()),
    };
    let expected = Event {
        id: "evt_test_65SatchelThin0001".into(),
        kind: "v2.core.account[requirements].updated".into(),
        account: Some("acct_1SatchelSeller0001".into()),
        livemode: false,
        created_at: datetime!(2026-01-09 12:00:00.345678 UTC),
        api_version: None,
        content: Content::Thin(Some(related)),
    };
    assert_eq!(expected.object_id(), Some("acct_1"));
    assert_eq!(parse(&thin_event()), Ok(expected));
}

#[test]
fn a_thin_event_may_be_about_nothing_and_of_nobody() {
    for nothing in
        [json!({"related_object": null, "context": null}), json!({"context": "", "related_object": null})]
    {
        let event = parse(&changed(thin_event(), nothing)).unwrap();
        assert_eq!((event.object_id(), &event.account, &event.content), (None, &None, &Content::Thin(None)));
    }
    let context = |context: &str| parse(&changed(thin_event(), json!({"context": context}))).unwrap().account;
    assert_eq!(context("org_1/acct_2").as_deref(), Some("acct_2"));
    assert_eq!(context("org_1"), None);
}

#[test]
fn what_is_absent_from_our_own_accounts_events_is_none() {
    let event =
        changed(snapshot_event(), json!({"account": null, "api_version": null, "created": "1767960000"}));
    let event = parse(&event).unwrap();
    assert_eq!((event.account, event.api_version), (None, None));
    assert_eq!(event.created_at, datetime!(2026-01-09 12:00 UTC));
    let old = changed(snapshot_event(), json!({"account": null, "user_id": "acct_old"}));
    assert_eq!(parse(&old).unwrap().account.as_deref(), Some("acct_old"));
}

#[test]
fn a_type_nobody_knows_is_an_event_all_the_same() {
    let event = parse(&changed(snapshot_event(), json!({"type": "coupon.unheard_of"}))).unwrap();
    assert_eq!(event.kind, "coupon.unheard_of");
    for object in
        [json!({"object": "balance"}), json!({"id": ""}), json!({"id": "a b"}), json!({"id": {"a": 1}})]
    {
        let event = parse(&changed(snapshot_event(), json!({"data": {"object": object}}))).unwrap();
        assert_eq!(event.object_id(), None, "{object}");
    }
}

#[test]
fn what_is_not_an_event_is_refused_without_being_quoted() {
    let long = "canary".repeat(43);
    for (members, expected) in [
        (json!({"id": null}), "id"),
        (json!({"id": ""}), "id"),
        (json!({"id": long}), "id"),
        (json!({"id": "evt_canary 1"}), "id"),
        (json!({"id": "evt_canary\u{0}"}), "id"),
        (json!({"id": "evt_cänary"}), "id"),
        (json!({"id": 5}), "id"),
        (json!({"type": null}), "type"),
        (json!({"type": long}), "type"),
        (json!({"type": ["canary"]}), "type"),
        (json!({"object": null}), "object"),
        (json!({"object": "canary"}), "object"),
        (json!({"account": "canary\n"}), "account"),
        (json!({"account": 1}), "account"),
        (json!({"livemode": null}), "livemode"),
        (json!({"livemode": "canary"}), "livemode"),
        (json!({"livemode": 1}), "livemode"),
        (json!({"created": null}), "created"),
        (json!({"created": "canary"}), "created"),
        (json!({"created": 1.5}), "created"),
        (json!({"created": i64::MAX}), "created"),
        (json!({"created": u64::MAX}), "created"),
        (json!({"api_version": 7}), "api_version"),
        (json!({"data": null}), "data.object"),
        (json!({"data": {}}), "data.object"),
        (json!({"data": {"object": null}}), "data.object"),
        (json!({"data": {"object": "re_canary"}}), "data.object"),
        (json!({"data": ["canary"]}), "data.object"),
    ] {
        let error = parse(&changed(snapshot_event(), members.clone())).unwrap_err();
        assert_eq!(error, NotAnEvent(expected), "{members}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    for (members, expected) in [
        (json!({"created": "yesterday"}), "created"),
        (json!({"context": {"canary": 1}}), "context"),
        (json!({"related_object": "acct_canary"}), "related_object"),
        (json!({"related_object": {"type": "v2.core.account"}}), "related_object.id"),
        (json!({"related_object": {"id": "acct_1"}}), "related_object.type"),
        (json!({"related_object": {"id": "acct_1", "type": "x", "url": 1}}), "related_object.url"),
    ] {
        assert_eq!(parse(&changed(thin_event(), members)), Err(NotAnEvent(expected)));
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    let whole = snapshot_event().to_string();
    let nested = |open: &str, depth: usize| whole.replace("[1,{}]", &open.repeat(depth)).into_bytes();
    for body in [
        Vec::new(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"evt_1\"".to_vec(),
        b"\xff\xfe".to_vec(),
        [b"{\"id\":\"evt_\xff\"}".to_vec(), Vec::new()].concat(),
        whole.as_bytes()[..whole.len() - 1].to_vec(),
        [whole.as_bytes(), b"{}"].concat(),
        nested("[", 100_000),
        nested("{\"a\":", 100_000),
        "[".repeat(1_000_000).into_bytes(),
        whole.replace("[1,{}]", &format!("{}{}", "[".repeat(200), "]".repeat(200))).into_bytes(),
    ] {
        assert_eq!(Event::parse(&body), Err(NotAnEvent("not a JSON object")));
    }
    let long = whole.replace("[1,{}]", &format!("\"{}\"", " ".repeat(MAX_BODY)));
    assert_eq!(Event::parse(long.as_bytes()), Err(NotAnEvent("too long")));
}

#[test]
fn the_types_to_subscribe_to_are_in_order_and_none_is_named_twice() {
    assert!(EVENT_TYPES.is_sorted_by(|one, other| one < other));
}
