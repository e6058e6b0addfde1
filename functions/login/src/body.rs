use serde::Deserialize;
use shared::crypto::Secret;
use shared::email::Email;
use shared::http::{ApiError, Request, device};
use shared::password::Password;
use shared::session::{Device, Platform};

/// What was sent, in one of its three forms.
pub struct Body {
    pub proof: Proof,
    /// Came as the form of an `OAuth` password grant, and is answered as that.
    pub is_oauth: bool,
    device_id: Option<String>,
    platform: Option<Platform>,
}

pub enum Proof {
    Password(Email, Password),
    Privy(PrivyTokens),
}

pub struct PrivyTokens {
    pub access: Secret<String>,
    identity: Option<Secret<String>>,
}

impl PrivyTokens {
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_ref().map(|token| token.expose().as_str())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    email: Option<Email>,
    password: Option<Password>,
    privy_token: Option<Secret<String>>,
    identity_token: Option<Secret<String>>,
    platform: Option<Platform>,
    device_id: Option<String>,
}

#[derive(Deserialize)]
struct Form {
    grant_type: String,
    username: Option<Email>,
    password: Option<Password>,
    platform: Option<Platform>,
    #[serde(rename = "deviceId")]
    device_id: Option<String>,
}

impl Body {
    pub fn of(request: &Request) -> Result<Self, ApiError> {
        if request.is_form() { Self::of_form(request) } else { Self::of_json(request) }
    }

    fn of_form(request: &Request) -> Result<Self, ApiError> {
        let form: Form = request.form()?;
        if form.grant_type != "password" {
            return Err(ApiError::invalid("grant_type", "must be password"));
        }
        let missing = |field| ApiError::invalid(field, "is missing");
        let email = form.username.ok_or_else(|| missing("username"))?;
        let proof = Proof::Password(email, form.password.ok_or_else(|| missing("password"))?);
        Ok(Self { proof, is_oauth: true, device_id: form.device_id, platform: form.platform })
    }

    fn of_json(request: &Request) -> Result<Self, ApiError> {
        let json: Json = request.json()?;
        let proof = match (json.email, json.password, json.privy_token) {
            (Some(email), Some(password), None) => Proof::Password(email, password),
            (None, None, Some(access)) => Proof::Privy(PrivyTokens { access, identity: json.identity_token }),
            (_, _, Some(_)) => {
                return Err(ApiError::invalid(
                    "privyToken",
                    "cannot come with an e-mail address or a password",
                ));
            }
            (Some(_), None, None) => return Err(ApiError::invalid("password", "is missing")),
            (None, _, None) => return Err(ApiError::invalid("email", "is missing")),
        };
        Ok(Self { proof, is_oauth: false, device_id: json.device_id, platform: json.platform })
    }

    pub fn device(&self) -> Result<Device<'_>, ApiError> {
        device(self.device_id.as_deref(), self.platform)
    }
}
