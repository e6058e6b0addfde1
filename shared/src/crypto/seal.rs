use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::{aead, hkdf};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{Purpose, Secret};
use crate::metrics;
use crate::random::Random;

/// A new key seals only this long after it was published: by then every running function has fetched it.
pub const SETTLING_TIME: Duration = Duration::seconds(300);
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + 4 + NONCE_BYTES;

/// What every value begins with that the key `id` sealed. Beginnings sort as their ids do.
pub const fn beginning(id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [VERSION, a, b, c, d]
}

/// The place a sealed value belongs to. A value moved to another row or column does not open there.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub purpose: Purpose,
    pub table: &'static str,
    pub column: &'static str,
    pub row: &'a [u8],
}

/// The secret document `satchel/sealing`: every key that any row may still be sealed with.
#[derive(Deserialize)]
pub struct SealingKeys {
    keys: Vec<SealingKey>,
}

/// One key of the document.
#[derive(Deserialize)]
pub struct SealingKey {
    pub id: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// What it may seal; everything if the document does not say. It opens whatever it sealed all the same.
    purposes: Option<Vec<String>>,
    key: Secret<[u8; 32]>,
}

impl SealingKey {
    /// Whether it may seal for this purpose. A name that this build does not know is a later build's.
    pub fn serves(&self, purpose: Purpose) -> bool {
        self.purposes.as_ref().is_none_or(|names| names.iter().any(|name| name == purpose.name()))
    }

    /// Whether it also serves what only a later build knows.
    fn serves_the_unknown(&self) -> bool {
        let unknown = |name: &String| name.parse::<Purpose>().is_err();
        self.purposes.as_ref().is_none_or(|names| names.iter().any(unknown))
    }

    /// When every running function has it.
    pub fn settled_at(&self) -> OffsetDateTime {
        self.created_at + SETTLING_TIME
    }
}

/// Seals and opens fields with AES-256-GCM: `version | key id | nonce | ciphertext and tag`.
pub struct KeyRing {
    keys: BTreeMap<u32, SealingKey>,
}

/// Why a sealed value did not open. Neither the value nor the key is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    Malformed,
    UnknownKey(u32),
    Refused,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the sealed value is malformed"),
            Self::UnknownKey(id) => write!(f, "the sealed value names key {id}, which is not on the ring"),
            Self::Refused => f.write_str("the sealed value does not open in this place"),
        }
    }
}

impl std::error::Error for OpenError {}

/// A value could not be sealed; AES-GCM refuses only past 64 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealError;

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value could not be sealed")
    }
}

impl std::error::Error for SealError {}

impl TryFrom<SealingKeys> for KeyRing {
    type Error = &'static str;

    fn try_from(document: SealingKeys) -> Result<Self, Self::Error> {
        let count = document.keys.len();
        if count == 0 {
            return Err("holds no key");
        }
        if document.keys.iter().any(|key| key.key.expose().iter().all(|byte| *byte == key.key.expose()[0])) {
            return Err("holds a key of one repeated byte");
        }
        let ring = Self { keys: document.keys.into_iter().map(|key| (key.id, key)).collect() };
        if ring.keys.len() != count {
            return Err("holds two keys with one id");
        }
        if Purpose::ALL.into_iter().any(|purpose| ring.newest(purpose).is_none()) {
            return Err("holds no key for one of the purposes");
        }
        Ok(ring)
    }
}

