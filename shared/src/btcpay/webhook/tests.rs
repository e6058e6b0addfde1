use time::macros::datetime;

use super::*;

const SECRET: &str = "a secret of our own choosing";
/// Indented, as BTCPay sends it.
const BODY: &[u8] = br#"{
  "manuallyMarked": false,
  "overPaid": true,
  "deliveryId": "RWQtEkWMNKGAcH2tWYdqQ5",
  "webhookId": "Mb9c8fUBMbmJTsBkkJNXq6",
  "originalDeliveryId": "3hHrYrGBDEwLpZRAyKYWqd",
  "isRedelivery": true,
  "type": "InvoiceSettled",
  "timestamp": 1767960000,
  "storeId": "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776",
  "invoiceId": "HWPxHrkuFvwXgUpcN8DeCN",
  "metadata": { "orderId": "019ba2a0-b600-7000-8000-000000000000" },
  "somethingNew": [1, {}]
}"#;

fn secrets(secrets: &[&str]) -> Vec<Secret<String>> {
    secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect()
}

fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", HEXLOWER.encode(hmac::sign(&key, body).as_ref()))
}

/// RFC 4231, test case 2.
#[test]
fn the_signature_is_hmac_sha256_of_the_raw_body() {
    let header = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(verify(Some(header), b"what do ya want for nothing?", &secrets(&["Jefe"])), Ok(()));
    assert_eq!(signature("Jefe", b"what do ya want for nothing?"), header);
}

#[test]
fn either_of_two_secrets_will_do_while_one_is_replaced() {
    let header = signature(SECRET, BODY);
    assert_eq!(verify(Some(&header), BODY, &secrets(&[SECRET])), Ok(()));
    assert_eq!(verify(Some(&header), BODY, &secrets(&["newer", SECRET])), Ok(()));
    assert_eq!(verify(Some(&header), BODY, &secrets(&[SECRET, "older"])), Ok(()));
    assert_eq!(verify(Some(&header), BODY, &secrets(&["newer", "older"])), Err(SignatureError::Wrong));
    assert_eq!(verify(Some(&header), BODY, &[]), Err(SignatureError::Wrong));
}

#[test]
fn a_body_that_is_not_the_signed_one_is_refused() {
    let header = signature(SECRET, BODY);
    let compact = serde_json::from_slice::<serde_json::Value>(BODY).unwrap().to_string();
    let mut flipped = BODY.to_vec();
    flipped[40] ^= 1;
    for other in [compact.as_bytes(), &flipped, b"", &BODY[..BODY.len() - 1], &[BODY, b"\n"].concat()] {
        assert_eq!(verify(Some(&header), other, &secrets(&[SECRET])), Err(SignatureError::Wrong));
    }
}

#[test]
fn a_header_in_any_other_form_is_refused() {
    let good = signature(SECRET, BODY);
    let hex = good.strip_prefix("sha256=").unwrap();
    let check = |header: Option<&str>| verify(header, BODY, &secrets(&[SECRET]));
    assert_eq!(check(None), Err(SignatureError::Missing));
    for other in [
        String::new(),
        hex.to_owned(),
        format!("sha1={hex}"),
        format!("SHA256={hex}"),
        format!("sha256:{hex}"),
        format!("sha256={}", hex.to_uppercase()),
        format!("sha256={hex}0"),
        format!("sha256={}", &hex[..63]),
        format!("sha256={}", &hex[..62]),
        format!("sha256={}", "0".repeat(100_000)),
        format!("sha256={}g", &hex[..63]),
        format!("sha256={}é", &hex[..62]),
        format!(" {good}"),
        format!("{good} "),
        format!("{good},{good}"), // the header given twice, as API Gateway joins them
        format!("{good}, sha256={}", "0".repeat(64)),
    ] {
        assert_eq!(check(Some(&other)), Err(SignatureError::Malformed), "{other:.100}");
    }
    assert_eq!(check(Some(&format!("sha256={}", "0".repeat(64)))), Err(SignatureError::Wrong));
}

#[test]
fn a_body_longer_than_any_delivery_is_refused_before_it_is_read() {
    let long = vec![b' '; MAX_BODY + 1];
    let header = signature(SECRET, &long);
    assert_eq!(verify(Some(&header), &long, &secrets(&[SECRET])), Err(SignatureError::BodyTooLong));
    assert!(verify(Some(&signature(SECRET, &long[1..])), &long[1..], &secrets(&[SECRET])).is_ok());
    assert!(Delivery::parse(&long).is_err());
}

#[test]
fn a_delivery_is_read_whole() {
    let expected = Delivery {
        delivery_id: "RWQtEkWMNKGAcH2tWYdqQ5".into(),
        webhook_id: "Mb9c8fUBMbmJTsBkkJNXq6".into(),
        original_delivery_id: "3hHrYrGBDEwLpZRAyKYWqd".into(),
        is_redelivery: true,
        event: EventType::InvoiceSettled,
        timestamp: datetime!(2026-01-09 12:00 UTC),
        store_id: Some("9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776".parse().unwrap()),
        invoice_id: Some("HWPxHrkuFvwXgUpcN8DeCN".parse().unwrap()),
        manually_marked: false,
        over_paid: true,
        after_expiration: false,
        partially_paid: false,
    };
    assert_eq!(Delivery::parse(BODY), Ok(expected));
}

