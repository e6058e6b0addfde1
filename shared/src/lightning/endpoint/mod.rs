//! Where a user says their node is (`caddy_endpoint`).
//!
//! Satchel never calls it. It is still refused when it points inside: it is stored and shown, and somebody might
//! one day call it. A name can be made to point anywhere after it was checked, so whoever does must resolve it
//! once, check **every** address with [`is_public`], and connect to the address checked.

mod address;
mod name;

use std::{fmt, net::IpAddr};

use url::{Host, Url};

pub use address::is_public;

/// Longer than any name with a path prefix needs.
pub const MAX_ENDPOINT_LENGTH: usize = 512;

/// 443, and 8080, where LND serves REST.
const HTTPS_PORTS: &[u16] = &[443, 8080];
const HTTP_PORTS: &[u16] = &[80, 443, 8080];

/// Whether an endpoint may be reached without TLS, which shows the macaroon to everybody on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    HttpsOnly,
    HttpAllowed,
}

/// The URL of a node's REST interface in its one normalised form: no default port, no trailing slash, the path
/// prefix kept (`https://node.example.com/node12`). Put a path *behind* it; `Url::join` would drop the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeEndpoint(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointError {
    TooLong,
    NotPlainText,
    NotAUrl,
    WrongScheme,
    HasCredentials,
    HasQueryOrFragment,
    /// A loopback, private, reserved or metadata address.
    PrivateAddress,
    /// A name that leads, or could be made to lead, to such an address.
    PrivateName,
    NotAPublicName,
    /// The parser reads another host than the one written.
    DisguisedHost,
    WrongPort,
    WrongPath,
}

impl NodeEndpoint {
    pub fn parse(text: &str, transport: Transport) -> Result<Self, EndpointError> {
        if text.len() > MAX_ENDPOINT_LENGTH {
            return Err(EndpointError::TooLong);
        }
        // A URL parser drops blanks and line ends and takes a backslash for a slash: then what was checked is not
        // what was written.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(EndpointError::NotPlainText);
        }
        let authority = written_authority(text)?;
        let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        check_scheme(&url, transport)?;
        if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::HasCredentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::HasQueryOrFragment);
        }
        check_host(&url, authority)?;
        check_port(&url, transport)?;
        let normalised = format!("{}{}", url.origin().ascii_serialization(), path_prefix(&url)?);
        // The form stored can be longer than the form written, and must still be readable.
        if normalised.len() > MAX_ENDPOINT_LENGTH {
            Err(EndpointError::TooLong)
        } else {
            Ok(Self(normalised))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands between the two slashes and the path, before any parser touched it.
fn written_authority(text: &str) -> Result<&str, EndpointError> {
    let (_, rest) = text.split_once("://").ok_or(EndpointError::NotAUrl)?;
    match rest.split(['/', '?', '#']).next() {
        None | Some("") => Err(EndpointError::NotAUrl),
        Some(authority) => Ok(authority),
    }
}

fn check_scheme(url: &Url, transport: Transport) -> Result<(), EndpointError> {
    match (url.scheme(), transport) {
        ("https", _) | ("http", Transport::HttpAllowed) => Ok(()),
        _ => Err(EndpointError::WrongScheme),
    }
}

fn check_host(url: &Url, authority: &str) -> Result<(), EndpointError> {
    match url.host().ok_or(EndpointError::NotAUrl)? {
        Host::Domain(name) => name::check(name)?,
        Host::Ipv4(address) => check_address(address)?,
        // An IPv6 address has many honest spellings, so it is not compared with what was written.
        Host::Ipv6(address) => return check_address(address),
    }
    let written = authority.split(':').next().unwrap_or(authority);
    if url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(written)) {
        Ok(())
    } else {
        Err(EndpointError::DisguisedHost)
    }
}

fn check_address(address: impl Into<IpAddr>) -> Result<(), EndpointError> {
    if is_public(address.into()) { Ok(()) } else { Err(EndpointError::PrivateAddress) }
}

fn check_port(url: &Url, transport: Transport) -> Result<(), EndpointError> {
    let allowed = match transport {
        Transport::HttpsOnly => HTTPS_PORTS,
        Transport::HttpAllowed => HTTP_PORTS,
    };
    match url.port_or_known_default() {
        Some(port) if allowed.contains(&port) => Ok(()),
        _ => Err(EndpointError::WrongPort),
    }
}

/// The path without its trailing slash. Only characters that need no escape, so that every reader reads the same.
fn path_prefix(url: &Url) -> Result<&str, EndpointError> {
    let path = url.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    match path.strip_prefix('/') {
        None => Ok(""),
        Some(segments) if segments.split('/').all(is_plain) => Ok(path),
        Some(_) => Err(EndpointError::WrongPath),
    }
}

impl fmt::Display for NodeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "an endpoint has at most 512 characters",
            Self::NotPlainText => "an endpoint is printable ASCII without blanks or backslashes",
            Self::NotAUrl => "an endpoint is a URL such as https://node.example.com/node12",
            Self::WrongScheme => "an endpoint begins with https://",
            Self::HasCredentials => "an endpoint holds no user name or password",
            Self::HasQueryOrFragment => "an endpoint has no query and no fragment",
            Self::PrivateAddress => "an endpoint's address must be public",
            Self::PrivateName => "an endpoint's name must not lead to a private address",
            Self::NotAPublicName => "an endpoint's host is a full domain name or a public address",
            Self::DisguisedHost => "an endpoint's host must be written plainly",
            Self::WrongPort => "an endpoint's port is 443 or 8080",
            Self::WrongPath => {
                "an endpoint's path holds only letters, digits and - . _ ~ between single slashes"
            }
        })
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests;
