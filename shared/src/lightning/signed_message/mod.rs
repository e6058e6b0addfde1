//! What `lncli signmessage`, `lightning-cli signmessage` and LDK's `message_signing` make, read back.
//!
//! ```text
//! digest = SHA256(SHA256("Lightning Signed Message:" || message))
//! text   = zbase32([31 + recovery id] || r || s)                      104 characters
//! ```
//!
//! Sources: LND `rpcserver.go` (`SignMessage`, `VerifyMessage`), Core Lightning `lightningd/signmessage.c`,
//! LDK `util/message_signing.rs`.
//!
//! **Recovery is not verification.** About half of all made-up signatures recover to *some* key. A signature
//! counts only once the recovered key was compared with the key it should come from: [`verify`] does both,
//! after [`MessageSignature::recover`] the caller must.

use std::{fmt, str::FromStr, sync::LazyLock};

use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use data_encoding::{Encoding, Specification};
use secp256k1::{
    Message, SECP256K1,
    constants::CURVE_ORDER,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::pubkey::Pubkey;

/// How many characters a signature is written with: 65 bytes at 5 bits each, nothing left over.
pub const SIGNATURE_LENGTH: usize = 104;

const PREFIX: &[u8] = b"Lightning Signed Message:";
const SIGNATURE_BYTES: usize = 65;
/// The header says "compact, compressed key" (27 + 4) and carries the recovery id, 0 to 3.
const FIRST_HEADER: u8 = 31;
/// Half the order of the group: of the two values of s that sign the same, the low one is at most this.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Zooko's human-oriented base32, lower case only, without padding.
#[expect(clippy::expect_used, reason = "a constant alphabet; every test of this module builds it")]
static ZBASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut zbase32 = Specification::new();
    zbase32.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    zbase32.encoding().expect("the zbase32 alphabet has 32 distinct symbols")
});

/// A signature in the one form LND makes; other spellings of the same signature are refused, so that it
/// cannot be passed off as a second one. Still never use it as a replay key: that is the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageSignature(RecoverableSignature);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    WrongLength,
    NotZbase32,
    WrongHeader,
    ZeroR,
    ROutOfRange,
    ZeroS,
    SOutOfRange,
    HighS,
    /// No key at all could have made this signature.
    NoKey,
    /// Another key than the expected one made this signature, or it signs another message.
    WrongKey,
}

/// What is signed in place of the message.
pub fn digest(message: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut first = digest::Context::new(&SHA256);
    first.update(PREFIX);
    first.update(message);
    let mut twice = [0; SHA256_OUTPUT_LEN];
    twice.copy_from_slice(digest::digest(&SHA256, first.finish().as_ref()).as_ref());
    twice
}

/// Whether `expected` signed `message`.
pub fn verify(message: &[u8], signature: &str, expected: &Pubkey) -> Result<(), SignatureError> {
    let recovered = signature.parse::<MessageSignature>()?.recover(message)?;
    if recovered == *expected { Ok(()) } else { Err(SignatureError::WrongKey) }
}

impl MessageSignature {
    /// The key that made this signature, *if* `message` is what was signed.
    ///
    /// Not a verification: for another message this is another key, and no error. Compare it.
    pub fn recover(&self, message: &[u8]) -> Result<Pubkey, SignatureError> {
        let digest = Message::from_digest(digest(message));
        SECP256K1.recover_ecdsa(&digest, &self.0).map(Pubkey::from_secp).map_err(|_| SignatureError::NoKey)
    }

    fn from_bytes(bytes: &[u8; SIGNATURE_BYTES]) -> Result<Self, SignatureError> {
        let (header, rest) = (bytes[0], &bytes[1..]);
        let (r, s) = rest.split_at(32);
        let recovery_id = header
            .checked_sub(FIRST_HEADER)
            .and_then(|id| RecoveryId::from_i32(id.into()).ok())
            .ok_or(SignatureError::WrongHeader)?;
        // Big-endian numbers of one length compare as their bytes do.
        match () {
            () if r.iter().all(|&byte| byte == 0) => Err(SignatureError::ZeroR),
            () if r >= CURVE_ORDER.as_slice() => Err(SignatureError::ROutOfRange),
            () if s.iter().all(|&byte| byte == 0) => Err(SignatureError::ZeroS),
            () if s >= CURVE_ORDER.as_slice() => Err(SignatureError::SOutOfRange),
            () if s > HALF_ORDER.as_slice() => Err(SignatureError::HighS),
            () => RecoverableSignature::from_compact(rest, recovery_id)
                .map(Self)
                .map_err(|_| SignatureError::NoKey),
        }
    }
}

impl FromStr for MessageSignature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        // Bytes, not characters: what is not ASCII is not zbase32 either, and the bound holds for both.
        if text.len() != SIGNATURE_LENGTH {
            return Err(SignatureError::WrongLength);
        }
        let mut bytes = [0; SIGNATURE_BYTES];
        ZBASE32.decode_mut(text.as_bytes(), &mut bytes).map_err(|_| SignatureError::NotZbase32)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongLength => "a signature is 104 characters of zbase32",
            Self::NotZbase32 => "a signature is zbase32 in lower case",
            Self::WrongHeader => "the signature's first byte is not 31, 32, 33 or 34",
            Self::ZeroR => "the signature's r is zero",
            Self::ROutOfRange => "the signature's r is not below the order of the curve",
            Self::ZeroS => "the signature's s is zero",
            Self::SOutOfRange => "the signature's s is not below the order of the curve",
            Self::HighS => "the signature's s is the high one of its two values",
            Self::NoKey => "no key could have made this signature",
            Self::WrongKey => "the signature is not the expected key's over this message",
        })
    }
}

impl std::error::Error for SignatureError {}

#[cfg(test)]
mod tests;
