//! The app's keys: one in its secret, or those that Privy publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use super::PrivyError;
use crate::upstream::{Asked, BaseUrl, Repeat, Upstream};

/// As Privy's own library has it.
const KEPT_FOR: Duration = Duration::minutes(60);
/// A key nobody knows may be new, or invented: it makes us look no more often than this.
const LOOKED_AT_MOST_EVERY: Duration = Duration::minutes(10);
/// How long kept keys are used before Privy, found away, is asked again.
const TRY_AGAIN_AFTER: Duration = Duration::seconds(30);
/// How long somebody waits for newer keys than those there are.
const WAIT_WITH_KEYS: std::time::Duration = std::time::Duration::from_secs(2);
const MAX_KEYS: usize = 16;

/// An elliptic curve key that signatures are checked with.
#[derive(Clone)]
pub(super) struct AppKey(Arc<DecodingKey>);

impl AppKey {
    /// Out of an environment it comes with its line ends written out.
    pub(super) fn from_pem(pem: &str) -> Result<Self, &'static str> {
        let pem = pem.replace("\\n", "\n");
        let key = DecodingKey::from_ec_pem(pem.trim().as_bytes());
        key.map(|key| Self(Arc::new(key))).map_err(|_| "has a verification_key that is not an EC key in PEM")
    }

    /// `None` for another kind of key, which may be there for another use.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let AlgorithmParameters::EllipticCurve(curve) = &jwk.algorithm else { return None };
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| curve.curve == EllipticCurve::P256)?;
        Some(Self(Arc::new(key)))
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.0
    }
}

/// The keys as Privy publishes them, kept for an hour. Clones share them.
#[derive(Clone)]
pub(super) struct Published {
    upstream: Upstream,
    base: BaseUrl,
    kept: Arc<Mutex<Option<Kept>>>,
}

struct Kept {
    app_id: String,
    keys: BTreeMap<String, AppKey>,
    good_until: OffsetDateTime,
    looked_at: OffsetDateTime,
}

impl Kept {
    /// The key of that id; without an id the only one there is.
    fn find(&self, kid: Option<&str>) -> Option<AppKey> {
        match kid {
            Some(kid) => self.keys.get(kid).cloned(),
            None => self.keys.values().next().filter(|_| self.keys.len() == 1).cloned(),
        }
    }
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Published {
    pub(super) fn new(upstream: Upstream, base: BaseUrl) -> Self {
        Self { upstream, base, kept: Arc::default() }
    }

    /// The key, or `None` when Privy publishes no such key.
    pub(super) async fn find(
        &self,
        app_id: &str,
        kid: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Option<AppKey>, PrivyError> {
        let mut slot = self.kept.lock().await;
        if let Some(kept) = slot.as_mut().filter(|kept| kept.app_id == app_id) {
            let found = kept.find(kid);
            let is_stale = now >= kept.good_until;
            let may_look = now - kept.looked_at >= LOOKED_AT_MOST_EVERY;
            if !is_stale && (found.is_some() || !may_look) {
                return Ok(found);
            }
            kept.looked_at = now;
            match self.fetch(app_id, Some(WAIT_WITH_KEYS)).await {
                Ok(keys) => (kept.keys, kept.good_until) = (keys, now + KEPT_FOR),
                Err(why) => {
                    tracing::warn!(why, "earlier keys of Privy's are used");
                    // Good for a while, or every sign-in would wait for an answer that does not come.
                    kept.good_until = kept.good_until.max(now + TRY_AGAIN_AFTER);
                }
            }
            return Ok(kept.find(kid));
        }
        let keys = self.fetch(app_id, None).await.map_err(PrivyError::Unavailable)?;
        let kept = Kept { app_id: app_id.to_owned(), keys, good_until: now + KEPT_FOR, looked_at: now };
        let found = kept.find(kid);
        *slot = Some(kept);
        Ok(found)
    }

    async fn fetch(
        &self,
        app_id: &str,
        within: Option<std::time::Duration>,
    ) -> Result<BTreeMap<String, AppKey>, String> {
        let mut headers = HeaderMap::new();
        if let Ok(app) = HeaderValue::from_str(app_id) {
            headers.insert("privy-app-id", app);
        }
        let asked = Asked {
            method: Method::GET,
            url: self.base.with(&format!("/v1/apps/{app_id}/jwks.json")),
            headers,
            body: None,
            repeat: Repeat::Safe,
            metric: "PrivyMilliseconds",
            within,
        };
        let answer = self.upstream.once(&asked).await.map_err(|missed| missed.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(answer.loggable("not the keys of this app", &[]));
        }
        let set: KeySet =
            serde_json::from_slice(&answer.body).map_err(|_| answer.loggable("not a set of keys", &[]))?;
        let keys: BTreeMap<_, _> = set.keys.into_iter().take(MAX_KEYS).filter_map(named).collect();
        // An app has one; without, somebody else answered.
        if keys.is_empty() { Err(answer.loggable("a set without a P-256 key", &[])) } else { Ok(keys) }
    }
}

/// `None` for what is no key of the kind tokens are signed with.
fn named(value: Value) -> Option<(String, AppKey)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let key = AppKey::from_jwk(&jwk)?;
    Some((jwk.common.key_id.unwrap_or_default(), key))
}
