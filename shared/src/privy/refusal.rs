//! Why a token of Privy's is not good.

use std::fmt;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Access,
    Identity,
}

/// What is wrong with it. Whoever signs in learns none of this; the log and the operator do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Not a JWT, or too long for one.
    Malformed,
    /// Signed with something else than ES256, or not at all.
    Algorithm,
    /// With none of the app's keys.
    UnknownKey,
    Signature,
    Issuer,
    /// For another app.
    Audience,
    /// A claim that has to be there is not, or is something else.
    Claims,
    Expired,
    NotYet,
    /// No session: an identity token, perhaps, where an access token was expected.
    NoSession,
    /// No list of accounts: an access token, perhaps, where an identity token was expected.
    NoAccounts,
    /// Not a user of Privy's.
    Subject,
    /// The two tokens are about two people.
    OtherSubject,
}

/// A token that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivyRefusal {
    pub which: Which,
    pub why: Why,
}

impl fmt::Display for PrivyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.which {
            Which::Access => "access",
            Which::Identity => "identity",
        };
        let why = match self.why {
            Why::Malformed => "is not a token",
            Why::Algorithm => "is not signed with ES256",
            Why::UnknownKey => "is signed with none of the app's keys",
            Why::Signature => "has a signature that is not the key's",
            Why::Issuer => "was not issued by privy.io",
            Why::Audience => "was issued for another app",
            Why::Claims => "lacks a claim, or has one that is something else",
            Why::Expired => "has expired",
            Why::NotYet => "is from the future",
            Why::NoSession => "has no session: is it an identity token?",
            Why::NoAccounts => "has no linked accounts: is it an access token?",
            Why::Subject => "is about nobody known to Privy",
            Why::OtherSubject => "is about somebody else than the access token",
        };
        write!(f, "the {which} token {why}")
    }
}

impl std::error::Error for PrivyRefusal {}
