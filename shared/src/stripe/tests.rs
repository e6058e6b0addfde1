//! Every type we subscribe to, as Stripe writes it: `shared/tests/stripe_events/<type>.json`, and `<type>.old.json` where
//! an API version before ours wrote it in another way. All names and ids in them are made up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{API_VERSION, Content, EVENT_TYPES, Event, MAX_BODY, Object, Unreadable};

const OURS: &str = "019ba2a0-b600-7000-8000-0000000000";

/// Of these it is enough to know that something changed.
const SIGNALS: &[&str] = &[
    "account.application.deauthorized",
    "account.external_account.updated",
    "balance.available",
    "capability.updated",
    "person.updated",
];

/// By the file's name without `.json`.
fn recorded() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stripe_events");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

/// The object of one of them.
pub(super) fn object(name: &str) -> Object {
    let event = Event::parse(&recorded()[name]).unwrap();
    let Content::Snapshot(object) = event.content else { panic!("{name} is thin") };
    Object::read(&object).unwrap()
}

#[test]
fn every_type_we_subscribe_to_has_been_recorded_and_no_other() {
    let names: BTreeSet<_> =
        recorded().into_keys().map(|name| name.trim_end_matches(".old").to_owned()).collect();
    let types: BTreeSet<_> = EVENT_TYPES.iter().map(ToString::to_string).collect();
    assert_eq!(names, types);
}

#[test]
fn each_of_them_is_an_event_of_that_type() {
    let mut ids = BTreeSet::new();
    for (name, body) in recorded() {
        assert!(body.len() < 4 * 1024 && body.len() < MAX_BODY, "{name}");
        let event = Event::parse(&body).unwrap();
        let is_old = name.strip_suffix(".old").is_some();
        assert_eq!(event.kind, name.trim_end_matches(".old"));
        assert!(!event.livemode, "{name}");
        match event.content {
            Content::Snapshot(_) => {
                assert_eq!(event.api_version.as_deref() == Some(API_VERSION), !is_old, "{name}");
            }
            Content::Thin(_) => assert!(event.kind.starts_with("v2."), "{name}"),
        }
        let is_of_none =
            ["balance.available", "v2.core.account_link.returned"].contains(&event.kind.as_str());
        assert_eq!(event.object_id().is_none(), is_of_none, "{name}");
        assert!(ids.insert(event.id), "{name} has another one's id");
    }
}

#[test]
fn the_object_of_each_is_read_unless_it_only_signals() {
    for (name, body) in recorded() {
        let event = Event::parse(&body).unwrap();
        let id = event.object_id().map(str::to_owned);
        let Content::Snapshot(object) = &event.content else { continue };
        match Object::read(object) {
            Ok(object) => assert_eq!(Some(object.id()), id.as_deref(), "{name}"),
            Err(error) => {
                assert_eq!(error, Unreadable::Kind, "{name}");
                assert!(SIGNALS.contains(&event.kind.as_str()), "{name}");
            }
        }
    }
}

/// Whatever is cut out of an event, or put in the place of a value, nobody panics and nothing is quoted.
#[test]
fn a_mutilated_event_is_read_or_refused() {
    for (name, body) in recorded() {
        let whole: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let mut pointers = Vec::new();
        collect(&whole, String::new(), &mut pointers);
        for pointer in pointers {
            for other in [
                serde_json::json!(null),
                serde_json::json!("canary canary"),
                serde_json::json!(-1.5),
                serde_json::json!([["canary"], {"id": 5}]),
                serde_json::json!({"id": "canary\u{0}"}),
                serde_json::json!(u64::MAX),
            ] {
                let mut event = whole.clone();
                *event.pointer_mut(&pointer).unwrap() = other;
                let said = match Event::parse(event.to_string().as_bytes()) {
                    Err(error) => error.to_string(),
                    Ok(event) => match &event.content {
                        Content::Snapshot(object) => {
                            Object::read(object).map_or_else(|error| error.to_string(), |_| String::new())
                        }
                        Content::Thin(_) => String::new(),
                    },
                };
                assert!(!said.contains("canary"), "{name} {pointer}: {said}");
            }
        }
    }
}

fn collect(value: &serde_json::Value, at: String, pointers: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                collect(member, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), pointers);
            }
        }
        serde_json::Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                collect(entry, format!("{at}/{index}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(at);
}

/// What belongs together says so, or a test that plays the story would prove less than it seems to.
#[test]
fn the_recorded_payments_tell_one_story() {
    let reference = |n: u8| Some(format!("{OURS}{n:02}").parse().unwrap());
    let Object::CheckoutSession(session) = object("checkout.session.completed") else { panic!() };
    let Object::PaymentIntent(intent) = object("payment_intent.succeeded") else { panic!() };
    let Object::Charge(charge) = object("charge.refunded") else { panic!() };
    let Object::Refund(refund) = object("refund.updated") else { panic!() };
    let Object::Dispute(dispute) = object("charge.dispute.closed") else { panic!() };
    assert_eq!([session.reference, intent.reference, charge.reference], [reference(1); 3]);
    assert_eq!(session.payment_intent.as_ref(), Some(&intent.id));
    assert_eq!(intent.latest_charge.as_ref(), Some(&charge.id));
    assert_eq!(
        (&refund.payment_intent, &refund.charge),
        (&Some(intent.id.clone()), &Some(charge.id.clone()))
    );
    assert_eq!((&dispute.payment_intent, &dispute.charge), (&Some(intent.id), &charge.id));
    assert_eq!((charge.amount, charge.amount_refunded, refund.amount), (intent.amount_received, 500, 500));
    let Object::Subscription(subscription) = object("customer.subscription.updated") else { panic!() };
    let Object::Invoice(invoice) = object("invoice.paid") else { panic!() };
    assert_eq!(subscription.reference, reference(6));
    assert_eq!(invoice.subscription, Some(subscription.id));
}
