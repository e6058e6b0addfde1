//! The names people sign in under: decentralised identifiers (W3C DID Core) of three methods.
//!
//! | method | what follows | proves itself |
//! |---|---|---|
//! | `did:lightning:` | a node's key, 66 lower-case hex digits | yes |
//! | `did:key:` | a secp256k1 key as multicodec in base58btc, `zQ3s…` (did:key method, section 2) | yes |
//! | `did:mnemonic:` | 16 or 64 lower-case hex digits of a recovery phrase's SHA-256 | never: it is a name |

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::pubkey::Pubkey;

/// No identifier is longer; what is, is refused before any work is done on it.
pub const MAX_DID_LENGTH: usize = LIGHTNING.len() + super::pubkey::PUBKEY_HEX_LENGTH;

const LIGHTNING: &str = "did:lightning:";
/// `z` says base58btc.
const KEY: &str = "did:key:z";
const MNEMONIC: &str = "did:mnemonic:";
/// The multicodec `secp256k1-pub`, 0xe7, as a varint.
const SECP256K1_PUB: [u8; 2] = [0xe7, 0x01];
const MULTIKEY_LENGTH: usize = SECP256K1_PUB.len() + 33;

/// One identifier has one spelling: two are equal exactly when their strings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Did {
    Lightning(Pubkey),
    Key(Pubkey),
    Mnemonic(MnemonicDigest),
}

/// The SHA-256 of a recovery phrase, whole or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MnemonicDigest {
    /// 64 bits: short enough to be made to collide, so it names an account and never opens one.
    Short([u8; 8]),
    Full([u8; 32]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DidError {
    TooLong,
    UnknownMethod,
    /// Not 66 lower-case hex digits on the curve.
    NotALightningKey,
    /// Not a secp256k1 key in its one base58btc spelling.
    NotASecp256k1Key,
    /// Not 16 or 64 lower-case hex digits.
    NotAMnemonicDigest,
}

impl Did {
    /// The key this identifier *is*: whoever signs in under it must sign with exactly this key.
    /// `None` for a mnemonic, which proves nothing.
    pub fn self_certified_key(&self) -> Option<Pubkey> {
        match self {
            Self::Lightning(key) | Self::Key(key) => Some(*key),
            Self::Mnemonic(_) => None,
        }
    }
}

impl FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        if text.len() > MAX_DID_LENGTH {
            return Err(DidError::TooLong);
        }
        if let Some(hex) = text.strip_prefix(LIGHTNING) {
            hex.parse().map(Self::Lightning).map_err(|_| DidError::NotALightningKey)
        } else if let Some(base58) = text.strip_prefix(KEY) {
            multikey(base58).map(Self::Key).ok_or(DidError::NotASecp256k1Key)
        } else if let Some(hex) = text.strip_prefix(MNEMONIC) {
            hex.parse().map(Self::Mnemonic)
        } else {
            Err(DidError::UnknownMethod)
        }
    }
}

fn multikey(base58: &str) -> Option<Pubkey> {
    let mut bytes = [0; MULTIKEY_LENGTH];
    bs58::decode(base58).onto(&mut bytes).ok()?;
    let key = bytes.strip_prefix(&SECP256K1_PUB)?;
    let key = Pubkey::from_bytes(key.try_into().ok()?).ok()?;
    // Also catches what was too short and left the end of `bytes` as zeros.
    (encode_multikey(&key) == base58).then_some(key)
}

fn encode_multikey(key: &Pubkey) -> String {
    bs58::encode([SECP256K1_PUB.as_slice(), key.as_bytes()].concat()).into_string()
}

impl FromStr for MnemonicDigest {
    type Err = DidError;

    fn from_str(hex: &str) -> Result<Self, DidError> {
        let bytes = HEXLOWER.decode(hex.as_bytes()).map_err(|_| DidError::NotAMnemonicDigest)?;
        if let Ok(short) = bytes.as_slice().try_into() {
            Ok(Self::Short(short))
        } else {
            bytes.as_slice().try_into().map(Self::Full).map_err(|_| DidError::NotAMnemonicDigest)
        }
    }
}

impl fmt::Display for MnemonicDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(match self {
            Self::Short(bytes) => bytes,
            Self::Full(bytes) => bytes,
        }))
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lightning(key) => write!(f, "{LIGHTNING}{key}"),
            Self::Key(key) => write!(f, "{KEY}{}", encode_multikey(key)),
            Self::Mnemonic(digest) => write!(f, "{MNEMONIC}{digest}"),
        }
    }
}

impl Serialize for Did {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Did {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for DidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a DID has at most 80 characters",
            Self::UnknownMethod => "a DID begins with did:lightning:, did:key:z or did:mnemonic:",
            Self::NotALightningKey => {
                "did:lightning: is followed by a node's public key, 66 lower-case hex digits"
            }
            Self::NotASecp256k1Key => {
                "did:key: is followed by a secp256k1 key in base58btc, beginning with zQ3s"
            }
            Self::NotAMnemonicDigest => "did:mnemonic: is followed by 16 or 64 lower-case hex digits",
        })
    }
}

impl std::error::Error for DidError {}

#[cfg(test)]
mod tests;
