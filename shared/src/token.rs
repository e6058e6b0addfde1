//! Access tokens and step-up tokens: signed JWTs that anybody can check against the published keys.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Header, Validation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::config::Config;
use crate::crypto::Secret;
use crate::db::{DbError, GenericClient};
use crate::secrets::{SecretError, SecretHandle};
use crate::signing_key::{self, KeySet, MAX_KID_CHARS, PrivateKeys, PublicKey, SigningDocument};

/// RFC 9068's type: nothing else signed with our keys can be taken for an access token.
const ACCESS_TYPE: &str = "at+jwt";
const STEP_UP_TYPE: &str = "step-up+jwt";
/// Scope of an account's own session.
const USER_SCOPE: &str = "user";
/// Scope of an administrator's session.
const ADMIN_SCOPE: &str = "user admin";
/// How far two clocks may differ.
const LEEWAY: time::Duration = time::Duration::seconds(5);
/// Longer than any token of ours; longer ones are refused unread.
const MAX_TOKEN_BYTES: usize = 4096;

/// Who issues tokens and for whom.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `iss`, and where the discovery document is found.
    pub url: String,
    /// `aud` of access tokens.
    pub audience: String,
}

/// Wires `ISSUER_URL`: https, or loopback for a world on one machine; no query, no slash at the end.
pub fn issuer_url(config: &mut Config) -> String {
    let url = config.text("ISSUER_URL");
    let loopback = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    let bare = |url: &Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let usable = Url::parse(&url).is_ok_and(|parsed| {
        let secure = parsed.scheme() == "https" || (parsed.scheme() == "http" && loopback(&parsed));
        secure && bare(&parsed) && !url.ends_with('/')
    });
    if !usable && !url.is_empty() {
        config.problem("ISSUER_URL is not an https URL without query and trailing slash");
    }
    url
}

impl Issuer {
    /// Wires `ISSUER_URL` and `TOKEN_AUDIENCE`.
    pub fn wire(config: &mut Config) -> Self {
        Self { url: issuer_url(config), audience: config.text("TOKEN_AUDIENCE") }
    }

    fn step_up_audience(&self) -> String {
        format!("{}/step-up", self.audience)
    }
}

/// What an access token says. Times are Unix seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    pub aud: String,
    /// The account.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    pub jti: Uuid,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub scope: String,
}

impl AccessClaims {
    /// Whether the token was issued to an administrator. Whether they still are one is the database's to say.
    pub fn is_admin(&self) -> bool {
        self.scope == ADMIN_SCOPE
    }
}

/// What a step-up token says: this account approved this amount to this destination, once.
#[derive(Debug, Serialize)]
pub struct StepUpClaims<'a> {
    pub iss: &'a str,
    pub aud: &'a str,
    pub sub: Uuid,
    pub did: &'a str,
    pub amount_msat: i64,
    pub destination: &'a str,
    /// The challenge that was signed. Whoever acts on the token acts on a `jti` once.
    pub jti: Uuid,
    pub iat: i64,
    pub exp: i64,
}

/// Why a token could not be issued.
#[derive(Debug)]
pub enum IssueError {
    Secret(SecretError),
    /// No published key is among the private keys we hold.
    NoKey,
    Sign(jsonwebtoken::errors::Error),
    Db(DbError),
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("the signing keys could not be had"),
            Self::NoKey => f.write_str("no published signing key is among those in the secret"),
            Self::Sign(_) => f.write_str("the token could not be signed"),
            Self::Db(_) => f.write_str("the published keys could not be read"),
        }
    }
}

impl std::error::Error for IssueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Secret(source) => Some(source),
            Self::NoKey => None,
            Self::Sign(source) => Some(source),
            Self::Db(source) => Some(source),
        }
    }
}

/// A session to issue an access token for.
pub struct AccessGrant {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub token_id: Uuid,
    /// The account is an administrator's, and its token says so.
    pub admin: bool,
}

impl AccessGrant {
    /// The scope of an account's tokens.
    pub const fn scope_of(admin: bool) -> &'static str {
        if admin { ADMIN_SCOPE } else { USER_SCOPE }
    }
}

/// Issues tokens. Only functions whose policy names the signing secret have one.
pub struct TokenIssuer {
    pub issuer: Issuer,
    pub access_ttl: Duration,
    private: SecretHandle<PrivateKeys>,
    public: KeySet,
}

impl TokenIssuer {
    /// Wires `SIGNING_SECRET`, `ACCESS_TTL_SECONDS` (1800) and the [`Issuer`].
    pub fn wire(config: &mut Config) -> Self {
        Self {
            issuer: Issuer::wire(config),
            access_ttl: config.seconds("ACCESS_TTL_SECONDS", 1_800, 60..=86_400),
            private: config.secret::<SigningDocument, PrivateKeys>("SIGNING_SECRET"),
            public: KeySet::default(),
        }
    }

    pub async fn access(
        &self,
        client: &impl GenericClient,
        grant: &AccessGrant,
        now: OffsetDateTime,
    ) -> Result<Secret<String>, IssueError> {
        let iat = now.unix_timestamp();
        let claims = AccessClaims {
            iss: self.issuer.url.clone(),
            aud: self.issuer.audience.clone(),
            sub: grant.user_id,
            sid: grant.session_id,
            jti: grant.token_id,
            iat,
            nbf: iat,
            exp: (now + self.access_ttl).unix_timestamp(),
            scope: AccessGrant::scope_of(grant.admin).to_owned(),
        };
        self.sign(client, ACCESS_TYPE, &claims, now).await
    }

