//! What is said to LND, and what is made of its answers.

use serde_json::{Value, json};
use shared::crypto::Secret;
use shared::lightning::macaroon::mint;
use shared::lightning::{Network, Op};
use shared::lnd::{Seed, WalletKeys, WalletState};
use shared::upstream::{Failure, code};
use testing::Result;

use crate::ground::{RETRY, admin, lnd, verdict};
use crate::server::{Reply, Server};

const PUBKEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn seed() -> Result<Seed> {
    Ok(Seed::new(vec!["abandon".to_owned(); 24])?)
}

async fn answering(answer: &Value) -> Result<Server> {
    Server::start([Reply::json(200, &answer.to_string())]).await
}

fn ops(ops: &[(&str, &str)]) -> Vec<Op> {
    ops.iter().map(|(entity, action)| Op { entity: (*entity).into(), action: (*action).into() }).collect()
}

#[tokio::test]
async fn a_wallet_is_in_one_of_six_states() -> Result<()> {
    for (name, state) in [
        ("WAITING_TO_START", WalletState::WaitingToStart),
        ("NON_EXISTING", WalletState::NonExisting),
        ("LOCKED", WalletState::Locked),
        ("UNLOCKED", WalletState::Unlocked),
        ("RPC_ACTIVE", WalletState::RpcActive),
        ("SERVER_ACTIVE", WalletState::ServerActive),
    ] {
        let server = answering(&json!({"state": name})).await?;
        assert_eq!(lnd(&server.url)?.state().await?, state);
    }
    Ok(())
}

#[tokio::test]
async fn a_seed_has_24_words() -> Result<()> {
    let words = vec!["zoo"; 24];
    let server = answering(&json!({"cipher_seed_mnemonic": words, "enciphered_seed": "AA=="})).await?;
    assert_eq!(lnd(&server.url)?.gen_seed().await?.words(), words);
    assert_eq!(server.lines(), ["GET /v1/genseed"]);
    for bad in
        [vec!["zoo"; 23], vec!["zoo"; 25], vec!["ZOO"; 24], vec!["zo"; 24], vec!["zoo zoo"; 24], vec![]]
    {
        let server = answering(&json!({"cipher_seed_mnemonic": bad})).await?;
        assert_eq!(verdict(lnd(&server.url)?.gen_seed().await), (code::LND_UNEXPECTED_ANSWER, RETRY));
    }
    Ok(())
}

#[test]
fn a_seed_is_written_and_read_back() -> Result<()> {
    let seed = seed()?;
    assert_eq!(Seed::from_text(seed.to_text().expose())?.words(), seed.words());
    assert!(Seed::from_text("abandon").is_err());
    Ok(())
}

#[tokio::test]
async fn a_wallet_is_made_of_our_three_secrets_and_of_nothing_else() -> Result<()> {
    let server = answering(&json!({"admin_macaroon": "AgEDbG5k"})).await?;
    let (seed, password) = (seed()?, Secret::new("correct horse".to_owned()));
    let keys = WalletKeys { seed: &seed, password: &password, root_key: &Secret::new([7; 32]) };
    lnd(&server.url)?.init_wallet(&keys).await?;
    let heard = server.heard().remove(0);
    assert_eq!(heard.line, "POST /v1/initwallet");
    // LND refuses what it does not know.
    let expected = json!({
        "wallet_password": "Y29ycmVjdCBob3JzZQ==", "cipher_seed_mnemonic": vec!["abandon"; 24],
        "stateless_init": true, "macaroon_root_key": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
    });
    assert_eq!(heard.json()?, expected);
    Ok(())
}

