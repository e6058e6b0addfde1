//! A node's public key: a compressed point on secp256k1, written as 66 lower-case hex digits (BOLT 1, `point`).

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use secp256k1::{PublicKey, constants::PUBLIC_KEY_SIZE};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How many characters a key is written with.
pub const PUBKEY_HEX_LENGTH: usize = 2 * PUBLIC_KEY_SIZE;

/// A compressed secp256k1 public key, known to be on the curve.
///
/// One key has one spelling, so comparing strings and comparing keys agree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pubkey([u8; PUBLIC_KEY_SIZE]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubkeyError {
    NotHex,
    NotOnCurve,
}

impl Pubkey {
    pub fn from_secp(key: PublicKey) -> Self {
        Self(key.serialize())
    }

    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_SIZE]) -> Result<Self, PubkeyError> {
        PublicKey::from_slice(bytes).map(Self::from_secp).map_err(|_| PubkeyError::NotOnCurve)
    }

    pub fn as_bytes(&self) -> &[u8; PUBLIC_KEY_SIZE] {
        &self.0
    }
}

impl FromStr for Pubkey {
    type Err = PubkeyError;

    fn from_str(text: &str) -> Result<Self, PubkeyError> {
        if text.len() != PUBKEY_HEX_LENGTH {
            return Err(PubkeyError::NotHex);
        }
        let mut bytes = [0; PUBLIC_KEY_SIZE];
        HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).map_err(|_| PubkeyError::NotHex)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for Pubkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Pubkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pubkey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pubkey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for PubkeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHex => "a node's public key is 66 lower-case hex digits",
            Self::NotOnCurve => "these 66 hex digits are not a secp256k1 public key",
        })
    }
}

impl std::error::Error for PubkeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator point: the public key of the secret key 1 (SEC 2, section 2.4.1).
    const GENERATOR: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn a_key_is_written_as_it_was_read() {
        let key: Pubkey = GENERATOR.parse().unwrap();
        assert_eq!(key.to_string(), GENERATOR);
        assert_eq!(format!("{key:?}"), GENERATOR);
        assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{GENERATOR}\""));
        assert_eq!(serde_json::from_str::<Pubkey>(&format!("\"{GENERATOR}\"")).unwrap(), key);
        assert_eq!(Pubkey::from_bytes(key.as_bytes()), Ok(key));
    }

    #[test]
    fn a_key_has_no_second_spelling() {
        let uncompressed = format!("04{}", "79".repeat(64));
        for other in [
            "",
            &GENERATOR[..65],
            &GENERATOR[..64],
            &format!("{GENERATOR}0"),
            &format!("{GENERATOR}00"),
            &format!(" {GENERATOR}"),
            &format!("{GENERATOR}\n"),
            &format!("0x{GENERATOR}"),
            &GENERATOR.to_uppercase(),
            &GENERATOR.replace('b', "B"),
            &GENERATOR.replace('f', "g"),
            &format!("{}é", &GENERATOR[..64]),
            &uncompressed,
        ] {
            assert_eq!(other.parse::<Pubkey>(), Err(PubkeyError::NotHex), "{other:?}");
        }
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        for point in [
            "00".repeat(33),
            format!("02{}", "00".repeat(32)), // x = 0 has no y
            format!("02{}", "ff".repeat(32)), // x is beyond the field
            format!("05{}", &GENERATOR[2..]), // no such prefix
            format!("04{}", &GENERATOR[2..]),
            format!("06{}", &GENERATOR[2..]),
        ] {
            assert_eq!(point.parse::<Pubkey>(), Err(PubkeyError::NotOnCurve), "{point}");
        }
    }

    #[test]
    fn a_key_in_json_must_be_a_valid_string() {
        for json in ["1", "null", "[]", "\"\"", "\"02\""] {
            assert!(serde_json::from_str::<Pubkey>(json).is_err(), "{json}");
        }
    }
}
