//! LND macaroons: what one allows, read without asking its node.
//!
//! The binary form is macaroon v2 (`go-macaroon` `doc/format.txt`); the identifier is the bakery's version 3 with
//! LND's protobuf `MacaroonId` (`lnrpc/lightning.proto`). The signature cannot be checked without the node's root
//! key, so the operations are claims; but a claim that is not true only makes LND refuse the macaroon.

mod judge;
mod mint;
mod parse;

use std::fmt;

use data_encoding::{
    BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE,
};
use zeroize::Zeroizing;

pub use judge::{HOW_TO_BAKE, Verdict};
pub use mint::{ADMIN_OPS, mint};

/// LND's widest stock macaroon has about 300 bytes.
pub const MAX_MACAROON_BYTES: usize = 4096;
/// As text, hex is the longest of the accepted forms.
pub const MAX_MACAROON_LENGTH: usize = 2 * MAX_MACAROON_BYTES;

/// A macaroon that is well formed. What it allows is for [`Macaroon::judge`] to say.
///
/// Whoever holds its bytes may do what it allows: they are erased on drop, and only [`Macaroon::to_hex`] shows them.
pub struct Macaroon {
    bytes: Zeroizing<Vec<u8>>,
    ops: Vec<Op>,
}

/// One thing a macaroon allows, as in `lncli bakemacaroon entity:action`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Op {
    pub entity: String,
    pub action: String,
}

/// Deliberately says nothing of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacaroonError {
    TooLong,
    NotHexOrBase64,
    /// Cut, padded, or not laid out as a version 2 macaroon.
    Malformed,
    UnsupportedVersion,
    /// A third party would have to discharge it first.
    ThirdPartyCaveat,
    /// The identifier is not one of LND's.
    NotFromLnd,
    NoOperations,
}

impl Macaroon {
    /// Reads hex (either case) or base64 (standard or URL-safe alphabet, padded or not).
    pub fn parse(text: &str) -> Result<Self, MacaroonError> {
        if text.len() > MAX_MACAROON_LENGTH {
            return Err(MacaroonError::TooLong);
        }
        let bytes = decode(text)?;
        if bytes.len() > MAX_MACAROON_BYTES {
            return Err(MacaroonError::TooLong);
        }
        let ops = parse::operations(&bytes)?;
        Ok(Self { bytes, ops })
    }

    /// Never empty.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub fn judge(&self) -> Verdict {
        judge::judge(&self.ops)
    }

    /// The form the header `Grpc-Metadata-macaroon` takes. A credential: seal it, never log it.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(HEXLOWER.encode(&self.bytes))
    }
}

/// The first byte is a small version, 2 in all that are accepted: hex begins with `02` and base64 with `A`, so
/// neither can pass for the other.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, MacaroonError> {
    let url_safe = text.contains(['-', '_']);
    let padded = text.ends_with('=');
    let encoding: &Encoding = match (text.starts_with("02"), url_safe, padded) {
        (true, _, _) => &HEXLOWER_PERMISSIVE,
        _ if !text.starts_with('A') => return Err(MacaroonError::NotHexOrBase64),
        (false, false, true) => &BASE64,
        (false, false, false) => &BASE64_NOPAD,
        (false, true, true) => &BASE64URL,
        (false, true, false) => &BASE64URL_NOPAD,
    };
    let length = encoding.decode_len(text.len()).map_err(|_| MacaroonError::NotHexOrBase64)?;
    // Decoded in place, so that a refused macaroon leaves no copy behind either.
    let mut bytes = Zeroizing::new(vec![0; length]);
    let written =
        encoding.decode_mut(text.as_bytes(), &mut bytes).map_err(|_| MacaroonError::NotHexOrBase64)?;
    bytes.truncate(written);
    Ok(bytes)
}

impl fmt::Debug for Macaroon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Macaroon").field("bytes", &"[redacted]").field("ops", &self.ops).finish()
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.entity, self.action)
    }
}

impl fmt::Display for MacaroonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a macaroon has at most 4096 bytes",
            Self::NotHexOrBase64 => "a macaroon is written in hex or base64",
            Self::Malformed => "this is not a whole macaroon",
            Self::UnsupportedVersion => "only version 2 macaroons are accepted",
            Self::ThirdPartyCaveat => "a macaroon with a third-party caveat is not accepted",
            Self::NotFromLnd => "this macaroon was not made by LND",
            Self::NoOperations => "this macaroon allows nothing",
        })
    }
}

impl std::error::Error for MacaroonError {}

#[cfg(test)]
mod tests;
