//! The cookie that holds a refresh token out of scripts' reach. `__Host-` makes browsers insist on HTTPS, on this very
//! host, and on the whole site as path.

use std::time::Duration;

use crate::crypto::Secret;

/// A request with this header set to `cookie` gets its refresh token in a cookie, and nowhere else.
pub const REFRESH_TRANSPORT_HEADER: &str = "x-refresh-transport";
pub const REFRESH_COOKIE: &str = "__Host-rt";
const ATTRIBUTES: &str = "HttpOnly; Secure; SameSite=Strict";

pub fn refresh_in_cookie(transport: Option<&str>) -> bool {
    transport.is_some_and(|value| value.eq_ignore_ascii_case("cookie"))
}

/// The `Set-Cookie` value of a session that has so long to live.
pub fn refresh_cookie(token: &Secret<String>, left: Duration) -> String {
    format!("{REFRESH_COOKIE}={}; Path=/; Max-Age={}; {ATTRIBUTES}", token.expose(), left.as_secs())
}

/// The `Set-Cookie` value that takes the cookie away.
pub fn no_refresh_cookie() -> String {
    format!("{REFRESH_COOKIE}=; Path=/; Max-Age=0; {ATTRIBUTES}")
}
