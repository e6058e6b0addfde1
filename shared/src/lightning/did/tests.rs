use std::collections::HashSet;

use proptest::prelude::*;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use super::*;

const GENERATOR: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
/// From the test vectors of the did:key method (`secp256k1.json`).
const PUBLISHED_KEYS: [&str; 3] = [
    "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    "did:key:zQ3shtxV1FrJfhqE1dvxYRcCknWNjHc3c5X1y3ZSoPDi2aur2",
    "did:key:zQ3shZc2QzApp2oymGvQbzP8eKheVshBHbU4ZYjeXqwSKEn6N",
];

fn read(text: &str) -> Did {
    text.parse().unwrap()
}

#[test]
fn every_method_is_written_as_it_was_read() {
    let mnemonic = ["did:mnemonic:0123456789abcdef".to_owned(), format!("did:mnemonic:{}", "a1".repeat(32))];
    let lightning = [format!("did:lightning:{GENERATOR}")];
    let keys = PUBLISHED_KEYS.map(str::to_owned);
    for text in mnemonic.iter().chain(&lightning).chain(&keys) {
        let did = read(text);
        assert_eq!(&did.to_string(), text);
        assert_eq!(serde_json::from_value::<Did>(serde_json::to_value(did).unwrap()).unwrap(), did);
        assert_eq!(serde_json::to_value(did).unwrap(), serde_json::Value::String(text.clone()));
    }
}

#[test]
fn a_key_certifies_itself_and_a_mnemonic_does_not() {
    let key: Pubkey = GENERATOR.parse().unwrap();
    assert_eq!(read(&format!("did:lightning:{GENERATOR}")).self_certified_key(), Some(key));
    assert_eq!(Did::Key(key).self_certified_key(), Some(key));
    assert_eq!(read("did:mnemonic:0123456789abcdef").self_certified_key(), None);
    assert_eq!(read(&format!("did:mnemonic:{}", "00".repeat(32))).self_certified_key(), None);
}

#[test]
fn two_methods_with_one_key_are_two_identities() {
    let key: Pubkey = GENERATOR.parse().unwrap();
    let both = HashSet::from([Did::Lightning(key), Did::Key(key), read(&Did::Key(key).to_string())]);
    assert_eq!(both.len(), 2);
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    assert_eq!(MAX_DID_LENGTH, format!("did:lightning:{GENERATOR}").len());
    assert!(DidError::TooLong.to_string().contains(&MAX_DID_LENGTH.to_string()));
    for text in [format!("did:lightning:{GENERATOR}0"), "did:key:z".to_owned() + &"1".repeat(1 << 20)] {
        assert_eq!(text.parse::<Did>(), Err(DidError::TooLong));
    }
}