/// A delivery with some of its members replaced.
fn changed(members: serde_json::Value) -> Vec<u8> {
    let mut body: serde_json::Value = serde_json::from_slice(BODY).unwrap();
    let serde_json::Value::Object(members) = members else { unreachable!() };
    body.as_object_mut().unwrap().extend(members);
    body.to_string().into_bytes()
}

#[test]
fn a_repeat_is_known_by_the_first_delivery_however_old_servers_spell_it() {
    use serde_json::json;
    let original = |members| Delivery::parse(&changed(members)).unwrap().original_delivery_id;
    assert_eq!(original(json!({})), "3hHrYrGBDEwLpZRAyKYWqd");
    assert_eq!(original(json!({"originalDeliveryId": null})), "RWQtEkWMNKGAcH2tWYdqQ5");
    assert_eq!(original(json!({"originalDeliveryId": null, "orignalDeliveryId": "old"})), "old");
    assert_eq!(original(json!({"originalDeliveryId": "new", "orignalDeliveryId": "old"})), "new");
}

#[test]
fn every_type_is_read_and_an_unknown_one_kept() {
    use serde_json::json;
    let event = |name| Delivery::parse(&changed(json!({"type": name}))).unwrap().event;
    for (name, expected) in [
        ("InvoiceCreated", EventType::InvoiceCreated),
        ("InvoiceReceivedPayment", EventType::InvoiceReceivedPayment),
        ("InvoiceProcessing", EventType::InvoiceProcessing),
        ("InvoicePaymentSettled", EventType::InvoicePaymentSettled),
        ("InvoiceSettled", EventType::InvoiceSettled),
        ("InvoiceExpired", EventType::InvoiceExpired),
        ("InvoiceInvalid", EventType::InvoiceInvalid),
        ("InvoiceExpiredPaidPartial", EventType::InvoiceExpiredPaidPartial),
        ("InvoicePaidAfterExpiration", EventType::InvoicePaidAfterExpiration),
        ("PayoutCreated", EventType::Other("PayoutCreated".into())),
    ] {
        assert_eq!(event(name), expected);
    }
}

#[test]
fn a_type_that_no_column_should_hold_is_none() {
    for name in [String::new(), "\u{0}".into(), "Invoice Settled".into(), "für".into(), "a".repeat(129)] {
        let refused = Delivery::parse(&changed(serde_json::json!({ "type": name })));
        assert!(refused.is_err(), "{name:?}");
    }
    assert!(Delivery::parse(&changed(serde_json::json!({ "type": "a".repeat(128) }))).is_ok());
}

#[test]
fn what_a_type_does_not_say_is_false() {
    use serde_json::json;
    let nothing = json!({"overPaid": null, "manuallyMarked": null, "storeId": null, "invoiceId": null});
    let delivery = Delivery::parse(&changed(nothing)).unwrap();
    assert_eq!((delivery.over_paid, delivery.store_id, delivery.invoice_id), (false, None, None));
    let late = json!({"manuallyMarked": true, "afterExpiration": true, "partiallyPaid": true});
    let delivery = Delivery::parse(&changed(late)).unwrap();
    assert!(delivery.manually_marked && delivery.after_expiration && delivery.partially_paid);
}

/// BTCPay's "test" button sends ids that no object has.
#[test]
fn a_test_delivery_is_read() {
    use serde_json::json;
    let id = "__test__4e3b41d8-93a3-4a8e-9d36-34b5b1d7a6d2__test__";
    let body = changed(json!({"deliveryId": id, "originalDeliveryId": id, "invoiceId": id}));
    assert_eq!(Delivery::parse(&body).unwrap().invoice_id.unwrap().as_str(), id);
}

#[test]
fn what_is_not_a_delivery_is_refused_without_being_quoted() {
    use serde_json::json;
    let long = "1".repeat(65);
    let bodies = [
        Vec::new(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\xff".to_vec(),
        BODY[..BODY.len() - 1].to_vec(),
        changed(json!({"deliveryId": null})),
        changed(json!({"deliveryId": ""})),
        changed(json!({"deliveryId": "canary/../1"})),
        changed(json!({"webhookId": long})),
        changed(json!({"originalDeliveryId": "canary\u{0}"})),
        changed(json!({"storeId": "canary 1"})),
        changed(json!({"invoiceId": "canary?1"})),
        changed(json!({"invoiceId": ["canary"]})),
        changed(json!({"timestamp": "canary"})),
        changed(json!({"timestamp": i64::MAX})),
        changed(json!({"type": 5})),
    ];
    for body in bodies {
        let error = Delivery::parse(&body).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}
