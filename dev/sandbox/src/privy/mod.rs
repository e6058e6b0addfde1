//! Privy at `/privy/…`: an app's keys as they are published, and tokens made with them.
//!
//! An access token says who and in which session; an identity token, of the same key, says what they have linked.

pub(crate) mod control;
mod key;

use std::{fmt, sync::Arc};

use hyper::{Method, Request, StatusCode, body::Bytes, http::request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};

use self::key::Key;
use crate::{
    clock,
    reply::Reply,
    seed::Seed,
    world::{World, lock},
};

const PREFIX: &str = "/privy";
const TOKEN_LIVES: i64 = 3_600;

/// The app there is.
pub const APP_ID: &str = "cmsandbox0000app0000000001";

pub(crate) struct PrivyState {
    key: Key,
    rotations: u32,
}

impl PrivyState {
    pub(crate) fn new(seed: Seed) -> anyhow::Result<Self> {
        Ok(Self { key: Key::new(seed, 0)?, rotations: 0 })
    }
}

/// Somebody with an account at Privy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivyPerson {
    /// What stands behind `did:privy:`.
    pub name: String,
    #[serde(default)]
    pub email: Option<String>,
    /// An address of Ethereum's.
    #[serde(default)]
    pub wallet: Option<String>,
}

impl PrivyPerson {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    #[must_use]
    pub fn email(self, email: &str) -> Self {
        Self { email: Some(email.to_owned()), ..self }
    }

    #[must_use]
    pub fn wallet(self, address: &str) -> Self {
        Self { wallet: Some(address.to_owned()), ..self }
    }

    fn id(&self) -> String {
        format!("did:privy:{}", self.name)
    }

    /// As they stand in an identity token: JSON within a string.
    fn linked_accounts(&self, at: i64) -> String {
        let email = self.email.iter().map(|address| json!({"type": "email", "address": address, "lv": at}));
        let wallet = self.wallet.iter().map(|address| {
            json!({
                "type": "wallet",
                "address": address,
                "chain_type": "ethereum",
                "wallet_client_type": "metamask",
                "lv": at,
            })
        });
        email.chain(wallet).collect::<Value>().to_string()
    }
}

/// What an app gets for somebody who signed in. It prints no token.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivyTokens {
    /// `did:privy:…`.
    pub id: String,
    pub access: String,
    pub identity: String,
}

impl fmt::Debug for PrivyTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivyTokens").field(&self.id).finish()
    }
}

/// Privy as a test sees it.
#[derive(Clone)]
pub struct Privy(pub(crate) Arc<World>);

impl Privy {
    /// What `PRIVY_URL` is to be.
    pub fn url(&self) -> String {
        format!("{}{PREFIX}", self.0.base_url)
    }

    /// They sign in now.
    pub fn tokens(&self, person: &PrivyPerson) -> PrivyTokens {
        self.tokens_at(person, clock::now().unix_timestamp())
    }

    /// They signed in then, in seconds since 1970.
    pub fn tokens_at(&self, person: &PrivyPerson, issued_at: i64) -> PrivyTokens {
        let header = self.header();
        let identity = self.sign(&header, &self.identity_claims(person, issued_at));
        let access = self.sign(&header, &self.claims(person, issued_at));
        PrivyTokens { id: person.id(), access, identity }
    }

    /// What the access token of somebody says.
    pub fn claims(&self, person: &PrivyPerson, issued_at: i64) -> Value {
        let session = self.0.seed.uuid(&format!("privy session {} {issued_at}", person.name));
        json!({
            "iss": "privy.io",
            "aud": APP_ID,
            "sub": person.id(),
            "sid": session,
            "iat": issued_at,
            "exp": issued_at + TOKEN_LIVES,
        })
    }

    /// What their identity token says.
    pub fn identity_claims(&self, person: &PrivyPerson, issued_at: i64) -> Value {
        json!({
            "iss": "privy.io",
            "aud": APP_ID,
            "sub": person.id(),
            "cr": issued_at.to_string(),
            "linked_accounts": person.linked_accounts(issued_at),
            "iat": issued_at,
            "exp": issued_at + TOKEN_LIVES,
        })
    }

    /// The header of every token the app's key signs.
    pub fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "JWT", "kid": self.key(|key| key.id.clone()) })
    }

    /// A token of this header and these claims, whatever they say, signed with the app's key.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.key(|key| key.token(header, claims))
    }

    /// The app's key in PEM, as Privy's pages show it.
    pub fn verification_key(&self) -> String {
        self.key(Key::pem)
    }

    /// From now on there is another key, and the old one is not published any more.
    pub fn rotate(&self) {
        let mut state = lock(&self.0.privy);
        state.rotations += 1;
        // A seed that makes no key is one in 2^128.
        if let Ok(key) = Key::new(self.0.seed, state.rotations) {
            state.key = key;
        }
    }

    fn key<T>(&self, act: impl FnOnce(&Key) -> T) -> T {
        act(&lock(&self.0.privy).key)
    }
}

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.uri.path().strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let app = path.strip_prefix("/v1/apps/").and_then(|rest| rest.strip_suffix("/jwks.json"));
    if request.method() != Method::GET || app != Some(APP_ID) {
        return Reply::json(StatusCode::NOT_FOUND, &json!({ "error": "Not found" }));
    }
    Reply::json(StatusCode::OK, &json!({ "keys": [lock(&world.privy).key.jwk()] }))
}
