//! Firebase custom tokens, for apps that sign in to Firebase with the account Satchel knows.
//!
//! Format: Firebase's "create custom tokens using a third-party JWT library".

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::crypto::Secret;

const AUDIENCE: &str =
    "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit";
/// The longest Firebase allows.
const LIFETIME: Duration = Duration::hours(1);
/// Firebase refuses a token from the future, however slightly.
const CLOCK_SKEW: Duration = Duration::seconds(5);

/// The secret document `satchel/firebase`: a service account's key file.
#[derive(Deserialize)]
pub struct ServiceAccountDocument {
    client_email: String,
    private_key: Secret<String>,
}

/// The service account custom tokens are issued by. It belongs to the Firebase project of the app.
pub struct ServiceAccount {
    email: String,
    key: EncodingKey,
}

impl TryFrom<ServiceAccountDocument> for ServiceAccount {
    type Error = &'static str;

    fn try_from(document: ServiceAccountDocument) -> Result<Self, Self::Error> {
        let key = EncodingKey::from_rsa_pem(document.private_key.expose().as_bytes())
            .map_err(|_| "holds a private_key that is not an RSA key in PEM")?;
        if document.client_email.is_empty() {
            return Err("has no client_email");
        }
        Ok(Self { email: document.client_email, key })
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    uid: &'a str,
}

impl ServiceAccount {
    /// A token that `signInWithCustomToken` takes for the user `uid` (1 to 128 characters).
    pub fn custom_token(
        &self,
        uid: &str,
        now: OffsetDateTime,
    ) -> Result<Secret<String>, jsonwebtoken::errors::Error> {
        let iat = now - CLOCK_SKEW;
        let claims = Claims {
            iss: &self.email,
            sub: &self.email,
            aud: AUDIENCE,
            iat: iat.unix_timestamp(),
            exp: (iat + LIFETIME).unix_timestamp(),
            uid,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key).map(Secret::new)
    }
}
