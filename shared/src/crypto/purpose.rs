use std::fmt;
use std::str::FromStr;

/// What a sealed value is for. Each purpose has a subkey of its own, so that one can be rotated or lost alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    Macaroon,
    RefreshKey,
    StoredReply,
    /// What makes a wallet: its seed, its password, the root key of its macaroons.
    Wallet,
    BtcpayConfig,
    NodeConfig,
    /// What a provider told us: the payers' names and addresses are in it.
    WebhookBody,
    /// Whom a mail goes to, and the token in it.
    Mail,
    /// Where a session's device is reached.
    PushToken,
}

impl Purpose {
    pub const ALL: [Self; 9] = [
        Self::Macaroon,
        Self::RefreshKey,
        Self::StoredReply,
        Self::Wallet,
        Self::BtcpayConfig,
        Self::NodeConfig,
        Self::WebhookBody,
        Self::Mail,
        Self::PushToken,
    ];

    /// As the sealing document and the operator's tool have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Macaroon => "macaroon",
            Self::RefreshKey => "refresh-key",
            Self::StoredReply => "stored-reply",
            Self::Wallet => "wallet",
            Self::BtcpayConfig => "btcpay-config",
            Self::NodeConfig => "node-config",
            Self::WebhookBody => "webhook-body",
            Self::Mail => "mail",
            Self::PushToken => "push-token",
        }
    }

    /// What its subkey is derived from the root with. Never changed: what is sealed would not open again.
    pub(super) const fn info(self) -> &'static [u8] {
        match self {
            Self::Macaroon => b"satchel:v1:macaroon",
            Self::RefreshKey => b"satchel:v1:refresh-key",
            Self::StoredReply => b"satchel:v1:stored-reply",
            Self::Wallet => b"satchel:v1:wallet",
            Self::BtcpayConfig => b"satchel:v1:btcpay-config",
            Self::NodeConfig => b"satchel:v1:node-config",
            Self::WebhookBody => b"satchel:v1:webhook-body",
            Self::Mail => b"satchel:v1:mail",
            Self::PushToken => b"satchel:v1:push-token",
        }
    }
}

/// There is no purpose of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPurpose;

impl fmt::Display for UnknownPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a purpose is one of {}", Purpose::ALL.map(Purpose::name).join(", "))
    }
}

impl std::error::Error for UnknownPurpose {}

impl FromStr for Purpose {
    type Err = UnknownPurpose;

    fn from_str(text: &str) -> Result<Self, UnknownPurpose> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == text).ok_or(UnknownPurpose)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
