//! One token: its form, its signature, and what it claims.

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::keys::AppKey;
use super::{PrivyRefusal, PrivyUser, PrivyWallet, Which, Why};

const ISSUER: &str = "privy.io";
const SUBJECT: &str = "did:privy:";
/// How far two clocks may differ.
const LEEWAY: Duration = Duration::seconds(5);
/// An identity token holds everything that is linked; longer ones are refused unread.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Of ids, addresses, and whatever else a claim is kept of.
const MAX_TEXT_BYTES: usize = 254;
/// Far more than anybody has linked.
const MAX_ACCOUNTS: usize = 64;

/// What both kinds say, checked before anything else of them is believed.
pub(super) trait Claims: DeserializeOwned + Clone {
    /// Since 1970, in seconds: issued, expiring.
    fn times(&self) -> (i64, i64);
}

#[derive(Clone, Deserialize)]
pub(super) struct AccessClaims {
    sub: String,
    #[serde(default)]
    sid: String,
    iat: i64,
    exp: i64,
}

#[derive(Clone, Deserialize)]
pub(super) struct IdentityClaims {
    sub: String,
    /// JSON within a string.
    linked_accounts: Option<String>,
    iat: i64,
    exp: i64,
}

impl Claims for AccessClaims {
    fn times(&self) -> (i64, i64) {
        (self.iat, self.exp)
    }
}

impl Claims for IdentityClaims {
    fn times(&self) -> (i64, i64) {
        (self.iat, self.exp)
    }
}

/// The key a token claims to be signed with.
pub(super) fn key_id(token: &str) -> Result<Option<String>, Why> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Why::Malformed);
    }
    // An algorithm nobody knows, `none` among them, does not parse.
    let header = jsonwebtoken::decode_header(token).map_err(|error| why(&error))?;
    if header.alg != Algorithm::ES256 {
        return Err(Why::Algorithm);
    }
    if header.crit.is_some() {
        return Err(Why::Malformed);
    }
    Ok(header.kid)
}

pub(super) fn read<C: Claims>(
    token: &str,
    key: &AppKey,
    app_id: &str,
    now: OffsetDateTime,
) -> Result<C, Why> {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[app_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // Times are checked below, against the clock that was passed in.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<C>(token, key.decoding(), &validation);
    let claims = claims.map_err(|error| why(&error))?.claims;
    let (issued, expires) = claims.times();
    if at(expires)? <= now - LEEWAY {
        return Err(Why::Expired);
    }
    if at(issued)? > now + LEEWAY {
        return Err(Why::NotYet);
    }
    Ok(claims)
}

fn why(error: &Error) -> Why {
    match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidEcdsaKey => Why::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            Why::Algorithm
        }
        ErrorKind::InvalidIssuer => Why::Issuer,
        ErrorKind::InvalidAudience => Why::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Why::Claims,
        ErrorKind::Json(error) if error.is_data() && error.to_string().contains("unknown variant") => {
            Why::Algorithm
        }
        ErrorKind::Json(error) if error.is_data() => Why::Claims,
        _ => Why::Malformed,
    }
}

fn at(unix: i64) -> Result<OffsetDateTime, Why> {
    OffsetDateTime::from_unix_timestamp(unix).map_err(|_| Why::Claims)
}

impl AccessClaims {
    pub(super) fn user(self) -> Result<PrivyUser, PrivyRefusal> {
        let refused = |why| PrivyRefusal { which: Which::Access, why };
        let name = self.sub.strip_prefix(SUBJECT).unwrap_or_default();
        if name.is_empty() || !is_plain(&self.sub) {
            return Err(refused(Why::Subject));
        }
        if self.sid.is_empty() || !is_plain(&self.sid) {
            return Err(refused(Why::NoSession));
        }
        let expires_at = at(self.exp).map_err(refused)?;
        let (email, wallets) = (None, Vec::new());
        let (id, session_id) = (self.sub, self.sid);
        Ok(PrivyUser { id, session_id, expires_at, email, email_verified: false, wallets })
    }
}

impl IdentityClaims {
    pub(super) fn add_to(self, user: &mut PrivyUser) -> Result<(), PrivyRefusal> {
        let refused = |why| PrivyRefusal { which: Which::Identity, why };
        if self.sub != user.id {
            return Err(refused(Why::OtherSubject));
        }
        let text = self.linked_accounts.ok_or(refused(Why::NoAccounts))?;
        let accounts: Vec<Value> = serde_json::from_str(&text).map_err(|_| refused(Why::Claims))?;
        for account in accounts.iter().take(MAX_ACCOUNTS) {
            let member = |name: &str| account.get(name).and_then(Value::as_str).filter(|text| is_plain(text));
            match (member("type"), member("address")) {
                (Some("email"), Some(address)) if user.email.is_none() => {
                    user.email = Some(address.to_owned());
                    // An app may import addresses that nobody has proven yet.
                    user.email_verified = account.get("lv").is_some_and(Value::is_number);
                }
                (Some("wallet"), Some(address)) => user.wallets.push(PrivyWallet {
                    address: address.to_owned(),
                    chain: member("chain_type").unwrap_or_default().to_owned(),
                }),
                // A kind we have no use for, or of tomorrow.
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}
