use time::macros::datetime;

use super::*;

/// The second most of these are signed at.
const NOW: OffsetDateTime = datetime!(2026-01-09 12:00 UTC);
const TIME: &str = "1767960000";
const PLATFORM: &str = "whsec_sandbox_platform";
const CONNECT: &str = "whsec_sandbox_connect";
const BODY: &[u8] = br#"{"id":"evt_1"}"#;

/// What Stripe's own libraries sign: `stripe` 16.1.0 of `PyPI` and 23.1.0 of npm agree on each of them.
const SIGNED: &[(&str, &[u8], &str)] = &[
    (PLATFORM, BODY, "t=1767960000,v1=7d0511cc0c08bf737fb8c408bc0a57e15da2d2728fc5ee49513bc1a77ac668f7"),
    (
        CONNECT,
        "{\"name\":\"Zoë — ₿\"}\n".as_bytes(),
        "t=1767960000,v1=a01d192b45906aa81e62784ce2bdb7167d775b8ed8b4c67011eeb82cf3a78efa",
    ),
    (
        "whsec_previous_platform",
        BODY,
        "t=1767960000,v1=39e688fff1a808d59a65d9b612091365254528418e242786716a41fae75c6047",
    ),
    (PLATFORM, b"", "t=1767960001,v1=f7fce256ec734c5d237a7553648bf848d9991f766c7adc72973cb354f7e4da1b"),
];

fn secrets(secrets: &[&str]) -> Vec<Secret<String>> {
    secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect()
}

fn hex(secret: &str, time: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [time.as_bytes(), b".", body].concat();
    HEXLOWER.encode(hmac::sign(&key, &signed).as_ref())
}

fn check(header: &str) -> Result<(), SignatureError> {
    verify(Some(header), BODY, &secrets(&[PLATFORM]), NOW)
}

#[test]
fn what_stripes_own_libraries_sign_is_good() {
    for (secret, body, header) in SIGNED {
        assert_eq!(verify(Some(header), body, &secrets(&[secret]), NOW), Ok(()), "{header}");
        assert_eq!(
            verify(Some(header), body, &secrets(&["whsec_of_somebody_else"]), NOW),
            Err(SignatureError::Wrong)
        );
        let (time, mac) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        assert_eq!(hex(secret, time, body), mac);
    }
}

#[test]
fn any_signature_by_any_secret_will_do_while_one_is_replaced() {
    let (current, previous) = (hex(PLATFORM, TIME, BODY), hex("whsec_previous_platform", TIME, BODY));
    let both = secrets(&[PLATFORM, "whsec_previous_platform"]);
    let nobodys = "0".repeat(64);
    for macs in [
        format!("v1={current},v1={previous}"),
        format!("v1={previous}"),
        format!("v1={current}"),
        format!("v1={nobodys},v1={previous}"),
        format!("v1=garbage,v1={current}"),
        format!("v0={nobodys},v1={current},v2=later"),
    ] {
        assert_eq!(verify(Some(&format!("t={TIME},{macs}")), BODY, &both, NOW), Ok(()), "{macs}");
    }
    let header = format!("t={TIME},v1={current}");
    let others = secrets(&["whsec_previous_platform", CONNECT]);
    assert_eq!(verify(Some(&header), BODY, &others, NOW), Err(SignatureError::Wrong));
    assert_eq!(verify(Some(&header), BODY, &[], NOW), Err(SignatureError::Wrong));
}

#[test]
fn where_the_time_stands_in_the_header_does_not_matter() {
    let mac = hex(PLATFORM, TIME, BODY);
    assert_eq!(check(&format!("v1={mac},t={TIME}")), Ok(()));
    assert_eq!(check(&format!("v0=x,v1={mac},,more,t={TIME},x=y=z")), Ok(()));
}

