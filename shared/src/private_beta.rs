//! Referral keys of the private beta, and who came with them.
//!
//! Anybody may ask about a key they hold. Nobody who is not an administrator learns of an e-mail whether it is in,
//! unless they name it together with the key it came with.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, execute, query, query_one, query_opt};
use crate::email::Email;
use crate::random::Random;

/// 120 bits, which nobody guesses.
const KEY_BYTES: usize = 15;
const KEY_CHARS: usize = 24;
const GROUP: usize = 4;

/// A referral key, such as `MFRG-GZDF-MZTW-Q2LK-NNWG-23TP`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ReferralKey(String);

/// Why a text is no referral key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReferralKey;

impl fmt::Display for NoReferralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a referral key: 24 letters and digits, in groups or not")
    }
}

impl ReferralKey {
    pub fn new(random: &Random) -> Self {
        Self(grouped(&BASE32_NOPAD.encode(&random.bytes::<KEY_BYTES>())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn grouped(characters: &str) -> String {
    let groups: Vec<_> = characters.as_bytes().chunks(GROUP).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

impl FromStr for ReferralKey {
    type Err = NoReferralKey;

    /// As people type them: in either case, with or without the dashes.
    fn from_str(text: &str) -> Result<Self, NoReferralKey> {
        if text.len() > 2 * KEY_CHARS {
            return Err(NoReferralKey);
        }
        let bare: String =
            text.chars().filter(|c| !matches!(c, '-' | ' ')).collect::<String>().to_ascii_uppercase();
        match BASE32_NOPAD.decode(bare.as_bytes()) {
            Ok(bytes) if bytes.len() == KEY_BYTES => Ok(Self(grouped(&bare))),
            _ => Err(NoReferralKey),
        }
    }
}

impl TryFrom<String> for ReferralKey {
    type Error = NoReferralKey;

    fn try_from(text: String) -> Result<Self, NoReferralKey> {
        text.parse()
    }
}

/// A key that was just made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Minted {
    pub id: Uuid,
    pub referral_key: ReferralKey,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A key as administrators see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referral {
    pub id: Uuid,
    pub referral_key: String,
    /// Who came with it.
    pub email: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub verified_at: Option<OffsetDateTime>,
}

/// How many keys there are of each sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub keys: i64,
    pub unused: i64,
    pub used: i64,
    /// Of the used ones, those of an e-mail that had come with another key.
    pub repeated: i64,
}

/// Which keys a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Unused,
    /// Those that let somebody in: one for each e-mail.
    Used,
}

/// Makes `count` keys.
pub async fn mint(
    client: &impl GenericClient,
    (count, created_by): (usize, Uuid),
    random: &Random,
    now: OffsetDateTime,
) -> Result<Vec<Minted>, DbError> {
    let minted: Vec<Minted> = (0..count)
        .map(|_| Minted { id: random.id(now), referral_key: ReferralKey::new(random), created_at: now })
        .collect();
    let ids: Vec<Uuid> = minted.iter().map(|key| key.id).collect();
    let keys: Vec<&str> = minted.iter().map(|key| key.referral_key.as_str()).collect();
    execute(
        client,
        "INSERT INTO private_beta_users (id, referral_key, created_by, created_at)
         SELECT id, referral_key, $3, $4 FROM unnest($1, $2) AS minted (id, referral_key)",
        &[
            (&ids, Type::UUID_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&created_by, Type::UUID),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(minted)
}

/// Lets an e-mail in with a key, and says whether the key is its own now: `false` when it is nobody's key or somebody
/// else's. To an e-mail that is in already it happens as to any other.
pub async fn verify(
    client: &impl GenericClient,
    (key, email): (&ReferralKey, &Email),
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    // Two keys of one e-mail, at once: whoever comes second finds the first one's row.
    execute(
        client,
        "SELECT pg_advisory_xact_lock(hashtextextended('private_beta:' || $1, 0))",
        &[(&email.as_str(), Type::TEXT)],
    )
    .await?;
    let row = query_opt(
        client,
        "UPDATE private_beta_users SET email = $2, verified_at = COALESCE(verified_at, $3),
             repeated = CASE WHEN email IS NULL
                 THEN EXISTS (SELECT 1 FROM private_beta_users WHERE email = $2 AND NOT repeated) ELSE repeated END
         WHERE referral_key = $1 AND (email IS NULL OR email = $2)
         RETURNING 1",
        &[(&key.0, Type::TEXT), (&email.as_str(), Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.is_some())
}

/// Whether somebody may still come with this key.
pub async fn is_valid(client: &impl GenericClient, key: &ReferralKey) -> Result<bool, DbError> {
    let row = query_opt(
        client,
        "SELECT 1 FROM private_beta_users WHERE referral_key = $1 AND email IS NULL",
        &[(&key.0, Type::TEXT)],
    )
    .await?;
    Ok(row.is_some())
}

/// Whether this e-mail came with this key.
pub async fn came_with(
    client: &impl GenericClient,
    key: &ReferralKey,
    email: &Email,
) -> Result<bool, DbError> {
    let row = query_opt(
        client,
        "SELECT 1 FROM private_beta_users WHERE referral_key = $1 AND email = $2",
        &[(&key.0, Type::TEXT), (&email.as_str(), Type::TEXT)],
    )
    .await?;
    Ok(row.is_some())
}

/// Keys, newest first, behind the place given.
pub async fn list(
    client: &impl GenericClient,
    which: Which,
    after: Option<(OffsetDateTime, Uuid)>,
    rows: i64,
) -> Result<Vec<Referral>, DbError> {
    let (at, id) = after.unzip();
    let rows = query(
        client,
        "SELECT id, referral_key, email, created_at, verified_at FROM private_beta_users
         WHERE (email IS NOT NULL) = $1 AND NOT repeated
           AND ($2 IS NULL OR (created_at, id) < ($2, $3))
         ORDER BY created_at DESC, id DESC LIMIT $4",
        &[
            (&(which == Which::Used), Type::BOOL),
            (&at, Type::TIMESTAMPTZ),
            (&id, Type::UUID),
            (&rows, Type::INT8),
        ],
    )
    .await?;
    let read = |row: &crate::db::Row| Referral {
        id: row.get("id"),
        referral_key: row.get("referral_key"),
        email: row.get("email"),
        created_at: row.get("created_at"),
        verified_at: row.get("verified_at"),
    };
    Ok(rows.iter().map(read).collect())
}

pub async fn counts(client: &impl GenericClient) -> Result<Counts, DbError> {
    let row = query_one(
        client,
        "SELECT count(*) AS keys, count(*) FILTER (WHERE email IS NULL) AS unused, count(email) AS used,
                count(*) FILTER (WHERE repeated) AS repeated
         FROM private_beta_users",
        &[],
    )
    .await?;
    Ok(Counts {
        keys: row.get("keys"),
        unused: row.get("unused"),
        used: row.get("used"),
        repeated: row.get("repeated"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_people_type_it() {
        let key = ReferralKey::new(&Random::system());
        assert_eq!(key.as_str().len(), 29);
        for typed in [
            key.as_str().to_owned(),
            key.as_str().to_lowercase(),
            key.as_str().replace('-', ""),
            key.as_str().replace('-', " "),
        ] {
            assert_eq!(typed.parse(), Ok(key.clone()), "{typed}");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let zeros = "A".repeat(23);
        for text in ["", "MFRG", "0000-0000-0000-0000-0000-0000", &zeros, &"A".repeat(10_000), "MFRG\0"] {
            assert_eq!(text.parse::<ReferralKey>(), Err(NoReferralKey), "{text}");
        }
    }

    #[test]
    fn no_two_keys_are_alike() {
        let random = Random::system();
        let keys: std::collections::HashSet<_> = (0..1_000).map(|_| ReferralKey::new(&random)).collect();
        assert_eq!(keys.len(), 1_000);
    }
}
