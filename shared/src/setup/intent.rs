//! What a user asks for when they ask for a setup.

use std::fmt;
use std::str::FromStr;

use super::row::Setup;

const MAX_NAME_CHARS: usize = 64;

/// The part before the `@`: what LUD-16 allows, `a-z 0-9 - _ .`, at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl FromStr for Username {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        // A name of dots alone is part of no URL: it is a way up or nowhere.
        let is_dots = text.bytes().all(|byte| byte == b'.');
        if (1..=MAX_NAME_CHARS).contains(&text.len()) && text.bytes().all(allowed) && !is_dots {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 64 of a-z, 0-9, '-', '_' and '.'")
        }
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A Lightning address (LUD-16) on the deployment's own domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightningAddress(String);

impl LightningAddress {
    pub fn of(username: &Username, domain: &str) -> Self {
        Self(format!("{username}@{domain}"))
    }

    /// Domains are compared without regard to case; another's domain is refused, because nobody would be served
    /// there.
    pub fn parse(text: &str, domain: &str) -> Result<Self, &'static str> {
        let (name, host) = text.split_once('@').ok_or("must be name@domain")?;
        let name: Username =
            name.parse().map_err(|_| "has a name that is not 1 to 64 of a-z, 0-9, '-', '_' and '.'")?;
        if host.eq_ignore_ascii_case(domain) {
            Ok(Self::of(&name, domain))
        } else {
            Err("is on a domain this deployment does not serve")
        }
    }
}

impl fmt::Display for LightningAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose node the store is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeSource {
    /// One made for the user at Voltage.
    #[default]
    Voltage,
    /// The one the user registered, with the macaroon they gave.
    Registered,
}

impl NodeSource {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voltage => "voltage",
            Self::Registered => "registered",
        }
    }
}

impl FromStr for NodeSource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "voltage" => Ok(Self::Voltage),
            "registered" => Ok(Self::Registered),
            _ => Err("must be voltage or registered"),
        }
    }
}

/// A setup as asked for, every field read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub username: Username,
    pub address: LightningAddress,
    pub source: NodeSource,
}

impl Intent {
    /// `address` defaults to the user name on `domain`. The error names the field, as callers spell it.
    pub fn parse(
        (username, address, source): (&str, Option<&str>, Option<&str>),
        domain: &str,
    ) -> Result<Self, (&'static str, &'static str)> {
        let username: Username = username.parse().map_err(|why| ("username", why))?;
        let address = match address {
            Some(text) => LightningAddress::parse(text, domain).map_err(|why| ("lightningAddress", why))?,
            None => LightningAddress::of(&username, domain),
        };
        let source =
            source.map_or(Ok(NodeSource::default()), str::parse).map_err(|why| ("nodeSource", why))?;
        Ok(Self { username, address, source })
    }

    /// Whether that setup is this very one.
    pub fn is_of(&self, setup: &Setup) -> bool {
        self.username.0 == setup.username && self.address.0 == setup.address && self.source == setup.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_lud_16_allows() {
        for good in ["a", "satoshi", "a-b_c.d", "0", &"x".repeat(64)] {
            assert!(good.parse::<Username>().is_ok(), "{good}");
        }
        for bad in ["", "Satoshi", "a b", "a+b", "ä", "a@b", "a/b", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_on_our_domain_and_defaults_to_the_user_name() {
        let intent = |address| Intent::parse(("bob", address, None), "pay.example.com");
        assert_eq!(intent(None).unwrap().address.to_string(), "bob@pay.example.com");
        assert_eq!(intent(Some("b@PAY.example.com")).unwrap().address.to_string(), "b@pay.example.com");
        for bad in [
            "bob",
            "bob@",
            "@pay.example.com",
            "bob@other.example.com",
            "Bob@pay.example.com",
            "b@b@pay.example.com",
        ] {
            assert_eq!(intent(Some(bad)).unwrap_err().0, "lightningAddress", "{bad}");
        }
    }

    #[test]
    fn a_node_source_is_one_of_two() {
        let source = |text| Intent::parse(("bob", None, text), "x.example").map(|intent| intent.source);
        assert_eq!(source(None), Ok(NodeSource::Voltage));
        assert_eq!(source(Some("registered")), Ok(NodeSource::Registered));
        assert_eq!(source(Some("lnbits")).unwrap_err().0, "nodeSource");
    }
}