#[test]
fn only_so_many_signatures_are_looked_at() {
    let mac = hex(PLATFORM, TIME, BODY);
    let after = |others: usize| check(&format!("t={TIME}{},v1={mac}", ",v1=".repeat(others)));
    assert_eq!(after(MAX_SIGNATURES - 1), Ok(()));
    assert_eq!(after(MAX_SIGNATURES), Err(SignatureError::Malformed));
    let wrong = format!(",v1={}", "0".repeat(64)).repeat(MAX_SIGNATURES);
    assert_eq!(check(&format!("t={TIME}{wrong},v1={mac}")), Err(SignatureError::Wrong));
}

/// `v0` is test mode's filler, here as npm `stripe` makes it: the very same digits.
#[test]
fn other_schemes_prove_nothing() {
    let mac = hex(PLATFORM, TIME, BODY);
    for scheme in ["v0", "v2", "V1", "v1 ", " v1", "v", ""] {
        assert_eq!(check(&format!("t={TIME},{scheme}={mac}")), Err(SignatureError::Malformed), "{scheme}");
    }
}

#[test]
fn a_header_in_any_other_form_is_refused() {
    let mac = hex(PLATFORM, TIME, BODY);
    assert_eq!(verify(None, BODY, &secrets(&[PLATFORM]), NOW), Err(SignatureError::Missing));
    for header in [
        String::new(),
        mac.clone(),
        format!("sha256={mac}"),
        format!("v1={mac}"),
        format!("t={TIME}"),
        format!("t={TIME},v1="),
        format!("t=,v1={mac}"),
        format!("t={TIME},t={TIME},v1={mac}"),
        format!("t={TIME},v1={mac},t={TIME},v1={mac}"), // the header given twice, as API Gateway joins them
        format!("t=now,v1={mac}"),
        format!("t=-{TIME},v1={mac}"),
        format!("t=+{TIME},v1={mac}"),
        format!("t= {TIME},v1={mac}"),
        format!("t={TIME}.0,v1={mac}"),
        format!("t=0x{TIME},v1={mac}"),
        format!("t=99999999999999999999,v1={mac}"),
        format!("t=١٧٦٧٩٦٠٠٠٠,v1={mac}"),
        format!("t={TIME},v1={}", mac.to_uppercase()),
        format!("t={TIME},v1={mac}0"),
        format!("t={TIME},v1={}", &mac[..62]),
        format!("t={TIME},v1={} ", &mac[..63]),
        format!("t={TIME},v1={}é", &mac[..62]),
        format!("t={TIME};v1={mac}"),
        format!("t={TIME},v1={mac},{}", "v0=filler,".repeat(900)),
    ] {
        assert_eq!(check(&header), Err(SignatureError::Malformed), "{header:.120}");
    }
    assert_eq!(check(&format!("t={TIME},v1={mac},{}", "v0=filler,".repeat(800))), Ok(()));
}

#[test]
fn a_delivery_is_believed_for_five_minutes_either_way() {
    let at = |seconds: i64| {
        let time = (NOW.unix_timestamp() + seconds).to_string();
        check(&format!("t={time},v1={}", hex(PLATFORM, &time, BODY)))
    };
    for seconds in [0, 1, 299, 300, -1, -300] {
        assert_eq!(at(seconds), Ok(()), "{seconds}");
    }
    for seconds in [301, -301, 86_400, -86_400, i64::MAX - NOW.unix_timestamp()] {
        assert_eq!(at(seconds), Err(SignatureError::Stale), "{seconds}");
    }
    // Part of a second does not count.
    let late = NOW + Duration::from_millis(300_999);
    assert_eq!(verify(Some(SIGNED[0].2), BODY, &secrets(&[PLATFORM]), late), Ok(()));
    // A stranger is not told what time it is.
    let wrong = "0".repeat(64);
    assert_eq!(check(&format!("t=1,v1={wrong}")), Err(SignatureError::Wrong));
}

#[test]
fn the_time_is_signed_too() {
    let mac = hex(PLATFORM, TIME, BODY);
    assert_eq!(check(&format!("t=1767960001,v1={mac}")), Err(SignatureError::Wrong));
    assert_eq!(check(&format!("t=01767960000,v1={mac}")), Err(SignatureError::Wrong), "as it was written");
}

