//! The keys access tokens are signed with: private halves in a secret, public halves in `signing_keys`.

use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::crypto::Secret;
use crate::db::{DbError, GenericClient, Row, Type, execute, query};

/// A key is published this long before it signs, because gateways keep a key set for up to two hours.
pub const PUBLISHED_AHEAD: Duration = Duration::hours(2);
/// How long the key set is kept before the table is read again.
const KEPT_FOR: Duration = Duration::seconds(60);
/// A key id nobody knows makes us look at once, but not more often than this: forgeries name such ids.
const LOOK_AGAIN_AFTER: Duration = Duration::seconds(1);
/// The first key is good from a little before it was published: others sign in at that very moment, and began a
/// little earlier or by a clock that is a little behind.
const FIRST_KEY_BACKDATED: Duration = Duration::minutes(1);
/// No key id is longer; a token that names a longer one is not ours.
pub const MAX_KID_CHARS: usize = 128;
const MIN_RSA_BITS: usize = 2048;

/// The secret document `satchel/signing`.
#[derive(Deserialize)]
pub struct SigningDocument {
    keys: Vec<PrivateKeyDocument>,
}

#[derive(Deserialize)]
struct PrivateKeyDocument {
    kid: String,
    alg: String,
    /// PKCS#8 in PEM.
    private_key: Secret<String>,
}

/// The private keys of a function that issues tokens.
pub struct PrivateKeys(Vec<PrivateKey>);

pub struct PrivateKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub key: EncodingKey,
    pub jwk: Value,
}

impl TryFrom<SigningDocument> for PrivateKeys {
    type Error = &'static str;

    fn try_from(document: SigningDocument) -> Result<Self, Self::Error> {
        if document.keys.is_empty() {
            return Err("holds no key");
        }
        let mut kids: Vec<_> = document.keys.iter().map(|key| key.kid.as_str()).collect();
        if kids.iter().any(|kid| !(1..=MAX_KID_CHARS).contains(&kid.len())) {
            return Err("holds a key whose kid is empty or too long");
        }
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("holds two keys with one kid");
        }
        document.keys.into_iter().map(PrivateKey::try_from).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<PrivateKeyDocument> for PrivateKey {
    type Error = &'static str;

    fn try_from(document: PrivateKeyDocument) -> Result<Self, Self::Error> {
        let pem = document.private_key.expose().as_bytes();
        let (algorithm, key) = match document.alg.as_str() {
            "RS256" => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
            "ES256" => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            _ => return Err("holds a key whose alg is neither RS256 nor ES256"),
        };
        let key = key.map_err(|_| "holds a private key that is not PKCS#8 in PEM")?;
        let mut jwk =
            Jwk::from_encoding_key(&key, algorithm).map_err(|_| "holds a key its alg cannot use")?;
        jwk.common.key_id = Some(document.kid.clone());
        jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
        let jwk = serde_json::to_value(jwk).map_err(|_| "holds a key that has no public form")?;
        let modulus = jwk.get("n").and_then(Value::as_str).map(|n| n.len() * 6);
        if modulus.is_some_and(|bits| bits < MIN_RSA_BITS) {
            return Err("holds an RSA key of fewer than 2048 bits");
        }
        Ok(Self { kid: document.kid, algorithm, key, jwk })
    }
}

impl PrivateKeys {
    pub fn find(&self, kid: &str) -> Option<&PrivateKey> {
        self.0.iter().find(|key| key.kid == kid)
    }

    pub fn first(&self) -> Option<&PrivateKey> {
        self.0.first()
    }
}

/// A key as everybody may see it.
#[derive(Clone)]
pub struct PublicKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
    pub jwk: Value,
    pub sign_at: OffsetDateTime,
}

