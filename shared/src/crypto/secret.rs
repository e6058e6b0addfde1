use std::fmt;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

/// A value that must not be printed: its `Debug` is redacted, it has no `Display`, and its memory is wiped.
///
/// `expose` is the only way in, so that every use can be found by its name.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<'de> Deserialize<'de> for Secret<String> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own error quotes what it found, and a password may be all digits. That there is nothing it says too.
        String::deserialize(deserializer).map(Self).map_err(|error: D::Error| {
            let is_missing = error.to_string().starts_with("missing field");
            let other = || D::Error::invalid_type(Unexpected::Other("something else"), &"a string");
            if is_missing { error } else { other() }
        })
    }
}

/// 256-bit keys travel as standard base64.
impl<'de> Deserialize<'de> for Secret<[u8; 32]> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Secret::<String>::deserialize(deserializer)?;
        let mut bytes = data_encoding::BASE64
            .decode(text.expose().as_bytes())
            .map_err(|_| D::Error::custom("is not base64"))?;
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        bytes.zeroize();
        key.map(Self).map_err(|_| D::Error::custom("is not 32 bytes long"))
    }
}
