//! A secret is taken in, and never given away by accident.

use super::*;

const CANARY: &str = "hunter2-canary";

#[derive(Debug, serde::Deserialize)]
struct Credentials {
    password: Secret<String>,
    key: Option<Secret<[u8; 32]>>,
}

#[test]
fn debug_shows_that_there_is_a_secret_and_no_more() {
    let credentials =
        Credentials { password: Secret::new(CANARY.to_owned()), key: Some(Secret::new([0x41; 32])) };
    let expected = "Credentials { password: [redacted], key: Some([redacted]) }";
    assert_eq!(format!("{credentials:?}"), expected);
    assert!(!format!("{credentials:#?}").contains(CANARY));
    assert_eq!(format!("{:?}", credentials.password.clone()), "[redacted]");
}

#[test]
fn text_and_keys_are_read() {
    let key = data_encoding::BASE64.encode(&[0x41; 32]);
    let read: Credentials = serde_json::from_value(json!({ "password": CANARY, "key": key })).unwrap();
    assert_eq!(read.password.expose(), CANARY);
    assert_eq!(read.key.map(|key| *key.expose()), Some([0x41; 32]));
}

#[test]
fn what_is_not_text_is_refused_without_being_quoted() {
    let digits = 8_675_309_867_530_i64;
    let wrong =
        [json!(digits), json!(-digits), json!(0.867_530_9), json!([CANARY]), json!({ CANARY: CANARY })];
    for value in wrong {
        for document in [json!({ "password": value }), json!({ "password": "x", "key": value })] {
            let text = document.to_string();
            let errors = [
                serde_json::from_str::<Credentials>(&text).unwrap_err(),
                serde_json::from_value::<Credentials>(document).unwrap_err(),
            ];
            for error in errors {
                let error = format!("{error} {error:?}");
                assert!(!error.contains(CANARY) && !error.contains("8675309"), "{error}");
                assert!(!error.contains("86753"), "{error}");
            }
        }
    }
}

#[test]
fn a_key_is_32_bytes_in_standard_base64() {
    let short = data_encoding::BASE64.encode(CANARY.as_bytes());
    let long = data_encoding::BASE64.encode(&[0x41; 33]);
    let unpadded = data_encoding::BASE64_NOPAD.encode(&[0x41; 32]);
    let url_safe = data_encoding::BASE64URL.encode(&[0xff; 32]);
    let said = |text: &str| serde_json::from_value::<Secret<[u8; 32]>>(json!(text)).unwrap_err().to_string();
    for wrong in ["", &short, &long] {
        assert_eq!(said(wrong), "is not 32 bytes long");
    }
    for wrong in [CANARY, &unpadded, &url_safe] {
        assert_eq!(said(wrong), "is not base64");
    }
}
