use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::MAX_DOMAIN_BYTES;
use crate::config::Config;
use crate::lightning::Pubkey;

/// What a signature is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeType {
    DefaultRegistration,
    LitdAccountCreation,
    MnemonicLogin,
    QrcodeLogin,
    PrivkeyLogin,
    SecurestorageLogin,
    SendBtcOrInternalAccountRebalance,
    NodeLink,
    NodeRebind,
}

impl ChallengeType {
    pub const ALL: [Self; 9] = [
        Self::DefaultRegistration,
        Self::LitdAccountCreation,
        Self::MnemonicLogin,
        Self::QrcodeLogin,
        Self::PrivkeyLogin,
        Self::SecurestorageLogin,
        Self::SendBtcOrInternalAccountRebalance,
        Self::NodeLink,
        Self::NodeRebind,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::DefaultRegistration => "default_registration",
            Self::LitdAccountCreation => "litd_account_creation",
            Self::MnemonicLogin => "mnemonic_login",
            Self::QrcodeLogin => "qrcode_login",
            Self::PrivkeyLogin => "privkey_login",
            Self::SecurestorageLogin => "securestorage_login",
            Self::SendBtcOrInternalAccountRebalance => "send_btc_or_internal_account_rebalance",
            Self::NodeLink => "node_link",
            Self::NodeRebind => "node_rebind",
        }
    }
}

impl FromStr for ChallengeType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or("is not a challenge type")
    }
}

impl<'de> Deserialize<'de> for ChallengeType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Wires `APP_DOMAIN`, the host that stands in every text to sign.
pub fn domain(config: &mut Config) -> String {
    let domain = config.text("APP_DOMAIN");
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:".contains(&byte);
    if domain.len() > MAX_DOMAIN_BYTES || !domain.bytes().all(allowed) {
        config.problem("APP_DOMAIN is not a host name in lower case");
    }
    domain
}

/// What is asked for, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One of the types that end in a session.
    SignIn(ChallengeType),
    /// Approval of one payment.
    StepUp { amount_msat: i64, destination: String },
    /// A key for an account that has none, asked for in one of its sessions.
    NodeLink { user_id: Uuid, session_id: Uuid, new: Pubkey },
    /// Another key for an account that has one.
    NodeRebind { user_id: Uuid, old: Pubkey, new: Pubkey },
}

impl Purpose {
    pub const fn challenge_type(&self) -> ChallengeType {
        match self {
            Self::SignIn(kind) => *kind,
            Self::StepUp { .. } => ChallengeType::SendBtcOrInternalAccountRebalance,
            Self::NodeLink { .. } => ChallengeType::NodeLink,
            Self::NodeRebind { .. } => ChallengeType::NodeRebind,
        }
    }
}
