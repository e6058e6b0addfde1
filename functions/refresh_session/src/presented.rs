//! The refresh token of a request, and how it came.

use serde::Deserialize;
use shared::config::Config;
use shared::crypto::Secret;
use shared::http::{ApiError, ErrorCode, Request};
use shared::session;

/// The pages that may use a browser's cookie.
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    /// Wires `ALLOWED_ORIGINS`: such as `https://app.example.com`, separated by commas.
    pub fn wire(config: &mut Config) -> Self {
        let text = config.text("ALLOWED_ORIGINS");
        let origins: Vec<String> = text.split(',').map(|origin| origin.trim().to_owned()).collect();
        // "*" would let any page in the world spend the cookie.
        if origins.iter().any(|origin| !origin.contains("://") || origin.ends_with('/')) && !text.is_empty() {
            config.problem("ALLOWED_ORIGINS is not a list of origins such as https://app.example.com");
        }
        Self(origins)
    }

    fn has(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|origin| self.0.iter().any(|allowed| allowed == origin))
    }
}

/// A refresh token as it came.
pub struct Presented {
    pub token: Secret<String>,
    pub in_cookie: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    refresh_token: Secret<String>,
}

impl Presented {
    /// Whether the token is to be looked for in the cookie, where a browser puts it whoever asks.
    pub fn is_in_cookie(request: &Request) -> bool {
        let asked = session::refresh_in_cookie(request.header(session::REFRESH_TRANSPORT_HEADER));
        asked || (request.body.is_empty() && request.cookie(session::REFRESH_COOKIE).is_some())
    }

    /// Reads the token from where it is said to be, and from nowhere else.
    pub fn of(request: &Request, origins: &AllowedOrigins) -> Result<Self, ApiError> {
        if !Self::is_in_cookie(request) {
            return Ok(Self { token: request.json::<Body>()?.refresh_token, in_cookie: false });
        }
        if !origins.has(request.sole_header("origin")) {
            return Err(ApiError::new(ErrorCode::Forbidden, "a page of this origin may not use the cookie"));
        }
        let token = request.cookie(session::REFRESH_COOKIE).ok_or_else(rejected)?;
        Ok(Self { token: Secret::new(token.to_owned()), in_cookie: true })
    }
}

/// The one answer to every token that is not good, whatever the reason.
pub fn rejected() -> ApiError {
    ApiError::new(ErrorCode::RefreshRejected, "this refresh token is not good; sign in again")
}
