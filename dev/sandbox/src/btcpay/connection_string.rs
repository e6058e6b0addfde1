//! `type=lnd-rest;server=…;macaroon=…;certthumbprint=…`: what it says, and whether it is safe to follow.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use data_encoding::HEXLOWER_PERMISSIVE;
use url::{Host, Url};

/// What leads to files of the server, and so is not for everybody.
const FILES: [&str; 4] = ["cookiefilepath", "macaroondirectorypath", "macaroonfilepath", "certfilepath"];
const LOCAL_NAMES: [&str; 4] = [".internal", ".local", ".lan", "."];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConnectionString {
    pub(crate) server: Url,
    /// Hex; empty when it is in a file.
    pub(crate) macaroon: String,
    /// SHA-256 of the certificate.
    pub(crate) thumbprint: Option<[u8; 32]>,
    names_files: bool,
}

impl ConnectionString {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for pair in text.split(';').filter(|pair| !pair.trim().is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is no key=value"))?;
            if values.insert(key.trim().to_ascii_lowercase(), value.trim()).is_some() {
                return Err(format!("the key '{key}' stands there twice"));
            }
        }
        let get = |key: &str| values.get(key).copied();
        match get("type") {
            Some("lnd-rest") => {}
            Some(other) => return Err(format!("the sandbox does not know the type '{other}'")),
            None => return Err("the key 'type' is needed".into()),
        }
        let server = get("server").ok_or("the key 'server' is needed")?;
        let server = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let server = server.ok_or("the key 'server' is a URL with http:// or https://")?;
        let macaroon = get("macaroon").unwrap_or_default();
        if HEXLOWER_PERMISSIVE.decode(macaroon.as_bytes()).is_err() {
            return Err("the key 'macaroon' is in hex".into());
        }
        if !macaroon.is_empty() && get("macaroonfilepath").is_some() {
            return Err("the macaroon is given twice".into());
        }
        let thumbprint = get("certthumbprint").map(decode_thumbprint).transpose()?;
        if thumbprint.is_some() && get("certfilepath").is_some() {
            return Err("the key 'certfilepath' contradicts 'certthumbprint'".into());
        }
        let insecure = match get("allowinsecure").map(str::to_ascii_lowercase).as_deref() {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => return Err("the key 'allowinsecure' is true or false".into()),
        };
        if server.scheme() == "http" && !insecure {
            return Err("a server without https needs allowinsecure=true".into());
        }
        let names_files = FILES.iter().any(|key| get(key).is_some());
        Ok(Self { server, macaroon: macaroon.to_ascii_lowercase(), thumbprint, names_files })
    }

    /// Whether it may be used by somebody who is no administrator.
    pub(crate) fn is_safe(&self, loopback_allowed: bool) -> bool {
        let of_loopback = match self.server.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let of_world = match self.server.host() {
            Some(Host::Ipv4(ip)) => !is_local(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => !is_local(IpAddr::V6(ip)),
            Some(Host::Domain(name)) => {
                name.contains('.') && !LOCAL_NAMES.iter().any(|end| name.ends_with(end))
            }
            None => false,
        };
        !self.names_files && (of_world || of_loopback && loopback_allowed)
    }
}

fn decode_thumbprint(text: &str) -> Result<[u8; 32], String> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.replace(':', "").as_bytes()).unwrap_or_default();
    bytes.try_into().map_err(|_| "the key 'certthumbprint' is a SHA-256 in hex".into())
}

fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            let unique = (ip.segments()[0] & 0xfe00) == 0xfc00;
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| is_local(IpAddr::V4(ip)));
            mapped || unique || ip.is_unicast_link_local() || ip == Ipv6Addr::LOCALHOST || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_taken_apart() {
        let thumbprint = "AB:".repeat(31) + "ab";
        let text = format!(
            "type=lnd-rest;Server=https://node.example:8080/;macaroon=02AB;certthumbprint={thumbprint}"
        );
        let parsed = ConnectionString::parse(&text).unwrap();
        assert_eq!(parsed.server.as_str(), "https://node.example:8080/");
        assert_eq!((parsed.macaroon.as_str(), parsed.thumbprint), ("02ab", Some([0xab; 32])));
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for wrong in [
            "",
            "lnd-rest",
            "type=eclair;server=http://a.example",
            "type=lnd-rest",
            "type=lnd-rest;server=ftp://a.example",
            "type=lnd-rest;server=http://a.example;macaroon=00",
            "type=lnd-rest;server=http://a.example;allowinsecure=maybe",
            "type=lnd-rest;server=https://a.example;macaroon=AgEDbG5k+/==",
            "type=lnd-rest;server=https://a.example;certthumbprint=00ff",
            "type=lnd-rest;server=https://a.example;server=https://b.example",
        ] {
            assert!(ConnectionString::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_an_administrator_is_sent_into_the_server_s_own_network() {
        for (server, safe, with_loopback) in [
            ("https://node.example", true, true),
            ("https://8.8.8.8:8080", true, true),
            ("https://127.0.0.1:8080", false, true),
            ("https://[::1]", false, true),
            ("https://localhost", false, true),
            ("https://10.0.0.1", false, false),
            ("https://192.168.1.9", false, false),
            ("https://169.254.169.254", false, false),
            ("https://[fd00::1]", false, false),
            ("https://[::ffff:10.0.0.1]", false, false),
            ("https://lnd", false, false),
            ("https://db.internal", false, false),
            ("https://a.local", false, false),
        ] {
            let parsed = ConnectionString::parse(&format!("type=lnd-rest;server={server}")).unwrap();
            assert_eq!((parsed.is_safe(false), parsed.is_safe(true)), (safe, with_loopback), "{server}");
        }
        let file = "type=lnd-rest;server=https://node.example;macaroonfilepath=/root/admin.macaroon";
        assert!(!ConnectionString::parse(file).unwrap().is_safe(true));
    }
}
