//! Calls that carry an API key.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;

use super::call::{Answer, Call};
use super::error::{Fate, Trouble, UpstreamError};
use super::{Provider, Repeat, Upstream};
use crate::crypto::Secret;
use crate::secrets::{SecretError, SecretHandle};

/// Longer than any provider's key.
const MAX_KEY_LENGTH: usize = 512;

/// The secret documents `satchel/btcpay`, `satchel/voltage` and `satchel/stripe`.
#[derive(Deserialize)]
pub struct ApiKeyDocument {
    api_key: Secret<String>,
}

/// What a provider knows us by.
#[derive(Clone)]
pub struct ApiKey(Secret<String>);

impl ApiKey {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

impl TryFrom<ApiKeyDocument> for ApiKey {
    type Error = &'static str;

    fn try_from(document: ApiKeyDocument) -> Result<Self, Self::Error> {
        let key = document.api_key;
        match key.expose().as_bytes() {
            [] => Err("has no api_key"),
            bytes if bytes.len() > MAX_KEY_LENGTH => Err("has an api_key of more than 512 characters"),
            bytes if !bytes.iter().all(u8::is_ascii_graphic) => {
                Err("has an api_key that is not printable ASCII without blanks")
            }
            _ => Ok(Self(key)),
        }
    }
}

/// A provider that is entered with a key from Secrets Manager.
#[derive(Clone)]
pub(crate) struct Keyed {
    pub(crate) provider: Provider,
    pub(crate) upstream: Upstream,
    pub(crate) key: SecretHandle<ApiKey>,
    /// Puts the key where the provider looks for it.
    pub(crate) sign: fn(Call, &ApiKey) -> Call,
    /// The codes of a key that is not accepted, and of one that cannot be fetched.
    pub(crate) refused: &'static str,
    pub(crate) unavailable: &'static str,
}

impl Keyed {
    pub(crate) fn until(&self, deadline: Instant) -> Self {
        Self { upstream: self.upstream.until(deadline), ..self.clone() }
    }

    /// Makes the call with the key at hand; when that is refused, once more with the key of this moment, for it may
    /// have been rotated. What was refused for its key was not done, so this is safe with every call.
    pub(crate) async fn send<T>(
        &self,
        call: Call,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        let key = self.in_time(self.key.get()).await?;
        let sent = self.upstream.send(None, &(self.sign)(call.clone(), &key), &read).await;
        let Err(error) = sent else { return sent };
        if error.code != self.refused {
            return Err(error);
        }
        match self.in_time(self.key.get_fresh()).await {
            Ok(fresh) if fresh.expose() != key.expose() => {
                self.upstream.send(None, &(self.sign)(call, &fresh), &read).await
            }
            // The same key, or none to be had: what the provider said stands.
            _ => Err(error),
        }
    }

    /// Fetching a key takes from the caller's time, too.
    async fn in_time(
        &self,
        fetching: impl Future<Output = Result<Arc<ApiKey>, SecretError>>,
    ) -> Result<Arc<ApiKey>, UpstreamError> {
        let fetched = match self.upstream.deadline {
            None => Ok(fetching.await),
            Some(deadline) => tokio::time::timeout_at(deadline, fetching).await,
        };
        let (fate, detail) = match fetched {
            Ok(Ok(key)) => return Ok(key),
            Ok(Err(error @ SecretError::Unavailable { .. })) => (Fate::NotYet, error.to_string()),
            Ok(Err(error @ SecretError::Invalid { .. })) => (Fate::Refused, error.to_string()),
            Err(_) => (Fate::NotYet, String::from("no time was left to fetch the key")),
        };
        let trouble = Trouble { code: self.unavailable, fate, detail, blames: Some(false) };
        Err(trouble.into_error(self.provider, Repeat::Unsafe, &[]))
    }
}
