//! Macaroons as LND makes and checks them: version 2, binary, an HMAC chain over identifier and caveats; the
//! identifier is the bakery's (`03`, then a protobuf of nonce, root key id and operations).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{errors::LndError, state::StoredNode};
use crate::{clock, seed::hmac_sha256};

mod identifier;
mod wire;

pub(crate) use identifier::{Identifier, Ops};
use wire::Macaroon;

/// What LND's `admin.macaroon` may do.
pub(crate) const ADMIN_OPS: [(&str, &str); 19] = [
    ("address", "read"),
    ("address", "write"),
    ("info", "read"),
    ("info", "write"),
    ("invoices", "read"),
    ("invoices", "write"),
    ("macaroon", "generate"),
    ("macaroon", "read"),
    ("macaroon", "write"),
    ("message", "read"),
    ("message", "write"),
    ("offchain", "read"),
    ("offchain", "write"),
    ("onchain", "read"),
    ("onchain", "write"),
    ("peers", "read"),
    ("peers", "write"),
    ("signer", "generate"),
    ("signer", "read"),
];

pub(crate) fn bake(root_key: &[u8; 32], nonce: &[u8], root_key_id: u64, ops: Ops) -> Vec<u8> {
    let identifier = Identifier { nonce: nonce.to_vec(), root_key_id: root_key_id.to_string(), ops }.encode();
    let signature = chain(root_key, &identifier, &[]);
    Macaroon { location: "lnd".into(), identifier, caveats: Vec::new(), signature }.encode()
}

/// The signature libmacaroons defines: the root key is stretched once, then each part signs the next.
fn chain(root_key: &[u8], identifier: &[u8], caveats: &[Vec<u8>]) -> [u8; 32] {
    let key = hmac_sha256(b"macaroons-key-generator", root_key);
    caveats.iter().fold(hmac_sha256(&key, identifier), |signature, caveat| hmac_sha256(&signature, caveat))
}

/// What a method asks for: either every one of these operations, or the `uri` permission naming the method.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    pub(crate) entity: &'static str,
    pub(crate) action: &'static str,
    pub(crate) uri: &'static str,
}

/// LND's checks, in LND's order and words.
pub(crate) fn authorise(node: &StoredNode, headers: &[&[u8]], need: Need) -> Result<(), LndError> {
    let [hex] = headers else {
        return Err(LndError::unknown(format!("expected 1 macaroon, got {}", headers.len())));
    };
    let macaroon =
        Macaroon::decode(&decode_hex(hex).map_err(LndError::unknown)?).map_err(LndError::unknown)?;
    let identifier = Identifier::decode(&macaroon.identifier).map_err(LndError::unknown)?;
    let id = &identifier.root_key_id;
    let root_key = id.parse().ok().and_then(|id| node.root_key(id)).ok_or_else(|| {
        LndError::unknown(format!("cannot get macaroon: root key with id {id} doesn't exist"))
    })?;
    let signature = chain(root_key, &macaroon.identifier, &macaroon.caveats);
    verify_slices_are_equal(&signature, &macaroon.signature).map_err(|_| {
        LndError::unknown("verification failed: signature mismatch after caveat verification")
    })?;
    let allows = |entity: &str, action: &str| identifier.ops.iter().any(|(e, a)| e == entity && a == action);
    if !allows(need.entity, need.action) && !allows("uri", need.uri) {
        return Err(LndError::unknown("permission denied"));
    }
    macaroon.caveats.iter().try_for_each(|caveat| check_caveat(caveat))
}

fn check_caveat(caveat: &[u8]) -> Result<(), LndError> {
    let caveat = String::from_utf8_lossy(caveat);
    let (condition, argument) = caveat.split_once(' ').unwrap_or((&caveat, ""));
    let why = match condition {
        "time-before" => match OffsetDateTime::parse(argument, &Rfc3339) {
            Ok(end) if clock::now() < end => return Ok(()),
            Ok(_) => "macaroon has expired",
            Err(_) => "cannot parse the time",
        },
        // LND compares with its own REST proxy's address, so over REST this never holds.
        "ipaddr" => "macaroon locked to different IP address",
        _ => "caveat not recognized",
    };
    Err(LndError::unknown(format!("caveat \"{caveat}\" not satisfied: {why}")))
}

/// Go's `hex.DecodeString`, with its words.
pub(super) fn decode_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    if let Some(bad) = text.iter().find(|byte| !byte.is_ascii_hexdigit()) {
        let shown = if bad.is_ascii_graphic() { format!(" '{}'", char::from(*bad)) } else { String::new() };
        return Err(format!("encoding/hex: invalid byte: U+{bad:04X}{shown}"));
    }
    let odd = |_| "encoding/hex: odd length hex string".to_owned();
    data_encoding::HEXLOWER_PERMISSIVE.decode(text).map_err(odd)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// The example of libmacaroons' README.
    #[test]
    fn the_chain_is_the_one_libmacaroons_published() {
        let key = b"this is our super secret key; only we should know it";
        let signature =
            |caveats: &[Vec<u8>]| HEXLOWER.encode(&chain(key, b"we used our secret key", caveats));
        assert_eq!(signature(&[]), "e3d9e02908526c4c0039ae15114115d97fdd68bf2ba379b342aaf0f617d0552f");
        assert_eq!(
            signature(&[b"test = caveat".to_vec()]),
            "197bac7a044af33332865b9266e26d493bdd668a660e44d88ce1a998c23dbd67"
        );
    }

    /// The 248 bytes of identifier that LND 0.20 bakes, but for the nonce.
    #[test]
    fn an_admin_macaroon_is_byte_for_byte_lnd_s() {
        let ops = ADMIN_OPS.iter().rev().map(|(e, a)| ((*e).into(), (*a).into())).collect();
        let hex = HEXLOWER.encode(&bake(&[7; 32], &[0; 16], 0, ops));
        let expected = [
            "0201036c6e6402f801030a10",
            "00000000000000000000000000000000",
            "120130",
            "1a160a076164647265737312047265616412057772697465",
            "1a130a04696e666f12047265616412057772697465",
            "1a170a08696e766f6963657312047265616412057772697465",
            "1a210a086d616361726f6f6e120867656e657261746512047265616412057772697465",
            "1a160a076d65737361676512047265616412057772697465",
            "1a170a086f6666636861696e12047265616412057772697465",
            "1a160a076f6e636861696e12047265616412057772697465",
            "1a140a05706565727312047265616412057772697465",
            "1a180a067369676e6572120867656e6572617465120472656164",
            "00000620",
        ];
        assert_eq!(hex.get(..hex.len() - 64), Some(expected.concat().as_str()));
    }
}
