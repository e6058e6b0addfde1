//! The published vectors, and everything that is nearly a signature.

mod random;

use data_encoding::HEXLOWER;
use secp256k1::{PublicKey, SecretKey};

use super::*;

/// Message, signature, key. 1 to 3: Core Lightning `tests/test_misc.py`, made by users of LND; 4 and 5: Core
/// Lightning `doc/schemas/signmessage.json`; 6: LDK `message_signing.rs`, made with the secret key 1.
const PUBLISHED: [(&str, &str, &str); 6] = [
    (
        "is this compatible?",
        "rbgfioj114mh48d8egqx8o9qxqw4fmhe8jbeeabdioxnjk8z3t1ma1hu1fiswpakgucwwzwo6ofycffbsqusqdimugbh41n1g698hr9t",
        "02b80cabdf82638aac86948e4c06e82064f547768dcef977677b9ea931ea75bab5",
    ),
    (
        "hi",
        "rnrphcjswusbacjnmmmrynh9pqip7sy5cx695h6mfu64iac6qmcmsd8xnsyczwmpqp9shqkth3h4jmkgyqu5z47jfn1q7gpxtaqpx4xg",
        "02de60d194e1ca5947b59fe8e2efd6aadeabfb67f2e89e13ae1a799c1e08e4a43b",
    ),
    (
        "hi",
        "ry8bbsopmduhxy3dr5d9ekfeabdpimfx95kagdem7914wtca79jwamtbw4rxh69hg7n6x9ty8cqk33knbxaqftgxsfsaeprxkn1k48p3",
        "022b8ece90ee891cbcdac0c1cc6af46b73c47212d8defbce80265ac81a6b794931",
    ),
    (
        "this is a test!",
        "d63t8j9xmusnx6f6j3tauwoewi1g3a94t9xrastmou8i5rzn3gm9nuahkx6zfnm9ry145w4j88ctteim4mtxc7qreyity55zq63sj6n5",
        "033845802d25b4e074ccfd7cd8b339a41dc75bf9978a034800444b51d42b07799a",
    ),
    (
        "message for you",
        "rnu3qotbr47u7uzgodtq51fraszhp47xfen4yxbzhsisrekqwzshysu7sq4f74g5jobnh35fsh1a3ysoa7who6cqbti47qkxp6w1qwan",
        "033845802d25b4e074ccfd7cd8b339a41dc75bf9978a034800444b51d42b07799a",
    ),
    (
        "test message",
        "d9tibmnic9t5y41hg7hkakdcra94akas9ku3rmmj4ag9mritc8ok4p5qzefs78c9pqfhpuftqqzhydbdwfg7u6w6wdxcqpqn4sj4e73e",
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
];

/// The group order, less one.
const ORDER_LESS_ONE: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";

fn key(hex: &str) -> Pubkey {
    hex.parse().unwrap()
}

fn bytes_of(signature: &str) -> [u8; SIGNATURE_BYTES] {
    ZBASE32.decode(signature.as_bytes()).unwrap().try_into().unwrap()
}

fn text_of(bytes: &[u8; SIGNATURE_BYTES]) -> String {
    ZBASE32.encode(bytes)
}

/// Vector 4 with its r or its s replaced.
fn with(part: std::ops::Range<usize>, hex: &str) -> String {
    let mut bytes = bytes_of(PUBLISHED[3].1);
    bytes[part].copy_from_slice(&HEXLOWER.decode(hex.as_bytes()).unwrap());
    text_of(&bytes)
}

const R: std::ops::Range<usize> = 1..33;
const S: std::ops::Range<usize> = 33..65;

fn refusal(signature: &str) -> SignatureError {
    signature.parse::<MessageSignature>().unwrap_err()
}

fn sign(message: &[u8], secret: &SecretKey) -> String {
    let digest = Message::from_digest(digest(message));
    let (id, rest) = SECP256K1.sign_ecdsa_recoverable(&digest, secret).serialize_compact();
    let mut bytes = [0; SIGNATURE_BYTES];
    bytes[0] = FIRST_HEADER + u8::try_from(id.to_i32()).unwrap();
    bytes[1..].copy_from_slice(&rest);
    text_of(&bytes)
}

#[test]
fn every_published_signature_recovers_its_key() {
    for (message, signature, expected) in PUBLISHED {
        let parsed: MessageSignature = signature.parse().unwrap();
        assert_eq!(parsed.recover(message.as_bytes()), Ok(key(expected)), "{message}");
        assert_eq!(verify(message.as_bytes(), signature, &key(expected)), Ok(()), "{message}");
    }
}

#[test]
fn ldks_signing_vector_is_what_the_secret_key_1_signs() {
    let (message, signature, _) = PUBLISHED[5];
    let one = SecretKey::from_slice(&[[0; 31].as_slice(), &[1]].concat()).unwrap();
    assert_eq!(sign(message.as_bytes(), &one), signature);
}

#[test]
fn the_digest_and_signature_of_eclair_agree() {
    let message = b"hello, world";
    assert_eq!(
        HEXLOWER.encode(&digest(message)),
        "cbedbc1542fb139e2e10954f1ff9f82e8a1031cc63260636bbc45a90114552ea"
    );
    let signature = "1f730dce842c31b692dc041c2d0f00423d2a2a67b0c63c1a905d500f09652a5b1a\
                     036763a1603333fa589ae92d1f7963428ff170e976d0966a113f4b9f9d0efc7f";
    let bytes = HEXLOWER.decode(signature.as_bytes()).unwrap().try_into().unwrap();
    assert_eq!(
        MessageSignature::from_bytes(&bytes).unwrap().recover(message),
        Ok(key("03c5c975cf1868dda7b2f9b2271cbda28db9324e3f9b4d372275b357bb668888b2"))
    );
}

#[test]
fn another_message_recovers_another_key_and_no_error() {
    let (_, signature, expected) = PUBLISHED[0];
    let modified = b"is this compatible?modified";
    let stranger = key("032d04a6d6d84edd62aa8696f0c3a271a48ba680545a84e3c012caa360e5c0be3f");
    assert_eq!(signature.parse::<MessageSignature>().unwrap().recover(modified), Ok(stranger));
    assert_eq!(verify(modified, signature, &key(expected)), Err(SignatureError::WrongKey));
}

#[test]
fn a_message_that_looks_the_same_is_another_message() {
    let secret = SecretKey::from_slice(&[7; 32]).unwrap();
    let owner = Pubkey::from_secp(PublicKey::from_secret_key(SECP256K1, &secret));
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (signed, claimed) in [
        (composed, decomposed),
        (decomposed, composed),
        ("text", "text\n"),
        ("text", "text\r\n"),
        ("text", " text"),
        ("text", "Text"),
        ("text\n", "text"),
        ("a\nb", "a\r\nb"),
        ("text", ""),
        ("text", "text\0"),
    ] {
        let signature = sign(signed.as_bytes(), &secret);
        assert_eq!(verify(signed.as_bytes(), &signature, &owner), Ok(()), "{signed:?}");
        // Usually another key; for some messages none.
        verify(claimed.as_bytes(), &signature, &owner).unwrap_err();
    }
}

#[test]
fn the_other_value_of_s_signs_the_same_and_is_refused() {
    for (message, signature, expected) in PUBLISHED {
        let bytes = bytes_of(signature);
        let high = SecretKey::from_slice(&bytes[S]).unwrap().negate();
        let mut malleated = bytes;
        malleated[0] = FIRST_HEADER + ((bytes[0] - FIRST_HEADER) ^ 1);
        malleated[S].copy_from_slice(&high.secret_bytes());

        let id = RecoveryId::from_i32((malleated[0] - FIRST_HEADER).into()).unwrap();
        let lenient = MessageSignature(RecoverableSignature::from_compact(&malleated[1..], id).unwrap());
        assert_eq!(lenient.recover(message.as_bytes()), Ok(key(expected)), "it does sign the same");

        assert_eq!(refusal(&text_of(&malleated)), SignatureError::HighS);
    }
}

#[test]
fn a_signature_has_104_characters_of_lower_case_zbase32() {
    let signature = PUBLISHED[0].1;
    for (other, error) in [
        (String::new(), SignatureError::WrongLength),
        (signature[..103].into(), SignatureError::WrongLength),
        (format!("{signature}y"), SignatureError::WrongLength),
        (format!("{signature}\n"), SignatureError::WrongLength),
        (format!(" {signature}"), SignatureError::WrongLength),
        (signature.repeat(10_000), SignatureError::WrongLength),
        ("é".repeat(104), SignatureError::WrongLength),
        (signature.to_uppercase(), SignatureError::NotZbase32),
        (signature.replacen('r', "R", 1), SignatureError::NotZbase32),
        (format!("{}\n", &signature[..103]), SignatureError::NotZbase32),
        (format!("{}=", &signature[..103]), SignatureError::NotZbase32),
        (format!("{}\0", &signature[..103]), SignatureError::NotZbase32),
        ("é".repeat(52), SignatureError::NotZbase32),
    ] {
        assert_eq!(refusal(&other), error, "{other:.120?}");
    }
    // The four letters and digits zbase32 leaves out.
    for missing in ["0", "2", "l", "v"] {
        assert_eq!(refusal(&format!("{}{missing}", &signature[..103])), SignatureError::NotZbase32);
    }
}

#[test]
fn only_headers_31_to_34_are_accepted() {
    for header in 0..=u8::MAX {
        let mut bytes = bytes_of(PUBLISHED[3].1);
        bytes[0] = header;
        let parsed = text_of(&bytes).parse::<MessageSignature>();
        if (31..=34).contains(&header) {
            assert!(parsed.is_ok(), "{header}");
        } else {
            assert_eq!(parsed, Err(SignatureError::WrongHeader), "{header}");
        }
    }
}

#[test]
fn r_and_s_are_neither_zero_nor_too_large() {
    let zero = "00".repeat(32);
    let order = HEXLOWER.encode(&CURVE_ORDER);
    let all_ones = "ff".repeat(32);
    let half = HEXLOWER.encode(&HALF_ORDER);
    let half_and_one = half.replace("20a0", "20a1");
    for (signature, error) in [
        (with(R, &zero), SignatureError::ZeroR),
        (with(R, &order), SignatureError::ROutOfRange),
        (with(R, &all_ones), SignatureError::ROutOfRange),
        (with(S, &zero), SignatureError::ZeroS),
        (with(S, &order), SignatureError::SOutOfRange),
        (with(S, &all_ones), SignatureError::SOutOfRange),
        (with(S, ORDER_LESS_ONE), SignatureError::HighS),
        (with(S, &half_and_one), SignatureError::HighS),
    ] {
        assert_eq!(refusal(&signature), error, "{signature}");
    }
    // The edges that are inside.
    for signature in [with(S, &half), with(S, &format!("{}01", "00".repeat(31))), with(R, ORDER_LESS_ONE)] {
        assert!(signature.parse::<MessageSignature>().is_ok(), "{signature}");
    }
}

#[test]
fn the_half_order_is_half_the_order() {
    let half = SecretKey::from_slice(&HALF_ORDER).unwrap();
    let one = secp256k1::Scalar::ONE;
    // n is odd, so half and half and one is n, which is zero; and half plus one is minus half.
    assert_eq!(half.add_tweak(&one).unwrap(), half.negate());
}

#[test]
fn an_r_that_is_no_point_recovers_no_key() {
    let (message, ..) = PUBLISHED[3];
    // x = 5 is not on the curve (7 + 125 = 132 is no square); with ids 2 and 3, x = r + n leaves the field.
    let five = with(R, &format!("{}05", "00".repeat(31)));
    let mut beyond = bytes_of(PUBLISHED[3].1);
    beyond[0] = 33;
    for signature in [five, text_of(&beyond)] {
        let parsed: MessageSignature = signature.parse().unwrap();
        assert_eq!(parsed.recover(message.as_bytes()), Err(SignatureError::NoKey));
        assert_eq!(verify(message.as_bytes(), &signature, &key(PUBLISHED[3].2)), Err(SignatureError::NoKey));
    }
}

#[test]
fn no_single_flipped_bit_is_accepted() {
    let (message, signature, expected) = PUBLISHED[0];
    let original = bytes_of(signature);
    let mut recovered_another = 0;
    for bit in 0..8 * SIGNATURE_BYTES {
        let mut flipped = original;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = verify(message.as_bytes(), &text_of(&flipped), &key(expected)).unwrap_err();
        recovered_another += usize::from(error == SignatureError::WrongKey);
    }
    assert!(recovered_another > 100, "most flips must get as far as the comparison: {recovered_another}");
}
