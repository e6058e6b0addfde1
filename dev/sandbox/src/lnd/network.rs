//! Which chain a node is on, and how that is written in each place.

use lightning_invoice::Currency;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    Mainnet,
    Testnet,
    Signet,
    #[default]
    Regtest,
}

impl Network {
    /// As `getinfo` and Voltage write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    pub(crate) fn currency(self) -> Currency {
        match self {
            Self::Mainnet => Currency::Bitcoin,
            Self::Testnet => Currency::BitcoinTestnet,
            Self::Signet => Currency::Signet,
            Self::Regtest => Currency::Regtest,
        }
    }
}
