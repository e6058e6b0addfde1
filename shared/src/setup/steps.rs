//! The table of a setup: each step, how it is done, how one finds out that it was done, and how it is undone.
//!
//! | step | do | find | undo |
//! |---|---|---|---|
//! | `create_node` | Voltage node named by the marker | the node of that name | delete the node |
//! | `await_node` | wait for `waiting_init`, take the seed the node proposes | | |
//! | `init_wallet` | `initwallet` with our root key, password and seed | `getinfo` with a macaroon minted from our root key | goes with the node |
//! | `bake_macaroon` | bake for invoices only, under a root key id of the run's | withdraw those; again is as good as once | goes with the node |
//! | `create_store` | BTCPay store that carries the marker | the stores that carry it: one stays | delete the store |
//! | `connect_node` | put `BTC-LN` with the invoice macaroon | again is as good as once | goes with the store |
//! | `create_webhook` | webhook with our secret | the webhooks with our address: one stays | goes with the store |
//! | `activate` | one transaction | its row | delete the address |
//!
//! A step is recorded before it is done, so that `find` runs when, and only when, an earlier attempt is on record.

use super::intent::NodeSource;
use super::row::Setup;
use super::run::Run;
use super::{SetupError, activation, node, store, wallet};

/// Where a setup stands. The names are the database's and the callers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    CreateNode,
    AwaitNode,
    InitWallet,
    BakeMacaroon,
    CreateStore,
    ConnectNode,
    CreateWebhook,
    Activate,
}

/// What came of a step.
pub(super) enum Move {
    Done(Box<super::run::Progress>),
    /// Nothing is wrong, and it is not ready.
    Wait {
        after: std::time::Duration,
        code: &'static str,
    },
    /// The node is not ours to use: another one, under another name.
    StartOver {
        code: &'static str,
    },
    /// Goes on where the wallet's keys may be read.
    LeaveToResumer,
}

impl Step {
    pub const ALL: [Self; 8] = [
        Self::CreateNode,
        Self::AwaitNode,
        Self::InitWallet,
        Self::BakeMacaroon,
        Self::CreateStore,
        Self::ConnectNode,
        Self::CreateWebhook,
        Self::Activate,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateNode => "create_node",
            Self::AwaitNode => "await_node",
            Self::InitWallet => "init_wallet",
            Self::BakeMacaroon => "bake_macaroon",
            Self::CreateStore => "create_store",
            Self::ConnectNode => "connect_node",
            Self::CreateWebhook => "create_webhook",
            Self::Activate => "activate",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    /// With a node of the user's own there is none to make.
    pub const fn first(source: NodeSource) -> Self {
        match source {
            NodeSource::Voltage => Self::CreateNode,
            NodeSource::Registered => Self::CreateStore,
        }
    }

    /// The steps of a setup, in their order.
    pub fn all_for(source: NodeSource) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |step| *step >= Self::first(source))
    }

    pub(super) fn next(self) -> Self {
        Self::ALL.into_iter().find(|step| *step > self).unwrap_or(Self::Activate)
    }

    pub(super) async fn perform(self, run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
        match self {
            Self::CreateNode => node::create(run, setup).await,
            Self::AwaitNode => node::await_init(run, setup).await,
            Self::InitWallet => wallet::init(run, setup).await,
            Self::BakeMacaroon => wallet::bake(run, setup).await,
            Self::CreateStore => store::create(run, setup).await,
            Self::ConnectNode => store::connect_node(run, setup).await,
            Self::CreateWebhook => store::create_webhook(run, setup).await,
            Self::Activate => activation::prepare(run, setup).await,
        }
    }

    /// What an earlier attempt left behind; `None` when the step is to be done.
    pub(super) async fn find(self, run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
        match self {
            Self::CreateNode => node::find(run, setup).await,
            Self::InitWallet => wallet::find(run, setup).await,
            Self::BakeMacaroon => wallet::withdraw(run, setup).await,
            Self::CreateStore => store::find(run, setup).await,
            Self::CreateWebhook => store::find_webhook(run, setup).await,
            Self::AwaitNode | Self::ConnectNode | Self::Activate => Ok(None),
        }
    }

    /// Takes back what the step made; nothing to take back is a success.
    pub(super) async fn undo(self, run: &mut Run<'_>, setup: &Setup) -> Result<(), SetupError> {
        match self {
            Self::CreateNode => node::delete(run, setup).await,
            Self::CreateStore => store::delete(run, setup).await,
            Self::Activate => activation::undo(run, setup).await,
            Self::AwaitNode
            | Self::InitWallet
            | Self::BakeMacaroon
            | Self::ConnectNode
            | Self::CreateWebhook => Ok(()),
        }
    }
}