    /// A token that approves one payment. It opens no session.
    pub async fn step_up(
        &self,
        client: &impl GenericClient,
        approval: &StepUp<'_>,
        now: OffsetDateTime,
    ) -> Result<Secret<String>, IssueError> {
        let claims = StepUpClaims {
            iss: &self.issuer.url,
            aud: &self.issuer.step_up_audience(),
            sub: approval.user_id,
            did: approval.did,
            amount_msat: approval.amount_msat,
            destination: approval.destination,
            jti: approval.challenge_id,
            iat: now.unix_timestamp(),
            exp: (now + STEP_UP_TTL).unix_timestamp(),
        };
        self.sign(client, STEP_UP_TYPE, &claims, now).await
    }

    async fn sign(
        &self,
        client: &impl GenericClient,
        typ: &str,
        claims: &impl Serialize,
        now: OffsetDateTime,
    ) -> Result<Secret<String>, IssueError> {
        let mut private = self.private.get().await.map_err(IssueError::Secret)?;
        let kid = self.signing_kid(client, &private, now).await?;
        if private.find(&kid).is_none() {
            // Published a moment ago, and newer than the copy of the secret kept here.
            private = self.private.get_fresh().await.map_err(IssueError::Secret)?;
        }
        // Never a key whose public half nobody can find.
        let key = private.find(&kid).ok_or(IssueError::NoKey)?;
        let mut header = Header::new(key.algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.key).map(Secret::new).map_err(IssueError::Sign)
    }

    /// The id of the key that signs now; the first token of a deployment publishes the first key.
    async fn signing_kid(
        &self,
        client: &impl GenericClient,
        private: &PrivateKeys,
        now: OffsetDateTime,
    ) -> Result<String, IssueError> {
        let mut current = self.public.signing(client, now).await.map_err(IssueError::Db)?;
        if current.is_none() {
            let first = private.first().ok_or(IssueError::NoKey)?;
            signing_key::publish_first(client, first, now).await.map_err(IssueError::Db)?;
            current = self.public.signing(client, now).await.map_err(IssueError::Db)?;
        }
        current.map(|key| key.kid).ok_or(IssueError::NoKey)
    }
}

/// How long an approval of a payment can be acted on.
pub const STEP_UP_TTL: time::Duration = time::Duration::seconds(300);

/// One approved payment.
pub struct StepUp<'a> {
    pub user_id: Uuid,
    pub challenge_id: Uuid,
    pub did: &'a str,
    pub amount_msat: i64,
    pub destination: &'a str,
}

/// Why a token is not good. The caller learns only whether it was once.
#[derive(Debug)]
pub enum TokenError {
    Expired,
    Refused,
    Db(DbError),
}

/// Checks access tokens against the published keys.
pub struct TokenVerifier {
    issuer: Issuer,
    public: KeySet,
}

impl TokenVerifier {
    pub fn wire(config: &mut Config) -> Self {
        Self { issuer: Issuer::wire(config), public: KeySet::default() }
    }

    /// What the token says, if we signed it, for this audience, and it is its time. Whether its session still
    /// stands is the database's to say.
    pub async fn access(
        &self,
        client: &impl GenericClient,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<AccessClaims, TokenError> {
        let kid = key_id(token).ok_or(TokenError::Refused)?;
        let key = self.public.find(client, &kid, now).await.map_err(TokenError::Db)?;
        let key = key.ok_or(TokenError::Refused)?;
        let claims: AccessClaims = self.decode(token, &key)?;
        let known = [USER_SCOPE, ADMIN_SCOPE].contains(&claims.scope.as_str());
        if !known || at(claims.nbf)? > now + LEEWAY || at(claims.iat)? > now + LEEWAY {
            return Err(TokenError::Refused);
        }
        if at(claims.exp)? <= now - LEEWAY {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    fn decode<T: DeserializeOwned + Clone>(&self, token: &str, key: &PublicKey) -> Result<T, TokenError> {
        // The algorithm is the key's; what the header says is compared with it and never followed.
        let mut validation = Validation::new(key.algorithm);
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_issuer(&[&self.issuer.url]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are checked by the caller, against the clock that was passed in.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let decoded = jsonwebtoken::decode::<T>(token, &key.key, &validation);
        decoded.map(|token| token.claims).map_err(|_| TokenError::Refused)
    }
}

fn at(unix: i64) -> Result<OffsetDateTime, TokenError> {
    OffsetDateTime::from_unix_timestamp(unix).map_err(|_| TokenError::Refused)
}

/// The key an access token claims to be signed with; `None` for what cannot be one of ours.
pub fn key_id(token: &str) -> Option<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let header = jsonwebtoken::decode_header(token).ok()?;
    let ours = header.typ.as_deref() == Some(ACCESS_TYPE) && header.crit.is_none();
    header.kid.filter(|kid| ours && kid.len() <= MAX_KID_CHARS)
}
