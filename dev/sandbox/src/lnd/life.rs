//! How far LND has come since its process began: without a wallet, locked, starting up, active.

use serde::{Deserialize, Serialize};

use super::errors::LndError;

/// As `GET /v1/state` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WalletState {
    WaitingToStart,
    NonExisting,
    Locked,
    Unlocked,
    RpcActive,
    ServerActive,
}

impl WalletState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WaitingToStart => "WAITING_TO_START",
            Self::NonExisting => "NON_EXISTING",
            Self::Locked => "LOCKED",
            Self::Unlocked => "UNLOCKED",
            Self::RpcActive => "RPC_ACTIVE",
            Self::ServerActive => "SERVER_ACTIVE",
        }
    }
}

/// How long a node takes after its wallet was opened, counted in looks at it: requests of `GET /v1/state`, and
/// calls refused because it is starting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StartUp {
    /// Looks that find `UNLOCKED`: calls are refused.
    pub unlocked: u32,
    /// Looks that find `RPC_ACTIVE` after that: calls are served.
    pub rpc_active: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Life {
    /// Not the leader of its cluster yet, which only a test asks for.
    pub(crate) waiting: bool,
    pub(crate) start_up: StartUp,
    /// `None` without a wallet.
    password: Option<Vec<u8>>,
    locked: bool,
    left: StartUp,
}

impl Life {
    /// Without a wallet.
    pub(crate) fn new(start_up: StartUp) -> Self {
        Self { start_up, ..Self::default() }
    }

    pub(crate) fn state(&self) -> WalletState {
        match self {
            Self { waiting: true, .. } => WalletState::WaitingToStart,
            Self { password: None, .. } => WalletState::NonExisting,
            Self { locked: true, .. } => WalletState::Locked,
            Self { left: StartUp { unlocked: 1.., .. }, .. } => WalletState::Unlocked,
            Self { left: StartUp { rpc_active: 1.., .. }, .. } => WalletState::RpcActive,
            _ => WalletState::ServerActive,
        }
    }

    pub(crate) fn has_wallet(&self) -> bool {
        self.password.is_some()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.has_wallet() && !self.locked
    }

    /// The state, which is one step further at the next look.
    pub(crate) fn look(&mut self) -> WalletState {
        let state = self.state();
        match state {
            WalletState::Unlocked => self.left.unlocked -= 1,
            WalletState::RpcActive => self.left.rpc_active -= 1,
            _ => {}
        }
        state
    }

    /// Whether this service of LND is served now: the wallet unlocker, or everything else.
    pub(crate) fn check(&mut self, unlocker: bool) -> Result<(), LndError> {
        let no = |message: &str| Err(LndError::unknown(message));
        match (self.state(), unlocker) {
            (WalletState::WaitingToStart, _) => no("waiting to start, RPC services not available"),
            (WalletState::NonExisting, false) => {
                no("wallet not created, create one to enable full RPC access")
            }
            (WalletState::Locked, false) => no("wallet locked, unlock it to enable full RPC access"),
            (WalletState::Unlocked, false) => {
                self.look();
                no("the RPC server is in the process of starting up, but not yet ready to accept calls")
            }
            (WalletState::Unlocked | WalletState::RpcActive | WalletState::ServerActive, true) => {
                no("wallet already unlocked, WalletUnlocker service is no longer available")
            }
            _ => Ok(()),
        }
    }

    /// The wallet is made, and open.
    pub(crate) fn make_wallet(&mut self, password: &[u8]) {
        self.password = Some(password.to_vec());
        self.open();
    }

    pub(crate) fn unlock(&mut self, password: &[u8]) -> Result<(), LndError> {
        match &self.password {
            None => Err(LndError::unknown("wallet not found")),
            Some(right) if right != password => {
                Err(LndError::unknown("invalid passphrase for master public key"))
            }
            Some(_) => {
                self.open();
                Ok(())
            }
        }
    }

    /// The process begins anew: a wallet is locked then.
    pub(crate) fn restart(&mut self) {
        self.locked = self.has_wallet();
    }

    fn open(&mut self) {
        self.locked = false;
        self.left = self.start_up;
    }
}
