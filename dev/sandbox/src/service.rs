//! Whom a request is meant for.

use std::sync::Arc;

use hyper::{Request, body::Bytes, http::request::Parts};
use serde::{Deserialize, Serialize};

use crate::{
    Handle, btcpay, control, discord, lnd, mail, privy, reply::Reply, secrets_manager, stripe, voltage,
    world::World,
};

/// Whom a request was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// `/sandbox/…`: neither counted nor subject to faults.
    Control,
    SecretsManager,
    /// `/btcpay/…`.
    Btcpay,
    /// `/voltage/…`.
    Voltage,
    /// `/stripe/…`.
    Stripe,
    /// `/discord/…`.
    Discord,
    /// `/privy/…`.
    Privy,
    /// `/ses/…`.
    Mail,
    /// Every path no other service claims: `/<node>/v1/…`.
    Lnd,
}

impl Service {
    /// All that are counted and may misbehave.
    pub const ALL: [Self; 8] = [
        Self::SecretsManager,
        Self::Btcpay,
        Self::Voltage,
        Self::Stripe,
        Self::Discord,
        Self::Privy,
        Self::Mail,
        Self::Lnd,
    ];

    pub(crate) fn of(parts: &Parts) -> Self {
        if secrets_manager::claims(parts) {
            Self::SecretsManager
        } else if control::claims(parts) {
            Self::Control
        } else if btcpay::claims(parts) {
            Self::Btcpay
        } else if voltage::claims(parts) {
            Self::Voltage
        } else if stripe::claims(parts) {
            Self::Stripe
        } else if discord::claims(parts) {
            Self::Discord
        } else if privy::claims(parts) {
            Self::Privy
        } else if mail::claims(parts) {
            Self::Mail
        } else {
            Self::Lnd
        }
    }

    /// The path as it is counted and as faults match it.
    pub(crate) fn path(self, parts: &Parts) -> String {
        match self {
            Self::SecretsManager => format!("/{}", secrets_manager::operation(parts)),
            Self::Control
            | Self::Btcpay
            | Self::Voltage
            | Self::Stripe
            | Self::Discord
            | Self::Privy
            | Self::Mail
            | Self::Lnd => parts.uri.path().to_owned(),
        }
    }

    pub(crate) fn work(self, world: &Arc<World>, request: &Request<Bytes>) -> Reply {
        match self {
            Self::Control => control::answer(&Handle(Arc::clone(world)), request),
            Self::SecretsManager => secrets_manager::answer(world, request),
            Self::Btcpay => btcpay::answer(world, request),
            Self::Voltage => voltage::answer(world, request),
            Self::Stripe => stripe::answer(world, request),
            Self::Discord => discord::answer(world, request),
            Self::Privy => privy::answer(world, request),
            Self::Mail => mail::answer(world, request),
            Self::Lnd => lnd::answer(world, request),
        }
    }
}
