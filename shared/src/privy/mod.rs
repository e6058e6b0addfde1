//! Privy's tokens: who somebody is, proven to Privy and signed by it.
//!
//! ```text
//! mod       the app, and what a good pair of tokens says
//!   ├─ token    one token: form, signature, claims        refusal     why it is not good
//!   └─ keys     the app's key from its secret, or its keys as Privy publishes them
//! ```
//!
//! The access token says who; the identity token, which apps may send along, says what else is known of them. Nothing in
//! a token's header decides how it is checked: the algorithm is ES256, and the key the app's.

mod keys;
mod refusal;
mod token;

use std::fmt;

use serde::Deserialize;
use time::OffsetDateTime;

pub use refusal::{PrivyRefusal, Which, Why};

use self::keys::{AppKey, Published};
use self::token::{AccessClaims, IdentityClaims};
use crate::config::Config;
use crate::secrets::{SecretError, SecretHandle};
use crate::upstream::{BaseUrl, Upstream};

const LIVE: &str = "https://api.privy.io";
const MAX_APP_ID_CHARS: usize = 64;

/// The secret document `satchel/privy`.
#[derive(Deserialize)]
pub struct AppDocument {
    app_id: String,
    /// Public, and here because it belongs to the app: an EC key in PEM, whatever Privy's pages call it.
    verification_key: Option<String>,
}

struct App {
    id: String,
    key: Option<AppKey>,
}

impl TryFrom<AppDocument> for App {
    type Error = &'static str;

    fn try_from(document: AppDocument) -> Result<Self, Self::Error> {
        let AppDocument { app_id: id, verification_key } = document;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || id.len() > MAX_APP_ID_CHARS || !id.bytes().all(plain) {
            return Err("has an app_id that is not letters, digits, - and _");
        }
        let key = verification_key.filter(|pem| !pem.is_empty());
        Ok(Self { id, key: key.as_deref().map(AppKey::from_pem).transpose()? })
    }
}

/// Privy, and our app there.
#[derive(Clone)]
pub struct Privy {
    app: SecretHandle<App>,
    published: Published,
}

/// Who somebody is at Privy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivyUser {
    /// `did:privy:…`.
    pub id: String,
    /// Privy's session, not ours.
    pub session_id: String,
    pub expires_at: OffsetDateTime,
    /// Of the identity token, as Privy wrote it.
    pub email: Option<String>,
    /// Whether Privy has seen that the mailbox is theirs.
    pub email_verified: bool,
    pub wallets: Vec<PrivyWallet>,
}

/// A wallet somebody has proven to Privy to be theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivyWallet {
    pub address: String,
    /// `ethereum`, `solana`, …
    pub chain: String,
}

/// Why nobody is known after it.
#[derive(Debug)]
pub enum PrivyError {
    Refused(PrivyRefusal),
    /// The keys could not be had.
    Unavailable(String),
    Secret(SecretError),
}

impl fmt::Display for PrivyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unavailable(why) => write!(f, "Privy's keys could not be had: {why}"),
            Self::Secret(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for PrivyError {}

impl From<PrivyRefusal> for PrivyError {
    fn from(refusal: PrivyRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Privy {
    /// Reads `PRIVY_SECRET` and `PRIVY_URL`; without the first there is no Privy.
    pub fn wire(config: &mut Config, upstream: &Upstream) -> Option<Self> {
        let app = config.optional_secret::<AppDocument, App>("PRIVY_SECRET")?;
        let url = config.optional("PRIVY_URL").unwrap_or_else(|| LIVE.to_owned());
        let base = BaseUrl::read(config, "PRIVY_URL", &url, upstream.scheme())?;
        Some(Self { app, published: Published::new(upstream.clone(), base) })
    }

    /// Who sent them. An identity token adds to the access token, and never stands for it.
    pub async fn verify(
        &self,
        access_token: &str,
        identity_token: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<PrivyUser, PrivyError> {
        let app = self.app.get().await.map_err(PrivyError::Secret)?;
        let access: AccessClaims = self.read(&app, Which::Access, access_token, now).await?;
        let mut user = access.user()?;
        if let Some(identity_token) = identity_token {
            let identity: IdentityClaims = self.read(&app, Which::Identity, identity_token, now).await?;
            identity.add_to(&mut user)?;
        }
        Ok(user)
    }

    async fn read<C: token::Claims>(
        &self,
        app: &App,
        which: Which,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<C, PrivyError> {
        let refused = |why| PrivyRefusal { which, why };
        let kid = token::key_id(token).map_err(refused)?;
        let key = match &app.key {
            Some(key) => key.clone(),
            None => {
                self.published.find(&app.id, kid.as_deref(), now).await?.ok_or(refused(Why::UnknownKey))?
            }
        };
        Ok(token::read(token, &key, &app.id, now).map_err(refused)?)
    }
}