#[test]
fn a_body_that_is_not_the_signed_one_is_refused() {
    let header = SIGNED[0].2;
    let mut flipped = BODY.to_vec();
    flipped[4] ^= 1;
    for other in [&flipped[..], b"", &BODY[1..], br#"{ "id": "evt_1" }"#, &[BODY, b"\n"].concat()] {
        assert_eq!(verify(Some(header), other, &secrets(&[PLATFORM]), NOW), Err(SignatureError::Wrong));
    }
    let bytes = [0xff, 0, 0xfe];
    let header = format!("t={TIME},v1={}", hex(PLATFORM, TIME, &bytes));
    assert_eq!(verify(Some(&header), &bytes, &secrets(&[PLATFORM]), NOW), Ok(()), "a body is bytes");
}

#[test]
fn a_body_longer_than_any_event_is_refused_before_it_is_read() {
    let long = vec![b' '; MAX_BODY + 1];
    let check = |body: &[u8]| {
        let header = format!("t={TIME},v1={}", hex(PLATFORM, TIME, body));
        verify(Some(&header), body, &secrets(&[PLATFORM]), NOW)
    };
    assert_eq!(check(&long), Err(SignatureError::BodyTooLong));
    assert_eq!(check(&long[1..]), Ok(()));
}

/// Anybody can sign with it.
#[test]
fn an_empty_secret_is_none() {
    for blank in ["", " ", "\n"] {
        let header = format!("t={TIME},v1={}", hex(blank, TIME, BODY));
        assert_eq!(
            verify(Some(&header), BODY, &secrets(&[blank, PLATFORM]), NOW),
            Err(SignatureError::Wrong)
        );
    }
}

fn read(document: &str) -> Result<EndpointSecrets, &'static str> {
    serde_json::from_str::<EndpointSecretsDocument>(document).unwrap().try_into()
}

#[test]
fn the_secrets_of_two_endpoints_are_read() {
    let document =
        format!(r#"{{"platform":["{PLATFORM}","whsec_previous_platform"],"connect":["{CONNECT}"]}}"#);
    let read_all = read(&document).unwrap();
    let exposed =
        |list: &[Secret<String>]| list.iter().map(|secret| secret.expose().clone()).collect::<Vec<_>>();
    assert_eq!(exposed(&read_all.platform), [PLATFORM, "whsec_previous_platform"]);
    assert_eq!(exposed(&read_all.connect), [CONNECT]);
    assert!(!format!("{read_all:?}").contains("whsec_"));
    for without in ["", r#","connect":[]"#, r#","connect":null"#, r#","later":1"#] {
        let document = format!(r#"{{"platform":["{PLATFORM}"]{without}}}"#);
        assert!(read(&document).unwrap().connect.is_empty(), "{without}");
    }
}

#[test]
fn secrets_that_cannot_be_stripes_are_refused_without_being_shown() {
    let five = [format!("\"{PLATFORM}\"").as_str(); 5].join(",");
    for (secrets, connect, expected) in [
        ("", "", "no secret under platform"),
        (r#""""#, "", "begin with whsec_"),
        (r#""   ""#, "", "printable"),
        (r#""canary_0123456789abcdef""#, "", "begin with whsec_"),
        (r#""WHSEC_0123456789abcdef""#, "", "begin with whsec_"),
        (r#""whsec_""#, "", "12 to 249"),
        (r#""whsec_01234567890""#, "", "12 to 249"),
        (r#""whsec_0123456789abcdef canary""#, "", "printable"),
        (r#""whsec_0123456789abcdef\n""#, "", "printable"),
        (r#""whsec_0123456789abcdéf""#, "", "printable"),
        (five.as_str(), "", "more than four"),
        (r#""whsec_0123456789abcdef""#, five.as_str(), "more than four"),
        (r#""whsec_0123456789abcdef""#, r#""""#, "begin with whsec_"),
    ] {
        let document = format!(r#"{{"platform":[{secrets}],"connect":[{connect}]}}"#);
        let why = read(&document).unwrap_err();
        assert!(why.contains(expected) && !why.contains("canary"), "{document}: {why}");
    }
}
