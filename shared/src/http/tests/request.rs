//! Bodies: what is malformed, what is wrong, how it is named, and that it is never quoted.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::Error as _;

use super::*;

const CANARY: &str = "hunter2-canary";

fn request(body: impl Into<bytes::Bytes>) -> Request {
    Request { body: body.into(), ..Request::default() }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Order {
    kind: Kind,
    amount: u32,
    name: Bounded,
    #[serde(alias = "noteText")]
    note_text: Option<String>,
    lines: Option<Vec<Line>>,
    secret: Option<Hidden>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Sale,
    Refund,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Line {
    count: i8,
    exact: Option<Box<[bool; 2]>>,
}

/// As our own types are read: parsed from text, refused with a fixed sentence.
#[derive(Debug, PartialEq)]
struct Bounded(String);

impl FromStr for Bounded {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= 10 { Ok(Self(text.to_owned())) } else { Err("is longer than 10 bytes") }
    }
}

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Hidden {}

fn good() -> Value {
    json!({ "kind": "sale", "amount": 3, "name": "short" })
}

fn refused(body: &Value) -> Value {
    super::body(request(body.to_string()).json::<Order>().unwrap_err())
}

/// The detail of a refusal: field and message.
fn detail(refusal: &Value) -> (&str, &str) {
    assert_eq!(refusal["error"], "VALIDATION_FAILED", "{refusal}");
    assert_eq!(refusal["details"].as_array().map(Vec::len), Some(1));
    let detail = &refusal["details"][0];
    (detail["field"].as_str().unwrap(), detail["message"].as_str().unwrap())
}

#[test]
fn a_good_body_is_read_and_strange_fields_are_ignored() {
    let mut body = good();
    body["unheard_of"] = json!({ "deep": [1, 2] });
    body["noteText"] = json!("both spellings");
    let order: Order = request(body.to_string()).json().unwrap();
    assert_eq!((order.kind, order.amount, order.name), (Kind::Sale, 3, Bounded("short".to_owned())));
    assert_eq!(order.note_text.as_deref(), Some("both spellings"));
}

#[test]
fn what_is_not_json_is_malformed() {
    let bodies: [&[u8]; 12] = [
        b"",
        b" ",
        b"{",
        b"{\"kind\":\"sale\"",
        b"{kind: 1}",
        b"{\"amount\": 01}",
        b"{} {}",
        b"hunter2-canary",
        b"\"hunter2-canary",
        b"\xff\xfe{}",
        b"{\"name\":\"\xff\"}",
        b"{\"name\":\"\\ud800\"}",
    ];
    for body in bodies {
        let error = request(body.to_vec()).json::<Order>().unwrap_err();
        assert!(!format!("{error:?} {:?}", error.causes()).contains(CANARY));
        let said = super::body(error);
        assert_eq!(said["error"], "MALFORMED_REQUEST", "{body:?}");
        assert!(said.get("details").is_none() && !said.to_string().contains(CANARY));
    }
}

#[test]
fn json_that_is_no_object_is_named_as_the_body() {
    for body in [json!(null), json!(7), json!(CANARY), json!(true)] {
        let refusal = refused(&body);
        assert_eq!(detail(&refusal).0, "(body)", "{body}");
        assert!(!refusal.to_string().contains(CANARY));
    }
}

#[test]
fn the_field_at_fault_is_named_by_its_path() {
    for (change, field, message) in [
        (json!({ "amount": "3" }), "amount", "invalid type, expected u32"),
        (json!({ "amount": -1 }), "amount", "invalid value, expected u32"),
        (json!({ "amount": 4_294_967_296_u64 }), "amount", "invalid value, expected u32"),
        (json!({ "amount": 1.5 }), "amount", "invalid type, expected u32"),
        (json!({ "kind": "Sale" }), "kind", "unknown variant, expected `sale` or `refund`"),
        (json!({ "kind": 1 }), "kind", "invalid type, expected string or map"),
        (json!({ "name": "much longer than ten" }), "name", "is longer than 10 bytes"),
        (json!({ "name": null }), "name", "invalid type, expected a string"),
        (json!({ "note_text": 5 }), "note_text", "invalid type, expected a string"),
        (json!({ "lines": {} }), "lines", "invalid type, expected a sequence"),
        (
            json!({ "lines": [{ "count": 1 }, { "count": 128 }] }),
            "lines[1].count",
            "invalid value, expected i8",
        ),
        (json!({ "lines": [{}] }), "lines[0].count", "is missing"),
        (
            json!({ "lines": [{ "count": 1, "exact": [true, 0] }] }),
            "lines[0].exact[1]",
            "invalid type, expected a boolean",
        ),
        (
            json!({ "lines": [{ "count": 1, "exact": [true] }] }),
            "lines[0].exact",
            "invalid length, expected an array of length 2",
        ),
        (json!({ "secret": { "x": 1 } }), "secret.x", "unknown field"),
    ] {
        let mut body = good();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(detail(&refused(&body)), (field, message), "{change}");
    }
    assert_eq!(detail(&refused(&json!({ "kind": "sale", "amount": 3 }))).1, "is missing");
}

#[test]
fn no_value_is_quoted_whatever_its_type_and_place() {
    let digits = 8_675_309_867_530_u64;
    let tricky = [
        CANARY.to_owned(),
        format!("{CANARY}, expected {CANARY}"),
        format!("{CANARY}: `{CANARY}` at line 1"),
        format!("\"{CANARY}\", expected one of `{CANARY}`"),
        format!("` {CANARY}"),
    ];
    let mut wrong: Vec<Value> = tricky.iter().map(|text| json!(text)).collect();
    wrong.extend([json!(digits), json!(-8_675_309_867_530_i64), json!(8_675_309.5), json!(true)]);
    wrong.extend([json!([CANARY]), json!({ CANARY: CANARY }), json!([[digits]])]);

    let mut refusals = 0;
    for value in &wrong {
        let mut bodies: Vec<Value> = ["kind", "amount", "name", "note_text", "lines"]
            .iter()
            .map(|field| {
                let mut body = good();
                body[field] = value.clone();
                body
            })
            .collect();
        for line in
            [json!({ "count": value }), json!({ "count": 1, "exact": value }), json!([value]), value.clone()]
        {
            let mut body = good();
            body["lines"] = json!([line]);
            bodies.push(body);
        }
        bodies.push(value.clone());
        bodies.push(json!({ "data": value }));
        for body in bodies {
            for outcome in
                [request(body.to_string()).json::<Order>(), request(body.to_string()).json_or_data()]
            {
                let Err(error) = outcome else { continue };
                refusals += 1;
                let debug = format!("{:?} {error:?}", error.causes());
                let said = format!("{} {debug}", super::body(error));
                assert!(!said.contains("hunter2") && !said.contains("canary"), "{body}\n{said}");
                assert!(!said.contains("8675309"), "{body}\n{said}");
            }
        }
    }
    assert!(refusals > 200, "{refusals}");
}

#[test]
fn a_field_given_in_both_spellings_is_refused() {
    let mut body = good();
    body["note_text"] = json!(CANARY);
    body["noteText"] = json!(CANARY);
    let refusal = refused(&body);
    assert_eq!(detail(&refusal).1, "duplicate field `note_text`");
    assert!(!refusal.to_string().contains(CANARY));
}

#[test]
fn a_body_may_be_wrapped_in_data_or_bare() {
    let extra = json!({ "data": good(), "ignored": true });
    for body in [good(), json!({ "data": good() }), extra] {
        let order: Order = request(body.to_string()).json_or_data().unwrap();
        assert_eq!(order.amount, 3);
    }
    assert!(request(json!({ "data": good() }).to_string()).json::<Order>().is_err());
}

#[test]
fn data_that_is_no_object_wraps_nothing() {
    for data in [json!(null), json!([good()]), json!(good().to_string()), json!(3)] {
        let mut body = good();
        body["data"] = data.clone();
        assert!(request(body.to_string()).json_or_data::<Order>().is_ok(), "{data}");
        let alone = request(json!({ "data": data }).to_string()).json_or_data::<Order>().unwrap_err();
        assert_eq!(alone.code, ErrorCode::ValidationFailed);
    }
}

#[test]
fn a_field_inside_data_is_named_without_it() {
    let body = json!({ "data": { "kind": "sale", "amount": "x", "name": "n" } });
    let error = request(body.to_string()).json_or_data::<Order>().unwrap_err();
    assert_eq!(detail(&super::body(error)).0, "amount");
}

#[test]
fn exactly_64_kib_is_read_and_one_byte_more_is_not() {
    let mut body = good().to_string().into_bytes();
    body.resize(65_536, b' ');
    assert!(request(body.clone()).json::<Order>().is_ok());
    body.push(b' ');
    for outcome in [request(body.clone()).json::<Order>(), request(body).json_or_data()] {
        let error = outcome.unwrap_err();
        assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    }
    let error = request(vec![b'['; 65_537]).json::<Order>().unwrap_err();
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 10_000;
        let middle = if open == "[" { "" } else { "1" };
        let body = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
        let error = request(body).json::<Order>().unwrap_err();
        assert_eq!(error.code, ErrorCode::MalformedRequest);
    }
}

