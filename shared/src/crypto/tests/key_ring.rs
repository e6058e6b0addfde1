//! Keys added, keys too young to write with, and documents that are no ring.

use super::*;

const OLD: &str = "2026-01-01T00:00:00Z";
/// 300 seconds before `NOW`, to the second.
const JUST_SETTLED: &str = "2026-01-09T11:55:00Z";
const NOT_SETTLED: &str = "2026-01-09T11:55:01Z";

fn writes_with(entries: &[Value]) -> u32 {
    key_id(&seal(&ring(entries).unwrap(), HERE, b"x"))
}

#[test]
fn a_key_writes_once_every_function_had_time_to_fetch_it() {
    assert_eq!(writes_with(&[entry(1, OLD, 1), entry(2, NOT_SETTLED, 50)]), 1);
    assert_eq!(writes_with(&[entry(1, OLD, 1), entry(2, JUST_SETTLED, 50)]), 2);
    assert_eq!(writes_with(&[entry(2, JUST_SETTLED, 50), entry(1, OLD, 1)]), 2);
}

#[test]
fn a_ring_without_a_settled_key_writes_with_its_oldest() {
    assert_eq!(writes_with(&[entry(1, NOT_SETTLED, 1)]), 1);
    assert_eq!(writes_with(&[entry(5, "2026-01-09T11:59:59Z", 50), entry(4, NOT_SETTLED, 1)]), 4);
}

#[test]
fn old_rows_stay_readable_when_a_key_is_added() {
    let sealed = seal(&one_key(), HERE, b"written before");
    let both = ring(&[entry(1, OLD, 1), entry(2, JUST_SETTLED, 50)]).unwrap();

    assert_eq!(both.open(HERE, &sealed).unwrap().expose(), b"written before");
    let rewritten = seal(&both, HERE, b"written after");
    assert_eq!(key_id(&rewritten), 2);
    assert_eq!(both.open(HERE, &rewritten).unwrap().expose(), b"written after");
}

#[test]
fn a_young_key_opens_what_others_sealed_with_it() {
    let ahead = ring(&[entry(2, OLD, 50)]).unwrap();
    let behind = ring(&[entry(1, OLD, 1), entry(2, NOT_SETTLED, 50)]).unwrap();
    assert_eq!(behind.open(HERE, &seal(&ahead, HERE, b"x")).unwrap().expose(), b"x");
}

#[test]
fn a_key_taken_off_the_ring_is_named() {
    let sealed = seal(&one_key(), HERE, b"x");
    let without = ring(&[entry(2, OLD, 50)]).unwrap();

    let error = without.open(HERE, &sealed).unwrap_err();

    assert_eq!(error, OpenError::UnknownKey(1));
    assert_eq!(error.to_string(), "the sealed value names key 1, which is not on the ring");
}

#[test]
fn another_version_is_not_guessed_at() {
    let ring = one_key();
    let mut sealed = seal(&ring, HERE, b"x");
    for version in [0, 2, u8::MAX] {
        sealed[0] = version;
        assert_eq!(ring.open(HERE, &sealed).unwrap_err(), OpenError::Malformed);
    }
}

#[test]
fn empty_duplicate_and_weak_documents_are_refused() {
    let of = |byte: u8| {
        let key = data_encoding::BASE64.encode(&[byte; 32]);
        json!({ "id": 9, "created_at": OLD, "key": key })
    };
    assert_eq!(ring(&[]).err(), Some("holds no key"));
    assert_eq!(ring(&[entry(1, OLD, 1), entry(1, OLD, 50)]).err(), Some("holds two keys with one id"));
    for byte in [0, b'a', u8::MAX] {
        assert_eq!(ring(&[entry(1, OLD, 1), of(byte)]).err(), Some("holds a key of one repeated byte"));
    }
}

#[test]
fn a_document_of_another_form_is_refused_without_its_values() {
    let canary = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";
    let good = entry(1, OLD, 1);
    let with = |name: &str, value: Value| {
        let mut entry = good.clone();
        entry[name] = value;
        entry
    };
    let wrong = [
        with("key", json!(canary)),
        with("key", json!(format!("{canary}*"))),
        with("key", json!([canary])),
        with("key", json!({ canary: canary })),
        with("key", json!(1_234_567_890_123_u64)),
        with("created_at", json!(canary)),
    ];
    for entry in wrong {
        let error = serde_json::from_value::<SealingKeys>(json!({ "keys": [entry] })).err().unwrap();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("Y2Fu") && !text.contains("1234567890123"), "{text}");
    }
}
