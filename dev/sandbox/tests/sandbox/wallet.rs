//! From a node without a wallet to one that serves, and back to a locked one.

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};
use sandbox::{
    Sandbox,
    lnd::{DEFAULT_PASSWORD, Node, NodeOptions, StartUp, WalletState},
};
use serde_json::{Value, json};

use crate::client::{call, lnd, lnd_error, sandbox};

const UNLOCKED: &str = "wallet already unlocked, WalletUnlocker service is no longer available";
const PASSWORD: &str = "correct horse";

async fn fresh() -> anyhow::Result<(Sandbox, Node)> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("fresh", NodeOptions { initialised: false, secret_key: None })?;
    Ok((sandbox, node))
}

async fn words(node: &Node) -> anyhow::Result<Value> {
    let (status, seed) = lnd(node, "GET", "/v1/genseed", "", "").await?;
    assert_eq!(status, 200, "{seed}");
    Ok(seed["cipher_seed_mnemonic"].clone())
}

fn init(words: &Value) -> Value {
    json!({
        "wallet_password": BASE64.encode(PASSWORD.as_bytes()),
        "cipher_seed_mnemonic": words,
        "stateless_init": true,
        "macaroon_root_key": BASE64.encode(&[9; 32]),
    })
}

async fn state(node: &Node) -> anyhow::Result<String> {
    let (_, answer) = call("GET", &format!("{}/v1/state", node.base_url), &[], "").await?;
    Ok(answer["state"].as_str().unwrap_or_default().to_owned())
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

/// A macaroon of these bytes in front of its signature, made from a root key as any client may.
fn mint(root_key: &[u8], unsigned: &[u8], identifier: &[u8]) -> String {
    let key = hmac_sha256(b"macaroons-key-generator", root_key);
    HEXLOWER.encode(&[unsigned, &hmac_sha256(&key, identifier)].concat())
}

#[tokio::test]
async fn a_wallet_is_made_once_and_the_node_serves() -> anyhow::Result<()> {
    let (sandbox, node) = fresh().await?;
    assert_eq!(state(&node).await?, "NON_EXISTING");
    let words = words(&node).await?;
    assert_eq!(words.as_array().map(Vec::len), Some(24));
    let (status, made) = lnd(&node, "POST", "/v1/initwallet", "", &init(&words).to_string()).await?;
    assert_eq!(status, 200, "{made}");
    let admin = BASE64.decode(made["admin_macaroon"].as_str().unwrap_or_default().as_bytes())?;
    let admin = HEXLOWER.encode(&admin);
    assert_eq!(state(&node).await?, "SERVER_ACTIVE");
    let (status, info) = lnd(&node, "GET", "/v1/getinfo", &admin, "").await?;
    let owned = sandbox.nodes().get("fresh").expect("it is there");
    assert_eq!((status, &info["identity_pubkey"]), (200, &json!(owned.pubkey)));
    assert_eq!(owned.admin_macaroon, admin);
    assert_ne!(owned.pubkey, node.pubkey, "the key comes from the words");
    for (method, path) in [("GET", "/v1/genseed"), ("POST", "/v1/initwallet"), ("POST", "/v1/unlockwallet")] {
        assert_eq!(lnd(&node, method, path, "", "{}").await?, (500, lnd_error(2, UNLOCKED)), "{path}");
    }
    let wallets = sandbox.objects().into_iter().find(|o| o.kind == "wallet").map(|o| o.created);
    assert_eq!(wallets, Some(1));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_macaroon_minted_from_the_root_key_that_was_given_verifies() -> anyhow::Result<()> {
    let (sandbox, node) = fresh().await?;
    let body = init(&words(&node).await?).to_string();
    let (_, made) = lnd(&node, "POST", "/v1/initwallet", "", &body).await?;
    let admin = BASE64.decode(made["admin_macaroon"].as_str().unwrap_or_default().as_bytes())?;
    // 02, location "lnd", the identifier's type and two bytes of length; at the end two empty bytes and 06 20.
    let (start, end) = (9, admin.len() - 36);
    let mut unsigned = admin[..admin.len() - 32].to_vec();
    assert_eq!(mint(&[9; 32], &unsigned, &unsigned[start..end]), HEXLOWER.encode(&admin));
    // Behind the version and the nonce's two bytes: a nonce LND never drew.
    unsigned[start + 3..start + 19].fill(0x5a);
    let minted = mint(&[9; 32], &unsigned, &unsigned[start..end]);
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &minted, "").await?.0, 200);
    let other = mint(&[8; 32], &unsigned, &unsigned[start..end]);
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &other, "").await?.0, 500);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_same_words_make_the_same_node() -> anyhow::Result<()> {
    let (sandbox, first) = fresh().await?;
    let second = sandbox.nodes().create("second", NodeOptions { initialised: false, secret_key: None })?;
    let words = words(&first).await?;
    assert_ne!(words, self::words(&first).await?, "each call draws its own");
    let mut keys = Vec::new();
    for node in [&first, &second] {
        let (status, _) = lnd(node, "POST", "/v1/initwallet", "", &init(&words).to_string()).await?;
        assert_eq!(status, 200);
        keys.push(sandbox.nodes().get(&node.name).map(|node| node.pubkey));
    }
    assert_eq!(keys[0], keys[1]);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_become_a_wallet_is_refused_in_lnd_s_words() -> anyhow::Result<()> {
    let (sandbox, node) = fresh().await?;
    let good = init(&words(&node).await?);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let mut swapped = good["cipher_seed_mnemonic"].clone();
    swapped[0] = good["cipher_seed_mnemonic"][1].clone();
    let mut foreign = good["cipher_seed_mnemonic"].clone();
    foreign[23] = json!("Zebra");
    let short = BASE64.encode(b"1234567");
    let key = BASE64.encode(&[9; 31]);
    for (body, status, code, message) in [
        (with("wallet_password", json!(short)), 500, 2, "password must have at least 8 characters"),
        (with("recovery_window", json!(-1)), 500, 2, "recovery window -1 must be non-negative"),
        (
            with("macaroon_root_key", json!(key)),
            500,
            2,
            "macaroon root key must be exactly 32 bytes, is instead 31",
        ),
        (
            with("cipher_seed_mnemonic", json!([])),
            500,
            2,
            "must either specify cipher seed mnemonic or the extended master key",
        ),
        (
            with("cipher_seed_mnemonic", json!(["bat", "ban"])),
            500,
            2,
            "wrong cipher seed mnemonic length: got 2 words, expecting 24 words",
        ),
        (with("cipher_seed_mnemonic", swapped), 500, 2, "mnemonic phrase checksum doesn't match"),
        (
            with("cipher_seed_mnemonic", foreign),
            500,
            2,
            "word Zebra isn't a part of default word list (index=23)",
        ),
    ] {
        let answer = lnd(&node, "POST", "/v1/initwallet", "", &body.to_string()).await?;
        assert_eq!(answer, (status, lnd_error(code, message)));
    }
    let unknown = with("password", json!("x")).to_string();
    let (status, answer) = lnd(&node, "POST", "/v1/initwallet", "", &unknown).await?;
    assert_eq!((status, &answer["code"]), (400, &json!(3)), "an unknown field: {answer}");
    let (_, not_found) = lnd(&node, "POST", "/v1/unlockwallet", "", "{}").await?;
    assert_eq!(not_found["message"], "wallet not found");
    assert_eq!(state(&node).await?, "NON_EXISTING");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_restarted_node_is_locked_until_its_password_comes() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    node.restart();
    assert_eq!(state(&node).await?, "LOCKED");
    let locked = lnd_error(2, "wallet locked, unlock it to enable full RPC access");
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &node.admin_macaroon, "").await?, (500, locked));
    let exists = lnd_error(2, "wallet already exists");
    assert_eq!(lnd(&node, "GET", "/v1/genseed", "", "").await?, (500, exists.clone()));
    let again = json!({"wallet_password": BASE64.encode(b"12345678")}).to_string();
    assert_eq!(lnd(&node, "POST", "/v1/initwallet", "", &again).await?, (500, exists));
    let wrong = lnd_error(2, "invalid passphrase for master public key");
    assert_eq!(lnd(&node, "POST", "/v1/unlockwallet", "", &again).await?, (500, wrong));
    let right =
        json!({"wallet_password": BASE64.encode(DEFAULT_PASSWORD.as_bytes()), "stateless_init": true});
    assert_eq!(lnd(&node, "POST", "/v1/unlockwallet", "", &right.to_string()).await?, (200, json!({})));
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &node.admin_macaroon, "").await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_node_that_starts_up_goes_through_lnd_s_states() -> anyhow::Result<()> {
    let (sandbox, node) = fresh().await?;
    node.set_start_up(StartUp { unlocked: 2, rpc_active: 1 });
    let body = init(&words(&node).await?).to_string();
    assert_eq!(lnd(&node, "POST", "/v1/initwallet", "", &body).await?.0, 200);
    let admin = sandbox.nodes().get("fresh").map(|node| node.admin_macaroon).unwrap_or_default();
    assert_eq!(node.state(), Some(WalletState::Unlocked), "a handle's look uses nothing up");
    assert_eq!(state(&node).await?, "UNLOCKED");
    let starting = "the RPC server is in the process of starting up, but not yet ready to accept calls";
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &admin, "").await?, (500, lnd_error(2, starting)));
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &admin, "").await?.0, 200, "served while RPC_ACTIVE");
    assert_eq!(state(&node).await?, "RPC_ACTIVE");
    assert_eq!(state(&node).await?, "SERVER_ACTIVE");
    node.set_waiting_to_start(true);
    assert_eq!(state(&node).await?, "WAITING_TO_START");
    let waiting = lnd_error(2, "waiting to start, RPC services not available");
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &admin, "").await?, (500, waiting.clone()));
    assert_eq!(lnd(&node, "GET", "/v1/genseed", "", "").await?, (500, waiting));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stranger_who_was_first_owns_the_node() -> anyhow::Result<()> {
    let (sandbox, node) = fresh().await?;
    let words = words(&node).await?;
    let stranger = format!("{}/sandbox/nodes/fresh/stranger", sandbox.base_url());
    assert_eq!(call("POST", &stranger, &[], "").await?, (200, json!({})));
    let late = lnd(&node, "POST", "/v1/initwallet", "", &init(&words).to_string()).await?;
    assert_eq!(late, (500, lnd_error(2, UNLOCKED)));
    let mut identifier = vec![3, 10, 16];
    identifier.extend([1; 16]);
    identifier.extend(b"\x12\x010\x1a\x0c\x0a\x04info\x12\x04read");
    let mut unsigned = b"\x02\x01\x03lnd\x02".to_vec();
    unsigned.push(u8::try_from(identifier.len())?);
    unsigned.extend(&identifier);
    unsigned.extend(b"\0\0\x06\x20");
    let ours = mint(&[9; 32], &unsigned, &identifier);
    let refused = lnd_error(2, "verification failed: signature mismatch after caveat verification");
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &ours, "").await?, (500, refused));
    assert_eq!(call("POST", &stranger, &[], "").await?.0, 400, "there is a wallet already");
    node.restart();
    let exists = lnd_error(2, "wallet already exists");
    let late = lnd(&node, "POST", "/v1/initwallet", "", &init(&words).to_string()).await?;
    assert_eq!(late, (500, exists), "what LND says while a foreign wallet is locked");
    sandbox.stop().await;
    Ok(())
}
