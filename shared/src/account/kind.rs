use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How an account is signed in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    Did,
    Node,
    Email,
    Discord,
    Privy,
}

/// There is no such way to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind;

impl IdentityKind {
    const ALL: [Self; 5] = [Self::Did, Self::Node, Self::Email, Self::Discord, Self::Privy];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Did => "did",
            Self::Node => "node",
            Self::Email => "email",
            Self::Discord => "discord",
            Self::Privy => "privy",
        }
    }
}

impl FromStr for IdentityKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

impl Serialize for IdentityKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
