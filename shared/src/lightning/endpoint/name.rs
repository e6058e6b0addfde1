//! Which host names may be stored.

use super::EndpointError;

/// Names, and everything under them, that mean something only inside (RFC 6761, RFC 6762, RFC 8375, ICANN's
/// `.internal`), or under which a cloud answers with credentials.
const PRIVATE: &[&str] = &[
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "svc",
    "test",
    // metadata
    "metadata.goog",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
];

/// Services whose names lead to a private address by design: to the one spelled in the name, or to loopback.
/// The list cannot be complete.
const REBINDING: &[&str] = &[
    "1u.ms",
    "42foo.com",
    "backname.io",
    "burpcollaborator.net",
    "ddev.site",
    "fuf.me",
    "lacolhost.com",
    "lndo.site",
    "local-ip.co",
    "local-ip.sh",
    "localho.st",
    "localhost.direct",
    "localtest.me",
    "lvh.me",
    "nip.io",
    "plex.direct",
    "rbndr.us",
    "rebind.it",
    "rebind.network",
    "sslip.io",
    "traefik.me",
    "vcap.me",
    "xip.io",
    "xip.name",
];

/// Takes a name as the URL parser left it: lower case, international names in their `xn--` form.
pub(super) fn check(name: &str) -> Result<(), EndpointError> {
    let plain = name.strip_suffix('.').unwrap_or(name);
    if PRIVATE.iter().chain(REBINDING).any(|suffix| is_under(plain, suffix)) {
        return Err(EndpointError::PrivateName);
    }
    // A trailing dot names the same host in a second spelling; a name without a dot is found by a search list.
    let is_name = name.len() <= 253 && name.split('.').all(is_label);
    if is_name && name.rsplit_once('.').is_some_and(|(_, last)| is_tld(last)) {
        Ok(())
    } else {
        Err(EndpointError::NotAPublicName)
    }
}

fn is_under(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Letters, digits and inner hyphens (RFC 1123, 2.1).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_tld(label: &str) -> bool {
    label.len() >= 2 && label.starts_with(|first: char| first.is_ascii_alphabetic())
}
