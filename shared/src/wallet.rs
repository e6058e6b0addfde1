//! Addresses of wallets that accounts say are theirs.
//!
//! What somebody types is a claim, and anybody may claim anything; only what a provider checked is verified.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, execute, query_one, query_opt};

const MAX_ADDRESS_CHARS: usize = 128;
/// More than anybody has, and few enough to stand in one answer.
pub const MAX_PER_ACCOUNT: i64 = 50;
const EVM_DIGITS: usize = 40;

/// An address in the one spelling it is kept in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(String);

impl Address {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be 1 to {MAX_ADDRESS_CHARS} printable characters without spaces")
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    /// An Ethereum address is one address in whatever case its digits are, so those become lower case. Of other kinds
    /// the case may matter, and they stay as they are.
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        if digits.is_some_and(|d| d.len() == EVM_DIGITS && d.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if printable && (1..=MAX_ADDRESS_CHARS).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoAddress)
        }
    }
}

impl TryFrom<String> for Address {
    type Error = NoAddress;

    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    New,
    /// It was the account's already.
    Again,
    /// The account has as many as it may have.
    TooMany,
}

/// Notes that the account says this address is its own. Claims of one account come one after the other, or two at once
/// would pass the limit together.
pub async fn claim(
    client: &impl GenericClient,
    user_id: Uuid,
    address: &Address,
    now: OffsetDateTime,
) -> Result<Claimed, DbError> {
    query_opt(client, "SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", &[(&user_id, Type::UUID)])
        .await?;
    let row = query_one(
        client,
        "SELECT count(*) AS held, count(*) FILTER (WHERE address = $2) AS same FROM wallets WHERE user_id = $1",
        &[(&user_id, Type::UUID), (&address.0, Type::TEXT)],
    )
    .await?;
    if row.get::<_, i64>("same") > 0 {
        return Ok(Claimed::Again);
    }
    if row.get::<_, i64>("held") >= MAX_PER_ACCOUNT {
        return Ok(Claimed::TooMany);
    }
    let written = execute(
        client,
        "INSERT INTO wallets (user_id, address, created_at) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT wallets_pkey DO NOTHING",
        &[(&user_id, Type::UUID), (&address.0, Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(if written == 1 { Claimed::New } else { Claimed::Again })
}

/// Notes that a provider checked that these addresses are the account's. One that is proven to be another account's
/// already stays that one's. What is no address of ours is left out.
pub async fn prove(
    client: &impl GenericClient,
    user_id: Uuid,
    addresses: impl Iterator<Item = &str>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let mut addresses: Vec<String> =
        addresses.filter_map(|text| text.parse::<Address>().ok()).map(|address| address.0).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(usize::try_from(MAX_PER_ACCOUNT).unwrap_or_default());
    if addresses.is_empty() {
        return Ok(());
    }
    // In one order everywhere: two accounts that prove the same two addresses wait for each other once.
    execute(
        client,
        "SELECT pg_advisory_xact_lock(hashtextextended('wallet' || E'\\n' || address, 0)) FROM unnest($1) AS given (address)",
        &[(&addresses, Type::TEXT_ARRAY)],
    )
    .await?;
    execute(
        client,
        "INSERT INTO wallets AS w (user_id, address, verified_at, created_at)
         SELECT $1, address, $3, $3 FROM unnest($2) AS given (address)
         WHERE NOT EXISTS (
             SELECT 1 FROM wallets o
             WHERE o.address = given.address AND o.user_id <> $1 AND o.verified_at IS NOT NULL)
         ON CONFLICT ON CONSTRAINT wallets_pkey
         DO UPDATE SET verified_at = coalesce(w.verified_at, EXCLUDED.verified_at)",
        &[(&user_id, Type::UUID), (&addresses, Type::TEXT_ARRAY), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ethereum_address_is_one_address_in_every_spelling() {
        let mixed: Address = "0x52908400098527886E0F7030069857D2E4169EE7".parse().unwrap();
        let lower: Address = "0X52908400098527886e0f7030069857d2e4169ee7".parse().unwrap();
        assert_eq!(mixed, lower);
        assert_eq!(mixed.as_str(), "0x52908400098527886e0f7030069857d2e4169ee7");
    }

    #[test]
    fn other_addresses_stay_as_they_are() {
        for text in ["So11111111111111111111111111111111111111112", "bc1qXYZ", "0xABC", "a", &"z".repeat(128)]
        {
            assert_eq!(text.parse::<Address>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_empty_too_long_or_not_printable_is_none() {
        for text in ["", " ", "a b", "a\n", "\0", "é", "a\u{200b}", &"z".repeat(129)] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text:?}");
        }
    }
}