/// The published keys, newest first.
pub async fn published(client: &impl GenericClient, now: OffsetDateTime) -> Result<Vec<PublicKey>, DbError> {
    let rows = query(
        client,
        "SELECT kid, jwk, sign_at FROM signing_keys
         WHERE publish_at <= $1 AND (retire_at IS NULL OR retire_at > $1)
         ORDER BY sign_at DESC, kid",
        &[(&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    rows.iter().map(PublicKey::try_from).collect()
}

/// Publishes the first key of a deployment, to sign at once; does nothing when there is any other.
pub async fn publish_first(
    client: &impl GenericClient,
    key: &PrivateKey,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    execute(
        client,
        "INSERT INTO signing_keys (kid, jwk, publish_at, sign_at)
         SELECT $1, $2, $3, $3 WHERE NOT EXISTS (SELECT FROM signing_keys)
         ON CONFLICT ON CONSTRAINT signing_keys_pkey DO NOTHING",
        &[(&key.kid, Type::TEXT), (&key.jwk, Type::JSONB), (&(now - FIRST_KEY_BACKDATED), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}

/// Publishes `key`, to sign [`PUBLISHED_AHEAD`] from now, and retires every other key once no token of its
/// can still be good. Returns when it starts to sign.
pub async fn publish_next(
    client: &impl GenericClient,
    key: &PrivateKey,
    access_ttl: Duration,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, DbError> {
    let sign_at = now + PUBLISHED_AHEAD;
    execute(
        client,
        "WITH retiring AS (
             UPDATE signing_keys SET retire_at = $5 WHERE retire_at IS NULL AND kid <> $1
         )
         INSERT INTO signing_keys (kid, jwk, publish_at, sign_at) VALUES ($1, $2, $3, $4)",
        &[
            (&key.kid, Type::TEXT),
            (&key.jwk, Type::JSONB),
            (&now, Type::TIMESTAMPTZ),
            (&sign_at, Type::TIMESTAMPTZ),
            (&(sign_at + access_ttl + PUBLISHED_AHEAD), Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(sign_at)
}

impl TryFrom<&Row> for PublicKey {
    type Error = DbError;

    fn try_from(row: &Row) -> Result<Self, DbError> {
        let value: Value = row.get("jwk");
        let unusable = |_| DbError::Other("signing_keys holds a key that cannot be used".into());
        let no_jwk = |_| DbError::Other("signing_keys holds what is not a JWK".into());
        let jwk: Jwk = serde_json::from_value(value).map_err(no_jwk)?;
        // The type knows no private member: were one stored, it would end here.
        let public = serde_json::to_value(&jwk).map_err(no_jwk)?;
        let key = DecodingKey::from_jwk(&jwk).map_err(unusable)?;
        let elliptic = matches!(jwk.algorithm, jsonwebtoken::jwk::AlgorithmParameters::EllipticCurve(_));
        Ok(Self {
            kid: row.get("kid"),
            algorithm: if elliptic { Algorithm::ES256 } else { Algorithm::RS256 },
            key,
            jwk: public,
            sign_at: row.get("sign_at"),
        })
    }
}

/// The published keys as this process last read them.
#[derive(Default)]
pub struct KeySet(Mutex<Option<Kept>>);

#[derive(Clone)]
struct Kept {
    keys: Arc<Vec<PublicKey>>,
    read_at: OffsetDateTime,
}

impl KeySet {
    /// The key with this id, read anew when nobody here knows it yet.
    pub async fn find(
        &self,
        client: &impl GenericClient,
        kid: &str,
        now: OffsetDateTime,
    ) -> Result<Option<PublicKey>, DbError> {
        let named = |keys: &[PublicKey]| keys.iter().find(|key| key.kid == kid).cloned();
        if let Some(found) = named(&self.keys(client, now, KEPT_FOR).await?) {
            return Ok(Some(found));
        }
        Ok(named(&self.keys(client, now, LOOK_AGAIN_AFTER).await?))
    }

    /// The key to sign with: the newest whose time to sign has come.
    pub async fn signing(
        &self,
        client: &impl GenericClient,
        now: OffsetDateTime,
    ) -> Result<Option<PublicKey>, DbError> {
        let signing = |keys: &[PublicKey]| keys.iter().find(|key| key.sign_at <= now).cloned();
        if let Some(found) = signing(&self.keys(client, now, KEPT_FOR).await?) {
            return Ok(Some(found));
        }
        // Not kept: this transaction may have published the key itself, and may yet be rolled back.
        Ok(signing(&published(client, now).await?))
    }

    async fn keys(
        &self,
        client: &impl GenericClient,
        now: OffsetDateTime,
        max_age: Duration,
    ) -> Result<Arc<Vec<PublicKey>>, DbError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| now - kept.read_at < max_age) {
            return Ok(kept.keys);
        }
        let keys = Arc::new(published(client, now).await?);
        if !keys.is_empty() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Kept { keys: Arc::clone(&keys), read_at: now });
        }
        Ok(keys)
    }
}
