//! Seeds of a wallet as words: 33 bytes in 24 words of 11 bits, with a checksum, as LND's aezeed has them.
//!
//! The words are not LND's list and nothing is enciphered: what matters to a client is that there are 24, that they
//! belong together in their order, and that the same ones give the same node.

use std::{collections::HashMap, sync::LazyLock};

use secp256k1::SecretKey;

use super::errors::LndError;
use crate::seed::hmac_sha256;

pub(crate) const WORDS: usize = 24;
const BYTES: usize = 33;
const CHECKED: usize = 29;

const BEGINNINGS: [&str; 16] =
    ["b", "br", "ch", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "w"];
const MIDDLES: [&str; 8] = ["a", "e", "i", "o", "u", "ai", "ea", "oo"];
const ENDS: [&str; 16] =
    ["b", "ck", "d", "ft", "g", "ld", "lm", "m", "n", "nd", "p", "rk", "rn", "sh", "st", "t"];

static INDEX: LazyLock<HashMap<String, usize>> =
    LazyLock::new(|| (0..2048).map(|index| (word(index), index)).collect());

fn word(index: usize) -> String {
    [BEGINNINGS[index >> 7], MIDDLES[index >> 4 & 7], ENDS[index & 15]].concat()
}

/// `drawn` is the entropy.
pub(crate) fn encipher(drawn: &[u8; 32]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    // The first byte is the version, 0.
    bytes[1..CHECKED].copy_from_slice(&drawn[..CHECKED - 1]);
    let sum = checksum(&bytes[..CHECKED]);
    bytes[CHECKED..].copy_from_slice(&sum);
    bytes
}

pub(crate) fn to_words(bytes: &[u8; BYTES]) -> Vec<String> {
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    (0..WORDS).map(|n| word((n * 11..n * 11 + 11).fold(0, |value, at| value << 1 | bit(at)))).collect()
}

/// The node's identity key: one for one set of words.
pub(crate) fn identity(words: &[String]) -> Result<SecretKey, LndError> {
    if words.len() != WORDS {
        let message =
            format!("wrong cipher seed mnemonic length: got {} words, expecting {WORDS} words", words.len());
        return Err(LndError::unknown(message));
    }
    let mut bytes = [0_u8; BYTES];
    for (place, word) in words.iter().enumerate() {
        let Some(index) = INDEX.get(word) else {
            let message = format!("word {word} isn't a part of default word list (index={place})");
            return Err(LndError::unknown(message));
        };
        for bit in 0..11 {
            let at = place * 11 + bit;
            bytes[at / 8] |= u8::from(index >> (10 - bit) & 1 == 1) << (7 - at % 8);
        }
    }
    if bytes[CHECKED..] != checksum(&bytes[..CHECKED]) {
        return Err(LndError::unknown("mnemonic phrase checksum doesn't match"));
    }
    let key = hmac_sha256(b"identity", &bytes[..CHECKED]);
    SecretKey::from_slice(&key).map_err(|_| LndError::unknown("this seed has no key"))
}

fn checksum(bytes: &[u8]) -> [u8; BYTES - CHECKED] {
    let [a, b, c, d, ..] = hmac_sha256(b"checksum", bytes);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_words_are_2048_and_all_different() {
        assert_eq!((0..2048).map(word).collect::<HashSet<_>>().len(), 2048);
        assert!((0..2048).map(word).all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn the_same_words_give_the_same_key_and_others_another() {
        let words = |n: u8| to_words(&encipher(&[n; 32]));
        assert_eq!(identity(&words(1)).unwrap(), identity(&words(1)).unwrap());
        assert_ne!(identity(&words(1)).unwrap(), identity(&words(2)).unwrap());
    }

    #[test]
    fn words_in_another_order_do_not_belong_together() {
        let mut words = to_words(&encipher(&[3; 32]));
        words.swap(4, 5);
        assert_eq!(identity(&words).unwrap_err().message, "mnemonic phrase checksum doesn't match");
    }
}