#[tokio::test]
async fn an_open_wallet_is_open() -> Result<()> {
    let password = Secret::new("correct horse".to_owned());
    let open = r#"{"code":2,"message":"wallet already unlocked, WalletUnlocker service is no longer available","details":[]}"#;
    for reply in [Reply::json(200, "{}"), Reply::json(500, open)] {
        let server = Server::start([reply]).await?;
        lnd(&server.url)?.unlock(&password).await?;
        assert_eq!(server.lines(), ["POST /v1/unlockwallet"]);
        let expected = json!({"wallet_password": "Y29ycmVjdCBob3JzZQ==", "stateless_init": true});
        assert_eq!(server.heard()[0].json()?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_node_says_who_it_is_to_a_macaroon_of_its_own() -> Result<()> {
    for (name, network) in [
        ("mainnet", Some(Network::Mainnet)),
        ("testnet", Some(Network::Testnet)),
        ("testnet4", Some(Network::Testnet)),
        ("signet", Some(Network::Signet)),
        ("regtest", Some(Network::Regtest)),
        ("simnet", None),
    ] {
        let chains = [json!({"chain": "bitcoin", "network": name})];
        let server = answering(&json!({"identity_pubkey": PUBKEY, "alias": "", "chains": chains})).await?;
        let info = lnd(&server.url)?.info(&admin()).await?;
        assert_eq!((info.pubkey.to_string().as_str(), info.network), (PUBKEY, network));
        let heard = server.heard().remove(0);
        assert_eq!(heard.line, "GET /v1/getinfo");
        assert_eq!(heard.header("grpc-metadata-macaroon"), Some(admin().to_hex().as_str()));
    }
    let server = answering(&json!({"identity_pubkey": "02", "chains": []})).await?;
    assert_eq!(verdict(lnd(&server.url)?.info(&admin()).await), (code::LND_UNEXPECTED_ANSWER, RETRY));
    Ok(())
}

#[tokio::test]
async fn a_macaroon_is_baked_for_what_was_asked_and_nothing_wider() -> Result<()> {
    let asked = [("uri", "/lnrpc.Lightning/AddInvoice"), ("uri", "/lnrpc.Lightning/GetInfo")];
    let baked = |ops: &[(&str, &str)]| mint(&[7; 32], 7001, ops, [1; 16]).to_hex().to_string();
    let server = answering(&json!({"macaroon": baked(&asked)})).await?;
    let macaroon = lnd(&server.url)?.bake(&admin(), &ops(&asked), 7001).await?;
    assert_eq!(*macaroon.to_hex(), baked(&asked));
    let heard = server.heard().remove(0);
    assert_eq!(heard.line, "POST /v1/macaroon");
    let permissions = asked.map(|(entity, action)| json!({"entity": entity, "action": action}));
    assert_eq!(heard.json()?, json!({"permissions": permissions, "root_key_id": "7001"}));

    let wider = [asked.as_slice(), &[("onchain", "write")]].concat();
    for answer in [
        baked(&wider),
        baked(&asked[..1]),
        baked(&[("onchain", "write"), asked[0]]),
        "zz".to_owned(),
        String::new(),
    ] {
        let server = answering(&json!({"macaroon": answer})).await?;
        let outcome = lnd(&server.url)?.bake(&admin(), &ops(&asked), 7001).await;
        assert_eq!(verdict(outcome), (code::LND_UNEXPECTED_ANSWER, RETRY));
    }
    Ok(())
}

#[tokio::test]
async fn root_keys_are_listed_and_revoked_whether_they_are_there_or_not() -> Result<()> {
    let server = answering(&json!({"root_key_ids": ["0", "7001", "18446744073709551615"]})).await?;
    assert_eq!(lnd(&server.url)?.root_key_ids(&admin()).await?, [0, 7001, u64::MAX]);
    assert_eq!(server.lines(), ["GET /v1/macaroon/ids"]);
    let server = answering(&json!({"root_key_ids": ["-1"]})).await?;
    assert_eq!(verdict(lnd(&server.url)?.root_key_ids(&admin()).await), (code::LND_UNEXPECTED_ANSWER, RETRY));
    for deleted in [true, false] {
        let server = answering(&json!({"deleted": deleted})).await?;
        lnd(&server.url)?.revoke(&admin(), 7001).await?;
        assert_eq!(server.lines(), ["DELETE /v1/macaroon/7001"]);
    }
    Ok(())
}

#[tokio::test]
async fn refusals_are_told_apart_by_their_words_for_nearly_all_are_500() -> Result<()> {
    let later = RETRY;
    for (status, grpc, message, expected, failure, tries) in [
        (500, 2, "wallet already exists", code::LND_WALLET_EXISTS, Failure::Final, 1),
        (
            500,
            2,
            "wallet already unlocked, WalletUnlocker service is no longer available",
            code::LND_WALLET_EXISTS,
            Failure::Final,
            1,
        ),
        (500, 2, "wallet locked, unlock it to enable full RPC access", code::LND_WALLET_LOCKED, later, 1),
        (500, 2, "wallet not created, create one to enable full RPC access", code::LND_NOT_READY, later, 1),
        (500, 2, "waiting to start, RPC services not available", code::LND_NOT_READY, later, 1),
        (
            500,
            2,
            "the RPC server is in the process of starting up, but not yet ready to accept calls",
            code::LND_NOT_READY,
            later,
            1,
        ),
        (500, 2, "invalid passphrase for master public key", code::LND_PASSWORD_REFUSED, Failure::Final, 1),
        (500, 2, "expected 1 macaroon, got 0", code::LND_MACAROON_REFUSED, Failure::Final, 1),
        (500, 2, "encoding/hex: invalid byte: U+002B '+'", code::LND_MACAROON_REFUSED, Failure::Final, 1),
        (
            500,
            2,
            "verification failed: signature mismatch after caveat verification",
            code::LND_MACAROON_REFUSED,
            Failure::Final,
            1,
        ),
        (
            500,
            2,
            "cannot get macaroon: root key with id 0 doesn't exist",
            code::LND_MACAROON_REFUSED,
            Failure::Final,
            1,
        ),
        (500, 2, "permission denied", code::LND_MACAROON_REFUSED, Failure::Final, 1),
        (
            500,
            2,
            "caveat \"time-before x\" not satisfied: macaroon has expired",
            code::LND_MACAROON_REFUSED,
            Failure::Final,
            1,
        ),
        (
            500,
            2,
            "caveat \"ipaddr x\" not satisfied: macaroon locked to different IP address",
            code::LND_MACAROON_REFUSED,
            Failure::Final,
            1,
        ),
        (401, 16, "who are you", code::LND_MACAROON_REFUSED, Failure::Final, 1),
        (404, 5, "unable to locate invoice", code::LND_NOT_FOUND, Failure::Final, 1),
        (400, 3, "proto: syntax error", code::LND_REJECTED, Failure::Final, 1),
        (501, 12, "Method Not Allowed", code::LND_REJECTED, Failure::Final, 1),
        (500, 2, "context deadline exceeded", code::LND_UNAVAILABLE, later, 3),
        (503, 14, "connection refused", code::LND_UNAVAILABLE, later, 3),
    ] {
        let body = json!({"code": grpc, "message": message, "details": []}).to_string();
        let server = Server::start([Reply::json(status, &body)]).await?;
        let error = lnd(&server.url)?.info(&admin()).await.unwrap_err();
        assert_eq!((error.code, error.failure), (expected, failure), "{message}");
        assert_eq!(server.heard().len(), tries, "{message}");
        assert_eq!(error.counts_against_provider(), expected == code::LND_UNAVAILABLE, "{message}");
        assert!(code::ALL.contains(&error.code));
    }
    Ok(())
}

/// What stands before a node that has no wallet yet is not to be taken for one that has somebody else's.
#[tokio::test]
async fn a_refusal_that_lnd_did_not_write_is_not_its_word() -> Result<()> {
    for status in [401, 403, 404] {
        for body in [
            "<html>",
            "",
            "{}",
            r#"{"message":"Forbidden"}"#,
            r#"{"message":"permission denied"}"#,
            r#"{"error":"permission denied"}"#,
            r#"{"code":403,"message":"permission denied"}"#,
            r#"{"code":"7","message":"permission denied"}"#,
            r#"{"code":7}"#,
        ] {
            let server = Server::start([Reply::json(status, body)]).await?;
            let error = lnd(&server.url)?.info(&admin()).await.unwrap_err();
            assert_eq!((error.code, error.failure), (code::LND_UNEXPECTED_ANSWER, RETRY), "{status} {body}");
            assert!(error.counts_against_provider(), "{status} {body}");
        }
    }
    let server = Server::start([Reply::json(500, r#"{"message":"wallet already exists"}"#)]).await?;
    assert_eq!(verdict(lnd(&server.url)?.gen_seed().await), (code::LND_UNAVAILABLE, RETRY));
    Ok(())
}

#[tokio::test]
async fn an_old_lnd_is_understood_too() -> Result<()> {
    let body = r#"{"error":"permission denied","code":2}"#;
    let server = Server::start([Reply::json(500, body)]).await?;
    assert_eq!(verdict(lnd(&server.url)?.info(&admin()).await), (code::LND_MACAROON_REFUSED, Failure::Final));
    Ok(())
}
