//! Passwords: what may be one, and how one is kept.
//!
//! Ours are kept as argon2id. What another system hashed with bcrypt is good until its owner signs in, and is hashed
//! anew then. Which of two texts that look alike was typed is no difference: both are brought to NFKC first.

mod hash;
mod store;

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::crypto::Secret;

pub use hash::{HashError, Verdict, hash, verify};
pub use store::{Account, delete, delete_unproven, find, find_by_email, hold, replace, set, vouch};

const MIN_CHARACTERS: usize = 8;
const MAX_CHARACTERS: usize = 128;
/// More than 128 characters take in any spelling; longer texts are not even looked at.
const MAX_BYTES: usize = 4_096;

/// A password as somebody gives it to be let in. Its `Debug` is redacted, and its memory is wiped.
#[derive(Clone, Debug)]
pub struct Password {
    normal: Secret<String>,
    /// As it was typed, where that differs: another system may have hashed this.
    typed: Option<Secret<String>>,
}

/// A password that somebody may have from now on: 8 to 128 characters.
#[derive(Clone, Debug)]
pub struct NewPassword(Password);

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPassword {
    TooShort,
    TooLong,
}

impl fmt::Display for InvalidPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "has fewer than {MIN_CHARACTERS} characters"),
            Self::TooLong => write!(f, "has more than {MAX_CHARACTERS} characters"),
        }
    }
}

impl std::error::Error for InvalidPassword {}

impl Password {
    /// Takes whatever may have been somebody's password, here or elsewhere.
    pub fn given(text: &Secret<String>) -> Result<Self, InvalidPassword> {
        let typed = text.expose();
        if typed.len() > MAX_BYTES {
            return Err(InvalidPassword::TooLong);
        }
        // Grown at once to all it may need, so that no piece of it is left behind in freed memory.
        let mut normal = Zeroizing::new(String::with_capacity(typed.len().saturating_mul(12)));
        normal.extend(typed.nfkc());
        let normal = Secret::new(normal.as_str().to_owned());
        let differs = normal.expose() != typed;
        Ok(Self { normal, typed: differs.then(|| text.clone()) })
    }

    /// What it is hashed from.
    pub fn expose(&self) -> &str {
        self.normal.expose()
    }

    fn as_typed(&self) -> &str {
        self.typed.as_ref().map_or(self.expose(), |typed| typed.expose())
    }
}

impl NewPassword {
    pub fn parse(text: &Secret<String>) -> Result<Self, InvalidPassword> {
        let password = Password::given(text)?;
        match password.expose().chars().take(MAX_CHARACTERS + 1).count() {
            ..MIN_CHARACTERS => Err(InvalidPassword::TooShort),
            MIN_CHARACTERS..=MAX_CHARACTERS => Ok(Self(password)),
            _ => Err(InvalidPassword::TooLong),
        }
    }

    pub fn as_given(&self) -> &Password {
        &self.0
    }
}

impl From<Password> for NewPassword {
    /// What verified may be kept, however short it is: to be hashed anew is no new choice.
    fn from(verified: Password) -> Self {
        Self(verified)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::given(&Secret::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for NewPassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Secret::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