#[test]
fn anything_else_is_refused_with_its_reason() {
    let published = &PUBLISHED_KEYS[0][KEY.len()..];
    let multikey = |bytes: &[u8]| format!("{KEY}{}", bs58::encode(bytes).into_string());
    let compressed = Pubkey::from_str(GENERATOR).unwrap();
    let with_codec = |codec: &[u8]| multikey(&[codec, compressed.as_bytes()].concat());
    let mut off_curve = [SECP256K1_PUB.as_slice(), &[2], &[0; 32]].concat();
    let table = [
        (String::new(), DidError::UnknownMethod),
        ("did:".into(), DidError::UnknownMethod),
        (GENERATOR.into(), DidError::UnknownMethod),
        ("did:web:example.com".into(), DidError::UnknownMethod),
        (format!("DID:lightning:{GENERATOR}"), DidError::UnknownMethod),
        (format!(" did:mnemonic:{}", "0".repeat(16)), DidError::UnknownMethod),
        ("did:key:f02".into(), DidError::UnknownMethod), // multibase hex
        ("did:lightning:".into(), DidError::NotALightningKey),
        (format!("did:lightning:{}", &GENERATOR[2..]), DidError::NotALightningKey),
        (format!("did:lightning:{}", GENERATOR.to_uppercase()), DidError::NotALightningKey),
        (format!("did:lightning:02{}", "00".repeat(32)), DidError::NotALightningKey),
        (KEY.into(), DidError::NotASecp256k1Key),
        (format!("{KEY}1{published}"), DidError::NotASecp256k1Key), // a leading zero byte
        (format!("{KEY}{published}1"), DidError::NotASecp256k1Key),
        (format!("{KEY}{published}#key"), DidError::NotASecp256k1Key),
        (format!("{KEY}{}", &published[1..]), DidError::NotASecp256k1Key),
        (format!("{KEY}{}", published.replace('h', "0")), DidError::NotASecp256k1Key), // not in base58
        (format!("{KEY}{}", published.replace('h', "é")), DidError::NotASecp256k1Key),
        (with_codec(&[0xed, 0x01]), DidError::NotASecp256k1Key), // Ed25519's codec
        (with_codec(&[0xe7, 0x81, 0x00]), DidError::NotASecp256k1Key), // a longer varint of the same
        (with_codec(&[0xe7]), DidError::NotASecp256k1Key),
        (multikey(&off_curve), DidError::NotASecp256k1Key),
        ("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK".into(), DidError::NotASecp256k1Key),
        (MNEMONIC.into(), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}", "0".repeat(15)), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}", "0".repeat(17)), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}", "0".repeat(32)), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}", "0".repeat(62)), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}", "0".repeat(66)), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}", "A".repeat(16)), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}", "g".repeat(16)), DidError::NotAMnemonicDigest),
        (format!("{MNEMONIC}{}\n", "0".repeat(15)), DidError::NotAMnemonicDigest),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Did>(), Err(error), "{text:?}");
        assert!(serde_json::from_value::<Did>(text.into()).is_err());
    }
    off_curve.truncate(34);
    assert_eq!(multikey(&off_curve).parse::<Did>(), Err(DidError::NotASecp256k1Key));
}

#[test]
fn a_key_cut_of_its_last_zero_byte_is_not_that_key() {
    let key = (1..=u16::MAX)
        .map(|number| SecretKey::from_slice(&[[0; 30].as_slice(), &number.to_be_bytes()].concat()).unwrap())
        .map(|secret| Pubkey::from_secp(PublicKey::from_secret_key(SECP256K1, &secret)))
        .find(|key| key.as_bytes().ends_with(&[0]))
        .unwrap();
    let cut = bs58::encode([SECP256K1_PUB.as_slice(), &key.as_bytes()[..32]].concat()).into_string();
    assert_eq!(format!("{KEY}{cut}").parse::<Did>(), Err(DidError::NotASecp256k1Key));
}

fn any_did() -> impl Strategy<Value = Did> {
    let key = any::<[u8; 32]>().prop_filter_map("not a secret key", |bytes| {
        let secret = SecretKey::from_slice(&bytes).ok()?;
        Some(Pubkey::from_secp(PublicKey::from_secret_key(SECP256K1, &secret)))
    });
    prop_oneof![
        key.clone().prop_map(Did::Lightning),
        key.prop_map(Did::Key),
        any::<[u8; 8]>().prop_map(|bytes| Did::Mnemonic(MnemonicDigest::Short(bytes))),
        any::<[u8; 32]>().prop_map(|bytes| Did::Mnemonic(MnemonicDigest::Full(bytes))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_did_survives_being_written_and_read(did in any_did()) {
        let text = did.to_string();
        prop_assert!(text.len() <= MAX_DID_LENGTH);
        prop_assert_eq!(text.parse(), Ok(did));
    }

    #[test]
    fn no_string_makes_the_parser_panic(text in any::<String>()) {
        let _ = text.parse::<Did>();
    }

    #[test]
    fn what_is_accepted_is_written_back_exactly(
        text in "did:(lightning:0[23]|key:z(Q3s)?|mnemonic:)[0-9a-fA-HJ-NP-Z]{0,66}",
    ) {
        if let Ok(did) = text.parse::<Did>() {
            prop_assert_eq!(did.to_string(), text);
        }
    }

    #[test]
    fn a_changed_character_never_reads_as_the_same_did(did in any_did(), at in any::<prop::sample::Index>(), to in any::<char>()) {
        let text = did.to_string();
        let at = at.index(text.len());
        prop_assume!(!text[at..].starts_with(to));
        let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
        prop_assert_ne!(changed.parse(), Ok(did));
    }
}
