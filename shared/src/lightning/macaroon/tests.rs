//! Reading, in every form and from everything that is nearly one.

mod judge;
mod layout;
mod mint;

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// What a macaroon is built from, part by part, so that each can be got wrong.
struct Parts {
    version: u8,
    location: Option<Vec<u8>>,
    identifier: Vec<u8>,
    caveats: Vec<u8>,
    signature: Vec<u8>,
}

/// A field with its type (or a protobuf value with its tag), its length as a varint, and its bytes.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend(bytes);
    out
}

fn op(entity: &str, actions: &[&str]) -> Vec<u8> {
    let actions = actions.iter().flat_map(|action| field(0x12, action.as_bytes()));
    field(0x1a, &field(0x0a, entity.as_bytes()).into_iter().chain(actions).collect::<Vec<_>>())
}

fn nonce_and_storage_id() -> Vec<u8> {
    [field(0x0a, &[7; 16]), field(0x12, b"0")].concat()
}

fn caveat(condition: &[u8]) -> Vec<u8> {
    [field(2, condition), vec![0]].concat()
}

impl Parts {
    fn of(ops: &[Vec<u8>]) -> Self {
        Self::identified([vec![3], nonce_and_storage_id(), ops.concat()].concat())
    }

    fn identified(identifier: Vec<u8>) -> Self {
        Self {
            version: 2,
            location: Some(b"lnd".to_vec()),
            identifier,
            caveats: vec![],
            signature: vec![9; 32],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let location = self.location.as_deref().map_or(vec![], |location| field(1, location));
        let identifier = field(2, &self.identifier);
        let signature = field(6, &self.signature);
        [vec![self.version], location, identifier, vec![0], self.caveats.clone(), vec![0], signature].concat()
    }
}

/// A macaroon that allows `ops`, each an entity and its actions.
fn build(ops: &[(&str, &[&str])]) -> Vec<u8> {
    Parts::of(&ops.iter().map(|(entity, actions)| op(entity, actions)).collect::<Vec<_>>()).bytes()
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn refusal(bytes: &[u8]) -> MacaroonError {
    Macaroon::parse(&hex(bytes)).unwrap_err()
}

fn judged(ops: &[(&str, &[&str])]) -> Verdict {
    Macaroon::parse(&hex(&build(ops))).unwrap().judge()
}

fn an_op(entity: &str, action: &str) -> Op {
    Op { entity: entity.into(), action: action.into() }
}

const INVOICES: &[(&str, &[&str])] = &[("info", &["read"]), ("invoices", &["read", "write"])];
/// What LND puts into `admin.macaroon`.
const ADMIN: &[(&str, &[&str])] = &[
    ("address", &["read", "write"]),
    ("info", &["read", "write"]),
    ("invoices", &["read", "write"]),
    ("macaroon", &["generate", "read", "write"]),
    ("message", &["read", "write"]),
    ("offchain", &["read", "write"]),
    ("onchain", &["read", "write"]),
    ("peers", &["read", "write"]),
    ("signer", &["generate", "read"]),
];
/// Spelled out byte by byte, so that the builder above is checked too: info:read and a time limit.
const BY_HAND: &str = concat!(
    "02",                                                                   // version
    "01036c6e64",                                                           // location "lnd"
    "0224",                                                                 // identifier, 36 bytes
    "03",                                                                   // bakery version
    "0a10000102030405060708090a0b0c0d0e0f",                                 // nonce
    "120130",                                                               // storage id "0"
    "1a0c0a04696e666f120472656164",                                         // info: read
    "00",                                                                   // end of header
    "022074696d652d6265666f726520323032372d30312d30315430303a30303a30305a", // "time-before 2027-01-01T00:00:00Z"
    "00",                                                                   // end of caveat
    "00",                                                                   // end of caveats
    "0620aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", // signature
);

#[test]
fn a_macaroon_spelled_by_hand_is_read() {
    let macaroon = Macaroon::parse(BY_HAND).unwrap();
    assert_eq!(macaroon.ops(), [an_op("info", "read")]);
    assert_eq!(macaroon.to_hex().as_str(), BY_HAND);
    assert_eq!(macaroon.judge(), Verdict::Narrow);
}

#[test]
fn the_stock_admin_macaroon_has_the_length_and_beginning_lnds_has() {
    let admin = hex(&build(ADMIN));
    assert!(admin.starts_with("0201036c6e6402f801030a10"), "{admin}");
    assert_eq!(judged(ADMIN), Verdict::CanSign);
}

#[test]
fn hex_and_every_base64_are_one_macaroon() {
    // Three lengths, so that base64 ends in no, one and two signs of padding.
    for location in ["lnd", "lnd?", "lnd>?"] {
        let parts = Parts { location: Some(location.into()), ..Parts::of(&[op("info", &["read"])]) };
        let bytes = Parts { signature: vec![0xfb; 32], ..parts }.bytes();
        for text in [
            hex(&bytes),
            hex(&bytes).to_uppercase(),
            BASE64.encode(&bytes),
            BASE64_NOPAD.encode(&bytes),
            BASE64URL.encode(&bytes),
            BASE64URL_NOPAD.encode(&bytes),
        ] {
            assert_eq!(Macaroon::parse(&text).unwrap().to_hex().as_str(), hex(&bytes), "{text}");
        }
    }
}

#[test]
fn what_is_neither_hex_nor_base64_is_refused() {
    let good = build(INVOICES);
    let (in_hex, in_base64) = (hex(&good), BASE64.encode(&good));
    for text in [
        in_hex[..in_hex.len() - 1].to_owned(),
        format!("{in_hex}\n"),
        format!("{in_hex} "),
        format!("0x{in_hex}"),
        format!(" {in_base64}"),
        format!("{in_base64}\n"),
        format!("{in_base64}===="),
        "02zz".into(),
        "Ag+_".into(),
        "é".into(),
        String::new(),
    ] {
        assert_eq!(Macaroon::parse(&text).unwrap_err(), MacaroonError::NotHexOrBase64, "{text:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let sized = |extra: usize| {
        let location = vec![b'x'; extra];
        Parts { location: Some(location), ..Parts::of(&[op("info", &["read"])]) }.bytes()
    };
    let extra = MAX_MACAROON_BYTES - sized(1000).len() + 1000;
    assert!(Macaroon::parse(&hex(&sized(extra))).is_ok());
    for text in [hex(&sized(extra + 1)), BASE64.encode(&sized(extra + 1)), "0".repeat(1 << 20)] {
        assert_eq!(Macaroon::parse(&text).unwrap_err(), MacaroonError::TooLong);
    }
    assert!(MacaroonError::TooLong.to_string().contains(&MAX_MACAROON_BYTES.to_string()));
}

#[test]
fn nothing_printed_shows_the_macaroon() {
    let bytes = Parts { signature: vec![0xc5; 32], ..Parts::of(&[op("info", &["read"])]) }.bytes();
    let mut shown = format!("{:?}", Macaroon::parse(&hex(&bytes)).unwrap());
    let cut = &bytes[..bytes.len() - 1];
    write!(shown, "{0:?}{0}", refusal(cut)).unwrap();
    assert!(shown.contains("[redacted]") && shown.contains("info"), "{shown}");
    assert!(!shown.contains("c5c5") && !shown.contains("197, 197") && !shown.contains("xcXF"), "{shown}");
}

fn any_ops() -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
    let word = "[a-z]{1,12}|/[a-z]{1,8}rpc\\.[A-Z][a-z]{1,8}/[A-Z][A-Za-z]{1,12}|\\PC{0,6}";
    prop::collection::vec((word, prop::collection::vec(word, 1..4)), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_built_is_read_in_hex_and_base64(ops in any_ops(), condition in any::<Vec<u8>>()) {
        let wire: Vec<Vec<u8>> = ops.iter()
            .map(|(entity, actions)| op(entity, &actions.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let bytes = Parts { caveats: caveat(&condition), ..Parts::of(&wire) }.bytes();
        prop_assume!(bytes.len() <= MAX_MACAROON_BYTES);
        let expected: Vec<Op> = ops.iter()
            .flat_map(|(entity, actions)| actions.iter().map(move |action| an_op(entity, action)))
            .collect();
        let from_hex = Macaroon::parse(&hex(&bytes)).unwrap();
        let from_base64 = Macaroon::parse(&BASE64.encode(&bytes)).unwrap();
        prop_assert_eq!(from_hex.ops(), expected.as_slice());
        prop_assert_eq!(from_hex.to_hex(), from_base64.to_hex());
        let again = Macaroon::parse(&from_base64.to_hex()).unwrap();
        prop_assert_eq!(again.ops(), expected.as_slice());
    }

    #[test]
    fn a_cut_macaroon_is_never_read(ops in any_ops(), at in any::<prop::sample::Index>()) {
        let wire: Vec<Vec<u8>> = ops.iter()
            .map(|(entity, actions)| op(entity, &actions.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let bytes = Parts::of(&wire).bytes();
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(Macaroon::parse(&hex(cut)).is_err());
        prop_assert!(Macaroon::parse(&BASE64URL_NOPAD.encode(cut)).is_err());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = Macaroon::parse(&text);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
        let _ = Macaroon::parse(&hex(&bytes));
        let _ = Macaroon::parse(&hex(&[vec![2], bytes.clone()].concat()));
        let _ = Macaroon::parse(&hex(&Parts::identified([vec![3], bytes.clone()].concat()).bytes()));
        let mut spoilt = build(ADMIN);
        let at = at.index(spoilt.len());
        for (byte, by) in spoilt[at..].iter_mut().zip(bytes) {
            *byte ^= by;
        }
        let _ = Macaroon::parse(&hex(&spoilt));
    }
}
