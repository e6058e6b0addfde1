use std::fmt;
use std::sync::{LazyLock, Mutex};

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::password_hash::{Error, PasswordVerifier};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use tokio::task::{JoinError, spawn_blocking};

use super::{NewPassword, Password};
use crate::crypto::Secret;
use crate::random::Random;

/// 19 MiB, twice over, in one lane: OWASP's first choice.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;
/// What an imported hash may cost at most: 2^15 rounds take seconds already.
const MAX_BCRYPT_COST: u32 = 15;
/// What those who have no account are verified against, so that they wait as long as everybody.
const NOBODYS_SALT: [u8; SALT_BYTES] = *b"nobody's account";

/// Whether a password is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// It is, and its hash is not what we make today: [`hash`] it anew and `replace` it.
    RightButOutdated,
}

/// Hashing failed, which is a mistake of ours or of the machine.
#[derive(Debug)]
pub enum HashError {
    Refused(Error),
    /// What stands in the database is no hash.
    Unreadable,
    Lost(JoinError),
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("the password could not be hashed"),
            Self::Unreadable => f.write_str("a stored password hash is not readable"),
            Self::Lost(_) => f.write_str("the hashing of a password was lost"),
        }
    }
}

impl std::error::Error for HashError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Unreadable => None,
            Self::Lost(error) => Some(error),
        }
    }
}

/// Hashes a password for keeping, off the thread that requests are served on.
pub async fn hash(password: &NewPassword, random: &Random) -> Result<Secret<String>, HashError> {
    let (password, salt) = (password.0.clone(), random.bytes::<SALT_BYTES>());
    spawn_blocking(move || hash_now(&password, &salt)).await.map_err(HashError::Lost)?
}

/// Whether `stored` was made from the password. Without a stored hash it takes as long, and is wrong.
pub async fn verify(password: &Password, stored: Option<&Secret<String>>) -> Result<Verdict, HashError> {
    let (password, stored) = (password.clone(), stored.cloned());
    spawn_blocking(move || match stored {
        Some(stored) => verify_now(&password, stored.expose()),
        None => hash_now(&password, &NOBODYS_SALT).map(|_| Verdict::Wrong),
    })
    .await
    .map_err(HashError::Lost)?
}

pub(super) fn argon2id() -> Result<&'static Argon2<'static>, HashError> {
    static ARGON2ID: LazyLock<Option<Argon2<'static>>> = LazyLock::new(|| {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
        Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    });
    ARGON2ID.as_ref().ok_or(HashError::Unreadable)
}

/// What a process hashes in, kept from one hash to the next: 19 MiB got from the system anew cost an eighth of the time,
/// and threads that come and go each keep some of it (236 MB after 40 hashes, where this is 22).
static MEMORY: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// The hash of today's kind. Somebody who hashes at the same time, in the same process, has memory of their own.
fn output(ours: &Argon2<'_>, password: &Password, salt: &[u8]) -> Result<Output, Error> {
    let (mut fresh, mut kept) = (Vec::new(), MEMORY.try_lock());
    let memory = kept.as_deref_mut().unwrap_or(&mut fresh);
    memory.resize(ours.params().block_count(), Block::default());
    let mut bytes = [0; OUTPUT_BYTES];
    ours.hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut bytes, &mut memory[..])?;
    Ok(Output::new(&bytes)?)
}

pub(super) fn hash_now(password: &Password, salt: &[u8; SALT_BYTES]) -> Result<Secret<String>, HashError> {
    let ours = argon2id()?;
    let phc = || -> Result<String, Error> {
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(ours.params())?,
            salt: Some(Salt::new(salt)?),
            hash: Some(output(ours, password, salt)?),
        };
        Ok(hash.to_string())
    };
    phc().map(Secret::new).map_err(HashError::Refused)
}

fn verify_now(password: &Password, stored: &str) -> Result<Verdict, HashError> {
    if stored.starts_with("$2") {
        return bcrypt(password, stored);
    }
    let hash = PasswordHash::new(stored).map_err(|_| HashError::Unreadable)?;
    let ours = argon2id()?;
    if let (true, Some(salt), Some(theirs)) = (is_todays(&hash, ours.params()), &hash.salt, &hash.hash) {
        // Compared in constant time: that is how the type compares.
        let same = output(ours, password, salt).map_err(HashError::Refused)? == *theirs;
        return Ok(if same { Verdict::Right } else { Verdict::Wrong });
    }
    match ours.verify_password(password.expose().as_bytes(), &hash) {
        Ok(()) => Ok(Verdict::RightButOutdated),
        Err(Error::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(error) => Err(HashError::Refused(error)),
    }
}

fn is_todays(hash: &PasswordHash, ours: &Params) -> bool {
    let same = |theirs: Params| {
        (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
    };
    let shape = hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && hash.hash.as_ref().is_some_and(|hash| hash.len() == OUTPUT_BYTES);
    shape && Params::try_from(hash).is_ok_and(same)
}

/// bcrypt looks at 72 bytes and no more, and those who made these hashes did not normalise.
fn bcrypt(password: &Password, stored: &str) -> Result<Verdict, HashError> {
    let parts: bcrypt::HashParts = stored.parse().map_err(|_| HashError::Unreadable)?;
    if parts.get_cost() > MAX_BCRYPT_COST {
        return Err(HashError::Unreadable);
    }
    let is = |text: &str| bcrypt::verify(text, stored).map_err(|_| HashError::Unreadable);
    let right = is(password.as_typed())? || (password.typed.is_some() && is(password.expose())?);
    Ok(if right { Verdict::RightButOutdated } else { Verdict::Wrong })
}
