//! Keys added, keys too young to write with, keys for some purposes, and documents that are no ring.

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

/// As [`entry`], for these purposes.
fn entry_for(id: u32, created_at: &str, purposes: &[&str]) -> Value {
    let mut entry = entry(id, created_at, u8::try_from(id).unwrap() * 40);
    entry["purposes"] = json!(purposes);
    entry
}

fn seals(ring: &KeyRing, purpose: Purpose) -> u32 {
    key_id(&seal(ring, Field { purpose, ..HERE }, b"x"))
}

#[test]
fn each_purpose_is_sealed_by_the_newest_settled_key_that_serves_it() {
    let ring = ring(&[
        entry(1, OLD, 1),
        entry_for(2, JUST_SETTLED, &["macaroon", "wallet"]),
        entry_for(3, JUST_SETTLED, &["wallet"]),
        entry_for(4, NOT_SETTLED, &["macaroon", "stored-reply"]),
    ])
    .unwrap();
    let expected = [
        (Purpose::Macaroon, 2),
        (Purpose::RefreshKey, 1),
        (Purpose::StoredReply, 1),
        (Purpose::Wallet, 3),
        (Purpose::BtcpayConfig, 1),
        (Purpose::NodeConfig, 1),
        (Purpose::WebhookBody, 1),
        (Purpose::Mail, 1),
        (Purpose::PushToken, 1),
    ];
    assert_eq!(Purpose::ALL.map(|purpose| (purpose, seals(&ring, purpose))), expected);
    assert_eq!(ring.newest(Purpose::Macaroon).map(|key| key.id), Some(4), "whether or not it has settled");
}

#[test]
fn a_key_opens_what_it_sealed_whatever_it_serves_now() {
    let sealed = seal(&one_key(), HERE, b"x");
    let mut listed = entry(1, OLD, 1);
    listed["purposes"] = json!(["wallet"]);
    let ring = ring(&[listed, entry(2, OLD, 50)]).unwrap();
    assert_eq!(ring.open(HERE, &sealed).unwrap().expose(), b"x");
    assert_eq!(seals(&ring, Purpose::Macaroon), 2);
}

#[test]
fn every_purpose_has_a_name_and_a_subkey_of_its_own() {
    let ring = one_key();
    for purpose in Purpose::ALL {
        assert_eq!(purpose.name().parse(), Ok(purpose));
        assert_eq!(purpose.to_string(), purpose.name());
        let sealed = seal(&ring, Field { purpose, ..HERE }, b"x");
        for other in Purpose::ALL {
            let opened = ring.open(Field { purpose: other, ..HERE }, &sealed);
            assert_eq!(opened.is_ok(), purpose == other, "{purpose} and {other}");
        }
    }
    assert!("Wallet".parse::<Purpose>().is_err() && "".parse::<Purpose>().is_err());
    let all = "macaroon, refresh-key, stored-reply, wallet, btcpay-config, node-config, webhook-body, mail, push-token";
    assert_eq!(UnknownPurpose.to_string(), format!("a purpose is one of {all}"));
}

#[test]
fn what_was_sealed_before_keys_had_purposes_opens() {
    // Computed with Python's `cryptography`: HKDF-SHA256 without salt, AES-256-GCM, the key of bytes 1 to 32.
    let sealed = [
        (
            Purpose::Macaroon,
            "01000000016465666768696a6b6c6d6e6fb2fc742a5904240e09b0de15a3fd956eebe26b6cd2883bfd0b0de8cd",
        ),
        (
            Purpose::RefreshKey,
            "01000000016465666768696a6b6c6d6e6f26bd8103b137a02bf317616e6baebd08425d33ac849c3d1abb55284e",
        ),
        (
            Purpose::StoredReply,
            "01000000016465666768696a6b6c6d6e6f8a41c94ba8ba88e2e8f9077db777fcbe76841b3c8465fd08fb79c72b",
        ),
    ];
    for (purpose, sealed) in sealed {
        let sealed = data_encoding::HEXLOWER.decode(sealed.as_bytes()).unwrap();
        let opened = one_key().open(Field { purpose, ..HERE }, &sealed).unwrap();
        assert_eq!(opened.expose(), b"an old value", "{purpose}");
    }
}

#[test]
fn a_purpose_no_key_serves_is_found_out_at_once() {
    let refused = Some("holds no key for one of the purposes");
    assert_eq!(ring(&[entry_for(1, OLD, &["macaroon"])]).err(), refused);
    assert_eq!(ring(&[entry_for(1, OLD, &[])]).err(), refused);
    let all = Purpose::ALL.map(Purpose::name);
    assert_eq!(ring(&[entry_for(1, OLD, &all[1..]), entry_for(2, OLD, &["macaron"])]).err(), refused);
    assert!(ring(&[entry_for(1, OLD, &all)]).is_ok());
}

#[test]
fn a_purpose_of_a_later_build_does_no_harm() {
    let ring = ring(&[entry(1, OLD, 1), entry_for(2, OLD, &["of-a-later-build", "wallet"])]).unwrap();
    assert_eq!(seals(&ring, Purpose::Wallet), 2);
    assert_eq!(seals(&ring, Purpose::Macaroon), 1);
    let mut null = entry(1, OLD, 1);
    null["purposes"] = Value::Null;
    assert_eq!(seals(&super::ring(&[null]).unwrap(), Purpose::Wallet), 1);
}

#[test]
fn a_key_is_superseded_when_settled_newer_ones_serve_all_it_serves() {
    let superseded = |entries: &[Value]| ring(entries).unwrap().superseded(NOW);
    assert_eq!(superseded(&[entry(1, OLD, 1)]), [0_u32; 0]);
    assert_eq!(superseded(&[entry(1, OLD, 1), entry(2, JUST_SETTLED, 50)]), [1]);
    assert_eq!(superseded(&[entry(1, OLD, 1), entry(2, NOT_SETTLED, 50)]), [0_u32; 0]);
    assert_eq!(superseded(&[entry(1, OLD, 1), entry(2, OLD, 50), entry(3, NOT_SETTLED, 90)]), [1]);
    assert_eq!(superseded(&[entry(1, OLD, 1), entry_for(2, OLD, &["wallet"])]), [0_u32; 0]);
    let twice =
        [entry(1, OLD, 1), entry_for(2, OLD, &["wallet"]), entry_for(3, OLD, &["wallet", "macaroon"])];
    assert_eq!(superseded(&twice), [2]);
    assert_eq!(superseded(&[twice[0].clone(), twice[2].clone(), entry(4, OLD, 90)]), [1, 3]);
    // Later builds bring purposes that only the first serves.
    assert_eq!(
        superseded(&[entry(1, OLD, 1), entry_for(2, OLD, &Purpose::ALL.map(Purpose::name))]),
        [0_u32; 0]
    );
    let unknown =
        [entry(1, OLD, 1), entry_for(2, OLD, &["of-a-later-build"]), entry_for(3, OLD, &["wallet"])];
    assert_eq!(superseded(&unknown), [0_u32; 0]);
}

#[test]
fn what_a_value_begins_with_sorts_as_the_ids_of_keys_do() {
    let ids = [0, 1, 2, 255, 256, 65_535, 1 << 24, u32::MAX];
    assert!(ids.map(beginning).is_sorted());
    assert!(seal(&one_key(), HERE, b"x").starts_with(&beginning(1)));
}
