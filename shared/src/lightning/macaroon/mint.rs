//! Macaroons made from a root key without asking the node it belongs to, byte for byte as LND bakes them.
//!
//! A node that was given its root key honours them: so its owner gets in again when LND's one answer with the
//! admin macaroon was lost.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::parse::{BAKERY_VERSION_3, VERSION_2, field, tag};
use super::{Macaroon, Op};

/// What LND's own `admin.macaroon` may do (`adminPermissions` in LND's `rpcserver.go` and `lnd.go`).
pub const ADMIN_OPS: &[(&str, &str)] = &[
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

const LOCATION: &[u8] = b"lnd";
/// What libmacaroons stretches every root key with.
const KEY_GENERATOR: &[u8] = b"macaroons-key-generator";

/// A macaroon without caveats. `root_key` is the node's key of that id; its admin macaroon is of id 0.
pub fn mint(root_key: &[u8; 32], root_key_id: u64, ops: &[(&str, &str)], nonce: [u8; 16]) -> Macaroon {
    // The bakery writes each operation once and in order, and an entity's actions together.
    let mut ops = ops.to_vec();
    ops.sort_unstable();
    ops.dedup();
    let identifier = identifier(root_key_id, &ops, nonce);
    let mut bytes = Zeroizing::new(vec![VERSION_2]);
    put(&mut bytes, field::LOCATION, LOCATION);
    put(&mut bytes, field::IDENTIFIER, &identifier);
    bytes.extend([field::END, field::END]);
    put(&mut bytes, field::SIGNATURE, &sign(root_key, &identifier));
    let ops = ops.into_iter().map(|(entity, action)| Op { entity: entity.into(), action: action.into() });
    Macaroon { bytes, ops: ops.collect() }
}

fn identifier(root_key_id: u64, ops: &[(&str, &str)], nonce: [u8; 16]) -> Vec<u8> {
    let mut identifier = vec![BAKERY_VERSION_3];
    put(&mut identifier, tag::NONCE, &nonce);
    put(&mut identifier, tag::STORAGE_ID, root_key_id.to_string().as_bytes());
    for of_one_entity in ops.chunk_by(|a, b| a.0 == b.0) {
        let mut op = Vec::new();
        for (index, (entity, action)) in of_one_entity.iter().enumerate() {
            if index == 0 {
                put(&mut op, tag::OP_ENTITY, entity.as_bytes());
            }
            put(&mut op, tag::OP_ACTIONS, action.as_bytes());
        }
        put(&mut identifier, tag::OPS, &op);
    }
    identifier
}

/// What every macaroon ends in (libmacaroons): the root key is stretched once, then signs the identifier.
pub(super) fn sign(root_key: &[u8], identifier: &[u8]) -> [u8; 32] {
    let key = Zeroizing::new(mac(KEY_GENERATOR, root_key));
    mac(&*key, identifier)
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = [0; 32];
    mac.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref());
    mac
}

/// Type or tag, length as a varint, bytes.
fn put(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.extend(u8::try_from(length & 0x7f | 0x80));
        length >>= 7;
    }
    out.extend(u8::try_from(length));
    out.extend_from_slice(bytes);
}
