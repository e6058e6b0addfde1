//! Lightning's signed messages: `zbase32([31 + recid] || r || s)` over a double SHA-256.

use aws_lc_rs::digest::{SHA256, digest};
use secp256k1::{
    Message, PublicKey, SECP256K1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

const PREFIX: &[u8] = b"Lightning Signed Message:";
const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// 27, and 4 for a compressed key, as Bitcoin's signed messages have it.
const HEADER: u8 = 31;

fn hash(message: &[u8], single: bool) -> Message {
    let once = digest(&SHA256, &[PREFIX, message].concat());
    let hash = if single { once } else { digest(&SHA256, once.as_ref()) };
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Message::from_digest(bytes)
}

/// Deterministic (RFC 6979) and low-S.
pub(crate) fn sign(secret_key: &SecretKey, message: &[u8], single_hash: bool) -> String {
    let signature = SECP256K1.sign_ecdsa_recoverable(&hash(message, single_hash), secret_key);
    let (recovery_id, rs) = signature.serialize_compact();
    // A recovery id is 0 to 3.
    let header = HEADER + u8::try_from(recovery_id.to_i32()).unwrap_or_default();
    zbase32(&[&[header], &rs[..]].concat())
}

/// As lenient as LND: headers 27 to 34, high S; nothing recovered is no error.
pub(crate) fn recover(message: &[u8], signature: &[u8]) -> Option<PublicKey> {
    let (header, rs) = signature.split_first().filter(|_| signature.len() == 65)?;
    let recovery_id = i32::from(header.checked_sub(27).filter(|id| *id < 8)? % 4);
    let signature = RecoverableSignature::from_compact(rs, RecoveryId::from_i32(recovery_id).ok()?).ok()?;
    SECP256K1.recover_ecdsa(&hash(message, false), &signature).ok()
}

fn zbase32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let symbol = |first: usize| (first..first + 5).fold(0, |n, at| n << 1 | usize::from(bit(at)));
    (0..bytes.len() * 8).step_by(5).map(|first| char::from(ALPHABET[symbol(first)])).collect()
}

/// `Err` holds the index of the first byte that is no symbol. Bits that fill no byte are dropped.
pub(crate) fn zbase32_decode(text: &str) -> Result<Vec<u8>, usize> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u16, 0);
    for (index, symbol) in text.bytes().enumerate() {
        let value = (0_u16..).zip(ALPHABET).find(|(_, known)| **known == symbol).ok_or(index)?.0;
        held = held << 5 | value;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from(held >> bits & 0xff));
            held &= (1 << bits) - 1;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published: Core Lightning's tests 1 to 3, its documentation 4 and 5, LDK's signing test 6.
    const VECTORS: [(&str, &str, &str); 6] = [
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

    #[test]
    fn the_published_signatures_recover_to_their_keys() {
        for (message, signature, pubkey) in VECTORS {
            let bytes = zbase32_decode(signature).unwrap();
            let recovered = recover(message.as_bytes(), &bytes).unwrap();
            assert_eq!(recovered.to_string(), pubkey, "{message}");
            assert_eq!(zbase32(&bytes), signature, "the codec there and back");
        }
    }

    #[test]
    fn secret_key_one_signs_as_ldk_published_it() {
        let mut one = [0; 32];
        one[31] = 1;
        let signature = sign(&SecretKey::from_slice(&one).unwrap(), b"test message", false);
        assert_eq!(signature, VECTORS[5].1);
    }

    #[test]
    fn another_message_recovers_another_key_and_no_error() {
        let bytes = zbase32_decode(VECTORS[0].1).unwrap();
        let recovered = recover(b"is this compatible?modified", &bytes).unwrap();
        assert_eq!(
            recovered.to_string(),
            "032d04a6d6d84edd62aa8696f0c3a271a48ba680545a84e3c012caa360e5c0be3f",
            "published as what this very change recovers"
        );
    }
}
