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
//! user wallet preferences private_beta lock
//! password one_time_token oauth_state mail
//! audit rate_limit idempotency reseal outbox activity erasure breaker
//!     ▼                 ▼
//! btcpay voltage lnd stripe      providers     lightning (pure)  firebase      formats of others
//! discord privy ses breaches upstream
//!     ▼
//! db migrations fresh config secrets crypto clock random email log metrics      ground
//! ```

pub mod http;
pub mod runtime;

pub mod account;
pub mod activity;
pub mod audit;
pub mod breaker;
pub mod challenge;
pub mod connected_account;
pub mod erasure;
pub mod idempotency;
pub mod invoice;
pub mod lock;
pub mod mail;
pub mod node;
pub mod oauth_state;
pub mod one_time_token;
pub mod outbox;
pub mod password;
pub mod payment;
pub mod payout;
pub mod preferences;
pub mod private_beta;
pub mod rate_limit;
pub mod reseal;
pub mod session;
pub mod setup;
pub mod sign_in;
pub mod signing_key;
pub mod subscription;
pub mod token;
pub mod user;
pub mod wallet;
pub mod webhook;

pub mod breaches;
pub mod btcpay;
pub mod discord;
pub mod firebase;
pub mod fresh;
pub mod lightning;
pub mod lnd;
pub mod privy;
pub mod ses;
pub mod stripe;
pub mod upstream;
pub mod voltage;

pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod email;
pub mod log;
pub mod metrics;
pub mod migrations;
pub mod random;
pub mod secrets;