#[test]
fn a_part_of_the_path_is_decoded_once() {
    for (encoded, decoded) in [
        ("did:lightning:02ab", "did:lightning:02ab"),
        ("did%3Alightning%3a02ab", "did:lightning:02ab"),
        ("100%25", "100%"),
        ("%253A", "%3A"),
        ("a+b", "a+b"),
        ("%", "%"),
        ("%zz", "%zz"),
        ("%C3%A9", "\u{e9}"),
        ("%ff", "\u{fffd}"),
        ("", ""),
    ] {
        let path_parameters = [("did".to_owned(), encoded.to_owned())].into();
        let request = Request { path_parameters, ..Request::default() };
        assert_eq!(request.path_parameter("did"), decoded);
        assert_eq!(request.path_parameter("other"), "");
    }
}

#[test]
fn a_header_that_is_not_text_reads_as_absent() {
    let mut headers = HeaderMap::new();
    headers.insert("x-text", HeaderValue::from_static("here"));
    headers.insert("x-bytes", HeaderValue::from_bytes(b"\xc3\xa9").unwrap());
    let request = Request { headers, ..Request::default() };
    assert_eq!(request.header("x-text"), Some("here"));
    assert_eq!(request.header("X-Text"), Some("here"));
    assert_eq!(request.header("x-bytes"), None);
    assert_eq!(request.header("x-absent"), None);
}
