//! What sealing promises, and what a secret gives away.

mod key_ring;
mod secret;
mod wycheproof;

use proptest::prelude::*;
use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::random::Random;

const NOW: OffsetDateTime = datetime!(2026-01-09 12:00 UTC);

const HERE: Field<'static> =
    Field { purpose: Purpose::Macaroon, table: "nodes", column: "macaroon_sealed", row: b"row 1" };

/// One entry of a sealing document whose 32 bytes follow from `seed`.
fn entry(id: u32, created_at: &str, seed: u8) -> Value {
    let key: Vec<u8> = (0..32).map(|at| seed.wrapping_add(at)).collect();
    json!({ "id": id, "created_at": created_at, "key": data_encoding::BASE64.encode(&key) })
}

fn ring(entries: &[Value]) -> Result<KeyRing, &'static str> {
    let document: SealingKeys = serde_json::from_value(json!({ "keys": entries })).unwrap();
    KeyRing::try_from(document)
}

/// A ring of one settled key.
fn one_key() -> KeyRing {
    ring(&[entry(1, "2026-01-01T00:00:00Z", 1)]).unwrap()
}

fn seal(ring: &KeyRing, field: Field<'_>, plaintext: &[u8]) -> Vec<u8> {
    ring.seal(field, plaintext, NOW, &Random::system()).unwrap()
}

fn key_id(sealed: &[u8]) -> u32 {
    u32::from_be_bytes(sealed[1..5].try_into().unwrap())
}

fn round_trip(ring: &KeyRing, field: Field<'_>, plaintext: &[u8]) {
    let sealed = seal(ring, field, plaintext);
    assert_eq!(ring.open(field, &sealed).unwrap().expose(), plaintext);
}

#[test]
fn a_mac_tells_lists_of_parts_apart() {
    let key = Secret::new([7; 32]);
    let lists: [&[&[u8]]; 7] =
        [&[], &[b""], &[b"", b""], &[b"abc"], &[b"ab", b"c"], &[b"a", b"bc"], &[b"ab", b"c", b""]];
    let tags: std::collections::HashSet<[u8; 32]> = lists.iter().map(|parts| mac(&key, parts)).collect();
    assert_eq!(tags.len(), lists.len());
}

#[test]
fn a_mac_is_hmac_sha256_over_length_and_part() {
    // Computed with Python: hmac.new(bytes(range(32)), struct.pack(">Q", 2) + b"ab" + struct.pack(">Q", 1) + b"c")
    let key: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let tag = mac(&Secret::new(key), &[b"ab", b"c"]);
    let expected = "17eca1f3cf4e1f92cd415f54de5121e367cbc209edff96da287c5cd432cf9a46";
    assert_eq!(data_encoding::HEXLOWER.encode(&tag), expected);
    assert_ne!(tag, mac(&Secret::new([0; 32]), &[b"ab", b"c"]));
}

#[test]
fn a_digest_is_sha256() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(data_encoding::HEXLOWER.encode(&sha256(b"abc")), expected);
}