impl KeyRing {
    /// Seals `plaintext` for its place with the newest key that every function has had time to fetch.
    pub fn seal(
        &self,
        field: Field<'_>,
        plaintext: &[u8],
        now: OffsetDateTime,
        random: &Random,
    ) -> Result<Vec<u8>, SealError> {
        let id = self.writing_key(field.purpose, now).ok_or(SealError)?;
        let nonce: [u8; NONCE_BYTES] = random.bytes();
        let mut sealed = Vec::with_capacity(HEADER_BYTES + plaintext.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&id.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        let mut body = plaintext.to_vec();
        let done = self
            .subkey(id, field.purpose)
            .and_then(|key| encrypt(&key, nonce, &associated_data(field, id), &mut body));
        if done.is_none() {
            metrics::count("SealFailed");
            return Err(SealError);
        }
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what `seal` made for the same place, with whichever key on the ring sealed it.
    pub fn open(&self, field: Field<'_>, sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let opened = self.try_open(field, sealed);
        if opened.is_err() {
            metrics::count("OpenFailed");
        }
        opened
    }

    fn try_open(&self, field: Field<'_>, sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let (header, body) = sealed.split_at_checked(HEADER_BYTES).ok_or(OpenError::Malformed)?;
        let (&version, rest) = header.split_first().ok_or(OpenError::Malformed)?;
        let (id, nonce) = rest.split_first_chunk::<4>().ok_or(OpenError::Malformed)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| OpenError::Malformed)?;
        if version != VERSION || body.len() < TAG_BYTES {
            return Err(OpenError::Malformed);
        }
        let id = u32::from_be_bytes(*id);
        let key = self.subkey(id, field.purpose).ok_or(OpenError::UnknownKey(id))?;
        let mut body = body.to_vec();
        decrypt(&key, nonce, &associated_data(field, id), &mut body).ok_or(OpenError::Refused)?;
        Ok(Secret::new(body))
    }

    /// Every key, oldest first.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &SealingKey> {
        self.keys.values()
    }

    /// The newest key that serves the purpose, whether or not it has settled.
    pub fn newest(&self, purpose: Purpose) -> Option<&SealingKey> {
        self.keys().rev().find(|key| key.serves(purpose))
    }

    /// The keys that nothing is sealed with any more, because newer ones that had settled at `time` serve all they
    /// serve. One that also serves what later builds bring stays until a newer one does.
    pub fn superseded(&self, time: OffsetDateTime) -> Vec<u32> {
        let newer = |id: u32| self.keys().filter(move |key| key.id > id && key.settled_at() <= time);
        let replaced = |key: &&SealingKey| {
            let mut served = Purpose::ALL.into_iter().filter(|purpose| key.serves(*purpose));
            served.all(|purpose| newer(key.id).any(|newer| newer.serves(purpose)))
                && (!key.serves_the_unknown() || newer(key.id).any(|newer| newer.purposes.is_none()))
        };
        self.keys().filter(replaced).map(|key| key.id).collect()
    }

    /// The key that seals: of those that serve the purpose the newest that has settled, or else the oldest.
    fn writing_key(&self, purpose: Purpose, now: OffsetDateTime) -> Option<u32> {
        let serving = || self.keys().filter(|key| key.serves(purpose));
        let settled = serving().rev().find(|key| key.settled_at() <= now);
        settled.or_else(|| serving().next()).map(|key| key.id)
    }

    fn subkey(&self, id: u32, purpose: Purpose) -> Option<aead::LessSafeKey> {
        let root = &self.keys.get(&id)?.key;
        let info = [purpose.info()];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(root.expose());
        let derived = extracted.expand(&info, &aead::AES_256_GCM).ok()?;
        Some(aead::LessSafeKey::new(aead::UnboundKey::from(derived)))
    }
}

/// Turns a plaintext into its ciphertext and tag.
pub(super) fn encrypt(
    key: &aead::LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    associated_data: &[u8],
    body: &mut Vec<u8>,
) -> Option<()> {
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, aead::Aad::from(associated_data), body).ok()
}

/// Turns a ciphertext and its tag back into the plaintext.
pub(super) fn decrypt(
    key: &aead::LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    associated_data: &[u8],
    body: &mut Vec<u8>,
) -> Option<()> {
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    let length = key.open_in_place(nonce, aead::Aad::from(associated_data), body).ok()?.len();
    body.truncate(length);
    Some(())
}

fn associated_data(field: Field<'_>, id: u32) -> Vec<u8> {
    let mut data = Vec::with_capacity(64 + field.row.len());
    for part in [field.table.as_bytes(), field.column.as_bytes(), field.row] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data.push(VERSION);
    data.extend_from_slice(&id.to_be_bytes());
    data
}
