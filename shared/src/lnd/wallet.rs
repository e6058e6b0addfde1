use std::fmt;

use data_encoding::BASE64;
use http::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Lnd, answer};
use crate::crypto::Secret;
use crate::upstream::{Answer, Call, Trouble, UpstreamError, code};

/// An aezeed mnemonic, LND's own kind: no BIP-39 phrase has this many words and means the same.
pub const SEED_WORDS: usize = 24;
const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 3..=8;

/// What `GET /v1/state` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WalletState {
    WaitingToStart,
    NonExisting,
    Locked,
    Unlocked,
    RpcActive,
    ServerActive,
}

/// The words a wallet is made from.
#[derive(Debug, Clone)]
pub struct Seed(Secret<Vec<String>>);

/// Not 24 words. Says nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASeed;

impl fmt::Display for NotASeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a seed has 24 words of lower-case letters")
    }
}

impl std::error::Error for NotASeed {}

impl Seed {
    pub fn new(words: Vec<String>) -> Result<Self, NotASeed> {
        let words = Secret::new(words);
        let is_word = |word: &String| {
            WORD_LENGTHS.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())
        };
        let is_seed = words.expose().len() == SEED_WORDS && words.expose().iter().all(is_word);
        if is_seed { Ok(Self(words)) } else { Err(NotASeed) }
    }

    /// Reads [`Seed::to_text`].
    pub fn from_text(text: &str) -> Result<Self, NotASeed> {
        Self::new(text.split(' ').map(ToOwned::to_owned).collect())
    }

    /// The words with blanks between them.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(self.0.expose().join(" "))
    }

    pub fn words(&self) -> &[String] {
        self.0.expose()
    }
}

/// All a wallet is made of. With the same three it is the same wallet, and its admin macaroon can be minted.
#[derive(Debug, Clone, Copy)]
pub struct WalletKeys<'a> {
    pub seed: &'a Seed,
    /// At least eight bytes, or LND refuses it.
    pub password: &'a Secret<String>,
    /// Of the macaroons of root key id 0.
    pub root_key: &'a Secret<[u8; 32]>,
}

#[derive(Deserialize)]
struct State {
    state: WalletState,
}

#[derive(Deserialize)]
struct Generated {
    cipher_seed_mnemonic: Vec<String>,
}

#[derive(Serialize)]
struct InitWallet<'a> {
    wallet_password: &'a str,
    cipher_seed_mnemonic: &'a [String],
    stateless_init: bool,
    macaroon_root_key: &'a str,
}

#[derive(Serialize)]
struct UnlockWallet<'a> {
    wallet_password: &'a str,
    stateless_init: bool,
}

impl Lnd {
    pub async fn state(&self) -> Result<WalletState, UpstreamError> {
        let call = self.call(Method::GET, "/v1/state");
        self.send(call, |answer| answer.json::<State>().map(|state| state.state)).await
    }

    /// A new seed each time; the node keeps none until it is given one.
    pub async fn gen_seed(&self) -> Result<Seed, UpstreamError> {
        let call = self.call(Method::GET, "/v1/genseed");
        self.secretive(call, |answer| {
            let words = answer.json::<Generated>()?.cipher_seed_mnemonic;
            Seed::new(words).map_err(|error| answer.unexpected(error.to_string()))
        })
        .await
    }

    /// Gives the node its wallet. Whether it took this one or had another, `LND_WALLET_EXISTS`, shows when a macaroon
    /// minted from the root key is let in.
    ///
    /// The answer holds the admin macaroon, and nobody needs it: it can be minted.
    pub async fn init_wallet(&self, keys: &WalletKeys<'_>) -> Result<(), UpstreamError> {
        let password = base64(keys.password.expose().as_bytes());
        let root_key = base64(keys.root_key.expose());
        let request = InitWallet {
            wallet_password: &password,
            cipher_seed_mnemonic: keys.seed.words(),
            stateless_init: true,
            macaroon_root_key: &root_key,
        };
        self.secretive(self.call(Method::POST, "/v1/initwallet").json(&request), |_| Ok(())).await
    }

    /// Opens the wallet after a restart; one that is open stays so.
    pub async fn unlock(&self, password: &Secret<String>) -> Result<(), UpstreamError> {
        let password = base64(password.expose().as_bytes());
        let request = UnlockWallet { wallet_password: &password, stateless_init: true };
        let call = self.call(Method::POST, "/v1/unlockwallet").json(&request);
        match self.secretive(call, |_| Ok(())).await {
            Err(error) if error.is(code::LND_WALLET_EXISTS) => Ok(()),
            other => other,
        }
    }

    /// As `send`, but what the node said is not kept: it may repeat a word of a seed, or a password.
    async fn secretive<T>(
        &self,
        call: Call,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        let read = |answer: &Answer| {
            let status = answer.status.as_u16();
            answer::success(answer)
                .map_err(|trouble| Trouble { detail: format!("{status}: not repeated"), ..trouble })
                .and_then(&read)
        };
        self.upstream.send(Some(&self.transport), &call, read).await
    }
}

fn base64(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(secret))
}
