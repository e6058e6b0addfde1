//! Everything Satchel's functions have in common: one crate on purpose, because unused code costs a binary
//! next to nothing (docs/decisions/0001-one-shared-crate.md).
//!
//! Arrows point down only, and a test reads the sources to keep it so:
//!
//! ```text
//! functions/*                      who may do what: one screen each
//!     ▼
//! runtime                          the only module that knows Lambda
//!     ▼
//! http                             the edge: parsing, replies, the error table, auth, idempotency, limits
//!     ▼
//! account session challenge        the domain: one module per aggregate: types, rules, SQL
//! sign_in node token signing_key setup
//! invoice webhook payment subscription payout connected_account
//! audit rate_limit idempotency reseal outbox
//!     ▼                 ▼
//! btcpay voltage lnd stripe upstream   providers     lightning (pure)  firebase      formats of others
//!     ▼
//! db migrations config secrets crypto clock random log metrics      ground
//! ```

pub mod http;
pub mod runtime;

pub mod account;
pub mod audit;
pub mod breaker;
pub mod challenge;
pub mod connected_account;
pub mod idempotency;
pub mod invoice;
pub mod node;
pub mod outbox;
pub mod payment;
pub mod payout;
pub mod rate_limit;
pub mod reseal;
pub mod session;
pub mod setup;
pub mod sign_in;
pub mod signing_key;
pub mod subscription;
pub mod token;
pub mod webhook;

pub mod btcpay;
pub mod firebase;
pub mod fresh;
pub mod lightning;
pub mod lnd;
pub mod stripe;
pub mod upstream;
pub mod voltage;

pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod log;
pub mod metrics;
pub mod migrations;
pub mod random;
pub mod secrets;
