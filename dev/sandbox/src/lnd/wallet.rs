//! The wallet unlocker: seed, wallet, unlocking. No macaroon is asked for: whoever comes first owns the node.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{
    errors::{Code, LndError},
    proto_json::Fields,
    seed_words,
    state::StoredNode,
};
use crate::{Service, counts::Counts, seed::Seed};

const MIN_PASSWORD_BYTES: usize = 8;

/// What a stranger would take: a password nobody else knows.
const STRANGERS_PASSWORD: &[u8] = b"a stranger was quicker";

pub(crate) fn gen_seed(node: &mut StoredNode, seed: Seed) -> Result<Value, LndError> {
    no_wallet_yet(node)?;
    let drawn = node.draw_seed("seed", seed);
    let enciphered = seed_words::encipher(&drawn);
    Ok(json!({
        "cipher_seed_mnemonic": seed_words::to_words(&enciphered),
        "enciphered_seed": BASE64.encode(&enciphered),
    }))
}

pub(crate) fn init(
    node: &mut StoredNode,
    counts: &mut Counts,
    seed: Seed,
    body: &[u8],
) -> Result<Value, LndError> {
    let known = [
        "wallet_password",
        "cipher_seed_mnemonic",
        "aezeed_passphrase",
        "recovery_window",
        "channel_backups",
        "stateless_init",
        "extended_master_key",
        "extended_master_key_birthday_timestamp",
        "watch_only",
        "macaroon_root_key",
    ];
    let fields = Fields::parse(body, &known)?;
    let password = fields.bytes("wallet_password")?;
    let (root_key, words) = (fields.bytes("macaroon_root_key")?, fields.strings("cipher_seed_mnemonic")?);
    // Read for its type: the sandbox writes no macaroons to a disk either way.
    fields.bool("stateless_init")?;
    if password.len() < MIN_PASSWORD_BYTES {
        return Err(LndError::unknown("password must have at least 8 characters"));
    }
    let window = fields.int64("recovery_window")?;
    if window < 0 {
        return Err(LndError::unknown(format!("recovery window {window} must be non-negative")));
    }
    let root_key = match (root_key.len(), root_key.try_into()) {
        (0, _) => None,
        (_, Ok(key)) => Some(key),
        (length, Err(_)) => {
            let message = format!("macaroon root key must be exactly 32 bytes, is instead {length}");
            return Err(LndError::unknown(message));
        }
    };
    no_wallet_yet(node)?;
    if words.is_empty() {
        let message = "must either specify cipher seed mnemonic or the extended master key";
        return Err(LndError::unknown(message));
    }
    for not_played in ["aezeed_passphrase", "extended_master_key"] {
        if !fields.string(not_played)?.is_empty() {
            let message = format!("the sandbox plays no {not_played}");
            return Err(LndError { code: Code::Unimplemented, message });
        }
    }
    let secret_key = seed_words::identity(&words)?;
    node.make_wallet(secret_key, &password, root_key, seed);
    counts.created(Service::Lnd, "wallet");
    Ok(json!({"admin_macaroon": BASE64.encode(&node.admin_macaroon)}))
}

pub(crate) fn unlock(node: &mut StoredNode, body: &[u8]) -> Result<Value, LndError> {
    let fields =
        Fields::parse(body, &["wallet_password", "recovery_window", "channel_backups", "stateless_init"])?;
    fields.bool("stateless_init")?;
    node.life.unlock(&fields.bytes("wallet_password")?)?;
    Ok(json!({}))
}

/// Somebody else found the node first.
pub(crate) fn init_by_stranger(
    node: &mut StoredNode,
    counts: &mut Counts,
    seed: Seed,
) -> Result<(), LndError> {
    no_wallet_yet(node)?;
    let drawn = node.draw_seed("stranger", seed);
    let secret_key = seed_words::identity(&seed_words::to_words(&seed_words::encipher(&drawn)))?;
    node.make_wallet(secret_key, STRANGERS_PASSWORD, None, seed);
    counts.created(Service::Lnd, "wallet");
    Ok(())
}

fn no_wallet_yet(node: &StoredNode) -> Result<(), LndError> {
    if node.life.has_wallet() { Err(LndError::unknown("wallet already exists")) } else { Ok(()) }
}
