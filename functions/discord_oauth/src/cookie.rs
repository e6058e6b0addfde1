//! The cookie that ties a sign-in to the browser it began in. `Lax`, because the browser comes back from another site;
//! `__Host-` makes browsers insist on HTTPS and on this very host, so that no neighbour can plant one.

use shared::crypto::Secret;
use shared::http::Request;
use shared::oauth_state::LIFETIME;

const NAME: &str = "__Host-oauth";

pub fn set(value: &Secret<String>) -> String {
    let max_age = LIFETIME.whole_seconds();
    format!("{NAME}={}; Path=/; Max-Age={max_age}; HttpOnly; Secure; SameSite=Lax", value.expose())
}

pub fn cleared() -> String {
    format!("{NAME}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
}

pub fn of(request: &Request) -> Option<&str> {
    request.cookie(NAME)
}