#[test]
fn nothing_and_a_mebibyte_come_back_as_they_went_in() {
    let ring = one_key();
    let large: Vec<u8> = (0..1_u32 << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    round_trip(&ring, HERE, b"");
    round_trip(&ring, HERE, &large);
}

#[test]
fn no_single_changed_bit_opens() {
    let ring = one_key();
    let sealed = seal(&ring, HERE, b"a macaroon");
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(ring.open(HERE, &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn no_shortened_or_lengthened_value_opens() {
    let ring = one_key();
    let sealed = seal(&ring, HERE, b"a macaroon");
    for length in 0..sealed.len() {
        assert!(ring.open(HERE, &sealed[..length]).is_err(), "{length} bytes");
        assert!(ring.open(HERE, &sealed[sealed.len() - length..]).is_err(), "the last {length} bytes");
    }
    assert_eq!(ring.open(HERE, &[sealed.as_slice(), b"\0"].concat()).unwrap_err(), OpenError::Refused);
    for length in 0..33 {
        assert_eq!(ring.open(HERE, &sealed[..length]).unwrap_err(), OpenError::Malformed, "{length} bytes");
    }
}

#[test]
fn a_value_opens_in_its_own_place_only() {
    let ring = one_key();
    let sealed = seal(&ring, HERE, b"a macaroon");
    let elsewhere = [
        Field { row: b"row 2", ..HERE },
        Field { row: b"row 1\0", ..HERE },
        Field { row: b"", ..HERE },
        Field { column: "endpoint", ..HERE },
        Field { table: "sessions", ..HERE },
        Field { purpose: Purpose::RefreshKey, ..HERE },
        Field { purpose: Purpose::StoredReply, ..HERE },
        // The same letters, cut elsewhere.
        Field { table: "nodesm", column: "acaroon_sealed", ..HERE },
        Field { column: "macaroon_seale", row: b"drow 1", ..HERE },
    ];
    for field in elsewhere {
        assert_eq!(ring.open(field, &sealed).unwrap_err(), OpenError::Refused, "{field:?}");
    }
    assert!(ring.open(HERE, &sealed).is_ok());
}

#[test]
fn what_is_sealed_twice_looks_different_and_shows_nothing() {
    let ring = one_key();
    let (first, second) = (seal(&ring, HERE, b"a macaroon"), seal(&ring, HERE, b"a macaroon"));
    assert_ne!(first, second);
    assert_eq!(first.len(), 1 + 4 + 12 + b"a macaroon".len() + 16);
    assert!(!first.windows(8).any(|window| window == b"macaroon"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_come_back_as_they_went_in(plaintext: Vec<u8>, row: Vec<u8>) {
        let ring = one_key();
        let field = Field { row: &row, ..HERE };
        let sealed = seal(&ring, field, &plaintext);
        let opened = ring.open(field, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &plaintext);
    }

    #[test]
    fn no_value_opens_in_another_row(plaintext: Vec<u8>, row: Vec<u8>, other: Vec<u8>) {
        prop_assume!(row != other);
        let ring = one_key();
        let sealed = seal(&ring, Field { row: &row, ..HERE }, &plaintext);
        prop_assert_eq!(ring.open(Field { row: &other, ..HERE }, &sealed).unwrap_err(), OpenError::Refused);
    }

    #[test]
    fn no_changed_value_opens(plaintext: Vec<u8>, at: prop::sample::Index, change in 1_u8..) {
        let ring = one_key();
        let mut sealed = seal(&ring, HERE, &plaintext);
        let at = at.index(sealed.len());
        sealed[at] ^= change;
        prop_assert!(ring.open(HERE, &sealed).is_err());
    }

    #[test]
    fn no_cut_value_opens(plaintext: Vec<u8>, at: prop::sample::Index) {
        let ring = one_key();
        let sealed = seal(&ring, HERE, &plaintext);
        prop_assert!(ring.open(HERE, &sealed[..at.index(sealed.len())]).is_err());
    }

    #[test]
    fn no_garbage_opens_or_panics(garbage: Vec<u8>) {
        prop_assert!(one_key().open(HERE, &garbage).is_err());
    }

    #[test]
    fn no_value_opens_under_another_key(plaintext: Vec<u8>, seed in 2_u8..) {
        let sealed = seal(&one_key(), HERE, &plaintext);
        let other = ring(&[entry(1, "2026-01-01T00:00:00Z", seed)]).unwrap();
        prop_assert_eq!(other.open(HERE, &sealed).unwrap_err(), OpenError::Refused);
    }

    #[test]
    fn a_key_id_that_is_not_on_the_ring_is_named(plaintext: Vec<u8>, id in 2_u32..) {
        let mut sealed = seal(&one_key(), HERE, &plaintext);
        sealed[1..5].copy_from_slice(&id.to_be_bytes());
        prop_assert_eq!(one_key().open(HERE, &sealed).unwrap_err(), OpenError::UnknownKey(id));
        let both = ring(&[entry(1, "2026-01-01T00:00:00Z", 1), entry(id, "2026-01-01T00:00:00Z", 1)]).unwrap();
        prop_assert_eq!(both.open(HERE, &sealed).unwrap_err(), OpenError::Refused);
    }

    #[test]
    fn the_newest_settled_key_writes(ages in prop::collection::vec(0_i64..700, 1..6)) {
        let created = |age: i64| (NOW - Duration::seconds(age)).format(&time::format_description::well_known::Rfc3339).unwrap();
        let entries: Vec<Value> =
            ages.iter().zip(1_u8..).map(|(age, id)| entry(id.into(), &created(*age), id * 40)).collect();
        let settled = ages.iter().zip(1_u32..).filter(|(age, _)| **age >= 300).map(|(_, id)| id).max();
        let ring = ring(&entries).unwrap();
        prop_assert_eq!(key_id(&seal(&ring, HERE, b"x")), settled.unwrap_or(1));
        round_trip(&ring, HERE, b"x");
    }
}
